"""How an MR image was acquired, by public attributes and by the vendors' private ones: what harmonisation asks for."""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from curate.dicom import csa, tags
from curate.dicom.geometry import mosaics
from curate.dicom.geometry.volume_parts import Part
from curate.dicom.model import Element, Item

_CSA, _SIEMENS, _XA = "SIEMENS CSA HEADER", "SIEMENS MR HEADER", "SIEMENS MR SDI 02"
_XA_SERIES, _GE, _GE_TIMES, _UIH = "SIEMENS MR SDS 01", "GEMS_PARM_01", "GEMS_RELA_01", "Image Private Header"
_PHILIPS = "Philips Imaging DD 001"
_WANTED = frozenset((
    b"PhaseEncodingDirectionPositive", b"MosaicRefAcqTimes", b"BandwidthPerPixelPhaseEncode", b"ImaPATModeText",
    b"NumberOfImagesInMosaic", b"B_value",
))  # fmt: skip
_ORDER = b"sSliceArray.ucMode"
_SLICES = re.compile(r"s(\d{1,2})")
_UNALIASED = re.compile(r"Unaliased MB(\d{1,2})")
_COMMENT_B = re.compile(r"b=(\d{1,5}(?:\.\d{1,3})?)")
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
_MOST_B = 100_000
# (group, creator, element): each states a b-value first
B_VALUES = ((0x19, _SIEMENS, 0x0C), (0x43, _GE, 0x39), (0x2001, _PHILIPS, 0x03), (0x65, _UIH, 0x09))
_ROW, _COLUMN = "ROW", "COL"


@dataclass(frozen=True, slots=True)
class Acquisition:
    """What one image says: None where it says nothing.

    `direction` of phase encoding is that of BIDS for a NIfTI volume whose rows are written from the last to the
    first, as converters do: i along the rows of the image, j along its columns, `-` where it runs against them.
    `echo_spacing` is the effective one in seconds. `slices` are those of a volume that is tiled in this image.
    """

    direction: str | None
    timed: bool
    b_value: float | None
    echo_spacing: float | None
    multiband: int | None
    slices: int | None


COLUMNS = (
    "phase_encoding_direction",
    "slice_times_stated",
    "b_values",
    "effective_echo_spacing_s",
    "multiband_factor",
    "volume_count",
)
_NOTHING = Acquisition(None, False, None, None, None, None)


def acquisition_of(item: Item) -> Acquisition:
    """What an MR image says of its acquisition; nothing of another."""
    if item.text(tags.Modality) != "MR":
        return _NOTHING
    header = _csa(item)
    return Acquisition(
        _direction(item, header),
        _timed(item, header),
        _b_value(item, header),
        _echo_spacing(item, header),
        _multiband(item, header),
        _slices(item, header),
    )


def row(acquisitions: Sequence[Acquisition], parts: Sequence[Part]) -> dict[str, Any]:
    """The columns of a series from what its images say, in order."""
    b_values = {one.b_value for one in acquisitions if one.b_value is not None}
    return {
        "phase_encoding_direction": _agreed(one.direction for one in acquisitions),
        "slice_times_stated": any(one.timed for one in acquisitions) if _is_mr(acquisitions) else None,
        "b_values": sorted(b_values) or None,
        "effective_echo_spacing_s": _agreed(one.echo_spacing for one in acquisitions),
        "multiband_factor": _agreed(one.multiband for one in acquisitions),
        "volume_count": _volumes(acquisitions, parts),
    }


def _is_mr(acquisitions: Sequence[Acquisition]) -> bool:
    return any(one is not _NOTHING for one in acquisitions)


def _agreed(said: Iterable[Any]) -> Any:
    found = set(said)
    return found.pop() if len(found) == 1 else None


def _volumes(acquisitions: Sequence[Acquisition], parts: Sequence[Part]) -> int | None:
    """How many volumes the frames make: as often as each place is there; None where places differ in that."""
    if acquisitions and all((one.slices or 0) > 1 for one in acquisitions):
        return len(acquisitions)
    places = Counter(plane.place for part in parts for plane in part.planes)
    if not places or any(part.refusal is not None or not part.planes for part in parts):
        return None
    count: int | None = _agreed(places.values())
    return count


def _csa(item: Item) -> dict[bytes, list[bytes]]:
    element = item.private(0x29, _CSA, 0x10)
    if element is None or not isinstance(element.value, bytes):
        return {}
    try:
        return {name: csa.values(items) for name, items in csa.fields(element.value, _WANTED)}
    except csa.NotCsaError:  # a header that says nothing
        return {}


def _field(header: dict[bytes, list[bytes]], name: bytes) -> str:
    """The first value of a CSA header's field; empty where the field is not there, or has none."""
    return next(iter(header.get(name, ())), b"").decode("ascii", "replace")


def _direction(item: Item, header: dict[bytes, list[bytes]]) -> str | None:
    axis = _public(item, tags.InPlanePhaseEncodingDirection)
    positive = _number(_field(header, b"PhaseEncodingDirectionPositive"))
    if positive is None:
        positive = _first(_private_in_groups(item, 0x21, _XA, 0x1C))
    if positive is None and (uih := _first(item.private(0x65, _UIH, 0x58))) is not None:
        positive = 1 - uih
    if positive is None and item.text(tags.Manufacturer).startswith("GE"):
        positive = _ge_polarity(item)
    if positive not in (0, 1) or not axis:
        return None
    along_columns = axis.startswith(_COLUMN)
    if not along_columns and not axis.startswith(_ROW):
        return None
    return ("j" if along_columns else "i") + ("-" if along_columns == (positive == 1) else "")


