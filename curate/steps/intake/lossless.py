"""`[packs] pixels` of archive.toml: a clean instance with its pixels losslessly compressed, or as it is."""

from __future__ import annotations

from dataclasses import replace

from curate.deid.pixeldata.container import clean_pixels, shape_of
from curate.deid.records import Rewritten
from curate.dicom.io import writer
from curate.dicom.io.reader import parse
from curate.dicom.model import PIXEL_DATA, Bytes, Element, Fragments, Item, MalformedError
from curate.pixels.lossless import SYNTAXES, Grey, encoded

_NATIVE = "1.2.840.10008.1.2.1"
_GREY = ("MONOCHROME1", "MONOCHROME2")


def stored(rewritten: Rewritten, pixels: str) -> Rewritten:
    """The instance as the policy stores it: native grey pixels of 8 to 16 bits compressed, anything else as it is."""
    if pixels not in SYNTAXES or rewritten.transfer_syntax != _NATIVE or not rewritten.frames:
        return rewritten
    item = parse(b"".join(rewritten.chunks)).dataset
    element = item.get(PIXEL_DATA)
    if element is None or (grey := _grey(item)) is None or isinstance(element.value, list | Fragments):
        return rewritten
    syntax = SYNTAXES[pixels]
    frames = encoded(element.value, grey, syntax)
    if frames is None:
        return rewritten
    try:  # what an encoder says of itself in a comment goes, as from every codestream
        clean = clean_pixels(item, Element(PIXEL_DATA, "OB", Fragments(b"", tuple(frames))), syntax)
    except MalformedError:
        return rewritten
    chunks: tuple[Bytes, ...] = (
        writer.file_head(rewritten.sop_class_uid, rewritten.sop_instance_uid, syntax),
        writer.encode_elements(_part(item, after=False)),
        *clean.chunks,
        writer.encode_elements(_part(item, after=True)),
    )
    return replace(rewritten, chunks=chunks, size=sum(map(len, chunks)), transfer_syntax=syntax)


def _grey(item: Item) -> Grey | None:
    shape = shape_of(item)
    plain = shape.samples == 1 and shape.photometric in _GREY and shape.high == shape.stored - 1
    if not plain or shape.allocated not in (8, 16):
        return None
    return Grey(
        shape.rows,
        shape.columns,
        shape.frames,
        shape.allocated,
        shape.stored,
        shape.signed,
        shape.photometric,
    )


def _part(item: Item, *, after: bool) -> Item:
    """The elements before the pixels, or after them."""
    part = Item(encodings=item.encodings)
    part.update({tag: element for tag, element in item.items() if (tag > PIXEL_DATA) is after and tag != PIXEL_DATA})
    return part
