"""What a data set says of its pixels, and their bytes, frame by frame: all that a look at them needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from curate.deid.pixeldata.container import ENCAPSULATED, PHOTOMETRIC, PIXELS, shape_of, split_frames
from curate.dicom import tags
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.model import PIXEL_DATA, Element, Fragments, Item

PLANAR, BURNED_IN, LOSSY = tags.PlanarConfiguration, tags.BurnedInAnnotation, tags.LossyImageCompression
IMAGE_TYPE = tags.ImageType
_TABLES = (
    tags.RedPaletteColorLookupTableData,
    tags.GreenPaletteColorLookupTableData,
    tags.BluePaletteColorLookupTableData,
)
_DESCRIPTOR = tags.RedPaletteColorLookupTableDescriptor
LOSSLESS = frozenset(
    ("1.2.840.10008.1.2.5", *(f"1.2.840.10008.1.2.4.{number}" for number in (57, 70, 80, 90, 92, 201, 202)))
)


def pixels_of(parsed: Parsed) -> dict[str, Any] | None:
    """The fields of a `pixels.Image`; None where there are no pixels.

    Raises:
        MalformedError: the attributes or the fragments fit no pixels.
    """
    item = parsed.dataset
    tag = _tag(item)
    if tag is None:
        return None
    shape = shape_of(item)
    value = item[tag].value
    if isinstance(value, list):
        return None
    fields = {
        name: getattr(shape, name)
        for name in (
            "rows",
            "columns",
            "samples",
            "frames",
            "allocated",
            "stored",
            "high",
            "signed",
            "photometric",
        )
    }
    fields |= {
        "floating": tag != PIXEL_DATA,
        "planar": int.from_bytes(item.raw(PLANAR)[:2], "little"),
        "transfer_syntax": parsed.transfer_syntax,
    }
    if isinstance(value, Fragments):
        fields["encoded"] = tuple(b"".join(frame) for frame in split_frames(value, shape.frames))
    else:
        fields["native"] = value
    if shape.photometric == "PALETTE COLOR":
        fields |= _palette(item)
    return fields


def _tag(item: Item) -> int | None:
    return next((tag for tag in PIXELS if tag in item), None)


def _palette(item: Item) -> dict[str, Any]:
    """The table of colours, 8 bits each (PS3.3 C.7.6.3.1.5); nothing where it is segmented or damaged."""
    count, first, bits = np.frombuffer(item.raw(_DESCRIPTOR)[:6].ljust(6, b"\0"), "<u2").tolist()
    columns: list[npt.NDArray[np.uint8]] = []
    for tag in _TABLES:
        raw = item.raw(tag)
        wide = bits == 16 and len(raw) >= 2 * (count or 65536)
        columns.append((np.frombuffer(raw, "<u2") >> 8).astype(np.uint8) if wide else np.frombuffer(raw, np.uint8))
    length = min(map(len, columns))
    return {"palette": np.stack([column[:length] for column in columns], 1), "first": first} if length else {}


def with_pixels(
    parsed: Parsed, syntax: str, photometric: str, planar: int, native: bytes, encoded: tuple[bytes, ...]
) -> Parsed:
    """The same instance with other pixels, whose text was made blank, saying so (PS3.15 E.3.1)."""
    item = Item(parsed.dataset, parsed.dataset.encodings)
    value = Fragments(b"", tuple(c + b"\0" * (len(c) % 2) for c in encoded)) if encoded else native
    tag = _tag(item) or PIXEL_DATA
    item[tag] = Element(tag, "OB" if encoded else item[tag].vr, value)
    item.put(PHOTOMETRIC, "CS", photometric.encode())
    if PLANAR in item:
        item.put(PLANAR, "US", planar.to_bytes(2, "little"))
    item.put(BURNED_IN, "CS", b"NO")
    if parsed.transfer_syntax in ENCAPSULATED - LOSSLESS and LOSSY not in item:
        item.put(LOSSY, "CS", b"01")
    kinds = item.text(IMAGE_TYPE).split("\\")
    if kinds[0] == "ORIGINAL":
        item.put(IMAGE_TYPE, "CS", "\\".join(["DERIVED", *kinds[1:]]).encode())
    return Parsed(parsed.meta, item, syntax, parsed.findings)