def _ge_polarity(item: Item) -> int | None:
    """Of a rebuilt raw header (its parts stand at fixed places there), or of the public attribute (0018,9034)."""
    order = _public(item, tags.RectilinearPhaseEncodeReordering)
    if order in ("LINEAR", "REVERSE_LINEAR"):
        return int(order == "REVERSE_LINEAR")
    element = item.private(0x43, _GE, 0x2A)
    raw = element.value if element is not None and isinstance(element.value, bytes) else b""
    start = int.from_bytes(raw[24:26], "little")
    if len(raw) < start + 0x396 or start < 26:
        return None
    later = struct.unpack_from("<f", raw, start)[0] >= 25.002
    base, views = (start + 0x4C, 0x308) if later else (start, 0x394)
    word = [int.from_bytes(raw[base + place : base + place + 2], "little") for place in (0x3A, 0x30, views)]
    if not word[0] & 0x800:
        return None
    return int(bool(word[1] & 4) == (word[2] == 2))


def _timed(item: Item, header: dict[bytes, list[bytes]]) -> bool:
    if len(header.get(b"MosaicRefAcqTimes", ())) > 1:
        return True
    places = ((0x19, _SIEMENS, 0x29), (0x65, _UIH, 0x51), (0x25, "GEMS_SERS_01", 0x1B))
    if any(item.private(*place) is not None for place in places):
        return True
    series = item.private(0x29, _CSA, 0x20)  # the protocol there
    if series is not None and isinstance(series.value, bytes) and _ORDER in series.value:
        return True
    timer = _first(item.private(0x21, _GE_TIMES, 0x5E))
    return bool(timer) or _private_in_groups(item, 0x21, _XA, 0x04) is not None


def _b_value(item: Item, header: dict[bytes, list[bytes]]) -> float | None:
    said = _public(item, tags.DiffusionBValue) or _field(header, b"B_value")
    found = _number(said)
    for place in B_VALUES if found is None else ():
        found = _first(item.private(*place)) if found is None else found
    if found is None and (match := _COMMENT_B.match(item.text(tags.ImageComments))):
        found = float(match[1])
    return found if found is not None and 0 <= found <= _MOST_B else None


def _echo_spacing(item: Item, header: dict[bytes, list[bytes]]) -> float | None:
    bandwidth = _number(_field(header, b"BandwidthPerPixelPhaseEncode"))
    bandwidth = bandwidth or _first(item.private(0x19, _SIEMENS, 0x28))
    axis = _public(item, tags.InPlanePhaseEncodingDirection)
    lines = _number(_public(item, tags.Rows if axis.startswith(_COLUMN) else tags.Columns))
    if not bandwidth or not lines or not axis or bandwidth < 0:
        return None
    side = mosaics.tiles_beside(_slices(item, header) or 1)
    return float(f"{1 / (bandwidth * (lines // side)):.6g}")


def _multiband(item: Item, header: dict[bytes, list[bytes]]) -> int | None:
    texts = [_field(header, b"ImaPATModeText")]
    texts += [_text(item.private(0x51, _SIEMENS, 0x11)), _text(_private_in_groups(item, 0x21, _XA_SERIES, 0x09))]
    if match := next((found for text in texts if (found := _SLICES.search(text))), None):
        return int(match[1])
    if match := _UNALIASED.match(item.text(tags.ImageComments)):
        return int(match[1])
    factor = _first(item.private(0x43, _GE, 0xB6))
    return int(factor) if factor and 1 < factor < 100 else None


def _slices(item: Item, header: dict[bytes, list[bytes]]) -> int | None:
    said = _number(_field(header, b"NumberOfImagesInMosaic"))
    for place in ((0x19, _SIEMENS, 0x0A), (0x65, _UIH, 0x50)):
        said = _first(item.private(*place)) if said is None else said
    return int(said) if said and 1 < said <= 10_000 else None


def _groups(item: Item) -> Iterator[Item]:
    """The data set, and the first items of its functional groups and of the private sequences in these."""
    yield item
    for groups in (tags.SharedFunctionalGroupsSequence, tags.PerFrameFunctionalGroupsSequence):
        for first in item.items_of(groups)[:1]:
            yield first
            for macro in first.values():
                yield from macro.items[:1]


def _public(item: Item, tag: int) -> str:
    """An attribute at the top or in the functional groups, as text; empty where it is not there."""
    for one in _groups(item):
        if tag in one:
            element = one[tag]
            return _text(element) if element.vr not in _NUMBERS else str(_first(element) or "")
    return ""


def _private_in_groups(item: Item, group: int, creator: str, element: int) -> Element | None:
    found = (one.private(group, creator, element) for one in _groups(item))
    return next((one for one in found if one is not None), None)


def _text(element: Element | None) -> str:
    value = element.value if element is not None else b""
    return bytes(value).decode("ascii", "replace").strip(" \0") if isinstance(value, bytes) else ""


def _first(element: Element | None) -> float | None:
    """The first number of an element."""
    if element is None or not isinstance(element.value, bytes):
        return None
    kind = _NUMBERS.get(element.vr)
    if kind is None:
        return _number(_text(element).partition("\\")[0])
    size = struct.calcsize(kind)
    return float(struct.unpack_from("<" + kind, element.value)[0]) if len(element.value) >= size else None


def _number(text: str) -> float | None:
    try:
        found = float(text) if len(text) <= 40 else None
    except ValueError:  # no number: nothing is said
        return None
    return found if found is not None and abs(found) < float("inf") else None
