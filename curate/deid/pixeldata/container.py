"""Pixel data as it may leave: exactly its length, no bits beside the stored ones, clean frames.

Bytes are copied only where something must change; nothing is decoded but runs of bytes (RLE).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curate.deid.pixeldata import lookup_tables
from curate.deid.pixeldata import unused_bits as bits
from curate.deid.pixeldata.codestreams import Stated
from curate.deid.pixeldata.jpeg import clean_jpeg, says_ycc
from curate.deid.pixeldata.jpeg2000 import clean_jpeg_2000
from curate.deid.pixeldata.rle import clean_rle
from curate.dicom import tags
from curate.dicom.dictionary import VRS
from curate.dicom.io import writer
from curate.dicom.io.file_meta import EXPLICIT, NATIVE
from curate.dicom.model import PIXEL_DATA, Bytes, Element, Fragments, Item, MalformedError

FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA = tags.FloatPixelData, tags.DoubleFloatPixelData
PIXELS = (PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA)
RLE = "1.2.840.10008.1.2.5"
PHOTOMETRIC, _FRAMES = tags.PhotometricInterpretation, tags.NumberOfFrames
_FLOATS = {FLOAT_PIXEL_DATA: 32, DOUBLE_PIXEL_DATA: 64}  # bits
_WIDEST = 64  # bits
_DCT = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 53, 55))
_JPEG = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 53, 55, 57, 70))
_JPEG_LS = frozenset(("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"))
_JPEG_2000 = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (90, 91, 92, 93, 201, 202, 203))
_LONG_HEADER = struct.Struct("<HH2sHL").unpack_from
ENCAPSULATED = frozenset((RLE, *_JPEG, *_JPEG_LS, *_JPEG_2000))


@dataclass(frozen=True, slots=True)
class Shape:
    """What the attributes say of the pixels (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    photometric: str

    @property
    def frame(self) -> Stated:
        """What is said of each coded frame."""
        return Stated(self.rows, self.columns, self.samples, self.allocated, self.stored, self.high, self.signed)

    @property
    def size(self) -> int:
        """The exact length in bytes of uncompressed pixels."""
        samples = 2 if self.photometric == "YBR_FULL_422" and self.samples == 3 else self.samples
        return (self.rows * self.columns * samples * self.frames * self.allocated + 7) // 8


_SHAPE = (
    *(tags.Rows, tags.Columns, tags.SamplesPerPixel, _FRAMES),
    *(tags.BitsAllocated, tags.BitsStored, tags.HighBit, tags.PixelRepresentation, PHOTOMETRIC),
)


def shape_of(item: Item) -> Shape:
    """The shape that a data set states.

    Raises:
        MalformedError: PIXEL_ATTRIBUTES where it states none that is possible.
    """
    return _shape(*[item.raw(tag) for tag in _SHAPE])


@lru_cache(maxsize=256)
def _shape(
    rows: bytes,
    columns: bytes,
    samples: bytes,
    frames: bytes,
    allocated: bytes,
    stored: bytes,
    high: bytes,
    signed: bytes,
    photometric: bytes,
) -> Shape:
    bits = _number(allocated, 0)
    try:
        number = int(frames.strip(b" \0") or b"1")
    except ValueError:
        number = 0
    shape = Shape(
        _number(rows, 0),
        _number(columns, 0),
        _number(samples, 1),
        number,
        bits,
        _number(stored, bits),
        _number(high, _number(stored, bits) - 1),
        _number(signed, 0) == 1,
        photometric.decode("ascii", "replace").strip(" \0"),
    )
    possible = shape.rows and shape.columns and number > 0 and shape.samples in (1, 3, 4)
    fits = bits in (1, 8, 16, 32, 64) and 0 < shape.stored <= shape.high + 1 <= bits
    if not (possible and fits):
        raise MalformedError("PIXEL_ATTRIBUTES", "PixelData")
    return shape


def _number(raw: bytes, default: int) -> int:
    return int.from_bytes(raw[:2], "little") if len(raw) >= 2 else default


@dataclass(frozen=True, slots=True, repr=False)
class Pixels:
    """Clean pixel data, ready to be written, and what had to be done to it (rule codes)."""

    chunks: list[Bytes]
    applied: tuple[str, ...]
    frames: int


def clean_pixels(item: Item, element: Element, syntax: str) -> Pixels:
    """The pixel data of a clean data set.

    Raises:
        MalformedError: PIXEL_ATTRIBUTES, PIXEL_LENGTH, PIXEL_ENCODING, TRANSFER_SYNTAX_REFUSED,
            FRAGMENTS_MALFORMED, CODESTREAM_MALFORMED.
    """
    if isinstance(element.value, Fragments):
        if syntax not in ENCAPSULATED:
            rule = "PIXEL_ENCODING" if syntax in NATIVE else "TRANSFER_SYNTAX_REFUSED"
            raise MalformedError(rule, "PixelData")
        return _encapsulated(shape_of(item), element.value, syntax)
    if syntax not in NATIVE or isinstance(element.value, list):
        raise MalformedError("PIXEL_ENCODING", "PixelData")
    return _native(item, element, element.value)


def restated(item: Item, element: Element, syntax: str) -> Item:
    """The data set with the photometric interpretation that its pixels have, where it states another (C.7.6.3.1.2).

    A JFIF segment in a frame says that its colours are YCbCr, which readers follow though the label is RGB. The
    segment goes, so the label has to say it.

    Raises:
        MalformedError: FRAGMENTS_MALFORMED, PIXEL_ATTRIBUTES; PIXELS_NOT_AS_STATED where frames differ in this, or
            uncompressed pixels that are called subsampled have three whole samples.
    """
    shape = shape_of(item)
    true = _true_photometric(shape, element, syntax) if shape.samples == 3 else shape.photometric
    if true == shape.photometric:
        return item
    other = Item(item, item.encodings)
    other.put(PHOTOMETRIC, "CS", true.encode())
    return other


def _true_photometric(shape: Shape, element: Element, syntax: str) -> str:
    if isinstance(element.value, Fragments):
        if shape.photometric != "RGB" or syntax not in _DCT:
            return shape.photometric
        frames = split_frames(element.value, shape.frames)
        said = {says_ycc(frame[0] if len(frame) == 1 else b"".join(frame)) for frame in frames}
        if len(said) > 1:
            raise MalformedError("PIXELS_NOT_AS_STATED", "PixelData")
        return "YBR_FULL_422" if True in said else "RGB"
    whole = shape.size * 3 // 2
    subsampled = shape.photometric == "YBR_FULL_422" and not isinstance(element.value, list)
    if subsampled and len(element.value) - whole in (0, whole % 2):
        raise MalformedError("PIXELS_NOT_AS_STATED", "PixelData")  # RGB or YBR_FULL: nobody can tell
    return shape.photometric


def output_syntax(syntax: str, *, encapsulated: bool) -> str:
    """The transfer syntax that is written: the encapsulated one, else explicit little endian."""
    return syntax if encapsulated else EXPLICIT


# --- native


def _native(item: Item, element: Element, value: Bytes) -> Pixels:
    applied = []
    shape = shape_of(item)
    more = len(value) - shape.size
    if more < 0 or (more >= shape.size and not item.raw(_FRAMES).strip(b" \0")):
        raise MalformedError("PIXEL_LENGTH", "PixelData")  # too few, or frames of which nothing is said
    if element.tag != PIXEL_DATA and shape.allocated != _FLOATS[element.tag]:
        raise MalformedError("PIXEL_ATTRIBUTES", "PixelData")
    kept: Bytes = value
    if more:
        kept = value[: shape.size]
        if len(value) > shape.size + shape.size % 2 or any(value[shape.size :]):
            applied.append("PIXEL_TRAILING_BYTES")
    if element.tag == PIXEL_DATA:
        kept, changed = _clean_bits(kept, shape)
        if changed:
            applied.append("PIXEL_UNUSED_BITS")
    if shape.allocated == _WIDEST or element.tag != PIXEL_DATA:
        lookup_tables.refuse_spelling(kept, shape.allocated // 8)
    vr = _native_vr(element, shape)
    return Pixels(writer.native_chunks(element.tag, vr, kept), tuple(applied), shape.frames)


def _native_vr(element: Element, shape: Shape) -> str:
    if element.tag == PIXEL_DATA:
        return "OB" if element.vr == "OB" and shape.allocated <= 8 else "OW"
    return "OF" if element.tag == FLOAT_PIXEL_DATA else "OD"


def native_element(head: Bytes, value: Bytes) -> Element | None:
    """Native pixels as the reader would give them, from their header's bytes and their value; None if not."""
    if len(head) != 12:
        return None
    group, number, name, _, length = _LONG_HEADER(head)
    tag, vr = group << 16 | number, VRS.get(name)
    return Element(tag, vr.name, value) if tag in PIXELS and vr and length == len(value) else None


def describes(item: Item, pixels: Element) -> bool:
    """Whether a clean data set says of native pixels just what they are: their size and their VR."""
    shape = shape_of(item)
    return (
        isinstance(pixels.value, Bytes) and shape.size == len(pixels.value) and _native_vr(pixels, shape) == pixels.vr
    )


def _clean_bits(value: Bytes, shape: Shape) -> tuple[Bytes, bool]:
    """Pixels with nothing in the bits that aren't stored; sign bits above HighBit are not nothing."""
    if shape.allocated == 1:
        return bits.clear_last(value, shape.rows * shape.columns * shape.samples * shape.frames)
    return bits.cleared(value, shape.allocated, shape.stored, shape.high, signed=shape.signed)


# --- encapsulated


def _encapsulated(shape: Shape, value: Fragments, syntax: str) -> Pixels:
    frames = [_clean_frame(frame, shape, syntax) for frame in split_frames(value, shape.frames)]
    return Pixels(writer.encapsulated_chunks(PIXEL_DATA, frames), (), shape.frames)


def _clean_frame(fragments: list[Bytes], shape: Shape, syntax: str) -> list[Bytes]:
    data = fragments[0] if len(fragments) == 1 else b"".join(fragments)
    stated = shape.frame
    if syntax == RLE:
        begin = struct.pack("<2L", stated.samples * stated.allocated // 8, 64)
        if any(bytes(fragment[:8]) == begin for fragment in fragments[1:]):
            raise MalformedError("FRAGMENTS_MALFORMED", "PixelData")  # another frame
        return clean_rle(data, stated)
    if syntax in _JPEG_2000:
        return clean_jpeg_2000(data, stated)
    return clean_jpeg(data, stated, lossless_ls=syntax in _JPEG_LS)


def split_frames(value: Fragments, frames: int) -> list[list[Bytes]]:
    """Which fragments make which frame: one each, all of one, by the offset table, or by their beginnings.

    Raises:
        MalformedError: FRAGMENTS_MALFORMED where none of these gives the stated number.
    """
    fragments = [fragment for fragment in value.fragments if len(fragment)]
    if len(fragments) == frames:
        return [[fragment] for fragment in fragments]
    if frames == 1 and fragments:
        return [fragments]
    starts = _starts_by_table(value, frames) or [
        index
        for index, fragment in enumerate(value.fragments)
        if bytes(fragment[:3]) in (b"\xff\xd8\xff", b"\xff\x4f\xff")
    ]
    if len(starts) != frames or starts[:1] != [0]:
        raise MalformedError("FRAGMENTS_MALFORMED", "PixelData")
    return [
        list(value.fragments[start:stop])
        for start, stop in zip(starts, [*starts[1:], len(value.fragments)], strict=True)
    ]


def _starts_by_table(value: Fragments, frames: int) -> list[int]:
    """The index of each frame's first fragment by the Basic Offset Table; empty where that doesn't fit."""
    if len(value.offsets) != 4 * frames:
        return []
    places, place = {}, 0
    for index, fragment in enumerate(value.fragments):
        places[place] = index
        place += 8 + len(fragment)
    offsets = np.frombuffer(value.offsets, "<u4").tolist()
    starts = [places.get(offset, -1) for offset in offsets]
    return starts if -1 not in starts and starts == sorted(set(starts)) else []
