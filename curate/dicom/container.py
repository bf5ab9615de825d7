"""Pixel data as it may leave: exactly its length, no bits beside the stored ones, clean frames.

Bytes are copied only where something must change; nothing is decoded.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from curate.dicom import codestreams, writer
from curate.dicom.dictionary import VRS
from curate.dicom.head import EXPLICIT, NATIVE
from curate.dicom.types import PIXEL_DATA, Bytes, Element, Fragments, Item, MalformedError

FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA = 0x7FE00008, 0x7FE00009
PIXELS = (PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA)
RLE = "1.2.840.10008.1.2.5"
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
    def size(self) -> int:
        """The exact length in bytes of uncompressed pixels."""
        samples = 2 if self.photometric == "YBR_FULL_422" and self.samples == 3 else self.samples
        return (self.rows * self.columns * samples * self.frames * self.allocated + 7) // 8


_SHAPE = (
    *(0x00280010, 0x00280011, 0x00280002, 0x00280008),
    *(0x00280100, 0x00280101, 0x00280102, 0x00280103, 0x00280004),
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


def output_syntax(syntax: str, *, encapsulated: bool) -> str:
    """The transfer syntax that is written: the encapsulated one, else explicit little endian."""
    return syntax if encapsulated else EXPLICIT


# --- native


def _native(item: Item, element: Element, value: Bytes) -> Pixels:
    applied = []
    shape = shape_of(item)
    if len(value) < shape.size:
        raise MalformedError("PIXEL_LENGTH", "PixelData")
    kept: Bytes = value
    if len(value) > shape.size:
        kept = value[: shape.size]
        if len(value) > shape.size + shape.size % 2 or any(value[shape.size :]):
            applied.append("PIXEL_TRAILING_BYTES")
    if element.tag == PIXEL_DATA:
        kept, changed = _clean_bits(kept, shape)
        if changed:
            applied.append("PIXEL_UNUSED_BITS")
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
        isinstance(pixels.value, Bytes)
        and shape.size == len(pixels.value)
        and _native_vr(pixels, shape) == pixels.vr
    )


def _clean_bits(value: Bytes, shape: Shape) -> tuple[Bytes, bool]:
    """Pixels with nothing in the bits that aren't stored; sign bits above HighBit are not nothing."""
    if shape.allocated == 1:
        return _clean_last_byte(value, shape)
    if shape.stored == shape.allocated or shape.allocated == 64:
        return value, False
    samples = np.frombuffer(value, f"<u{shape.allocated // 8}")
    low = shape.high + 1 - shape.stored
    mask = ((1 << shape.stored) - 1) << low
    if shape.signed:
        return _clean_signed(samples, shape, value, low)
    if not _union(value, samples) & ~mask:
        return value, False
    return memoryview((samples & samples.dtype.type(mask)).view("u1")), True


def _union(value: Bytes, samples: np.ndarray) -> int:
    """All bits that any sample has, eight bytes at a time where that comes out even."""
    if len(value) % 8:
        return int(np.bitwise_or.reduce(samples))
    wide = int(np.bitwise_or.reduce(np.frombuffer(value, "<u8")))
    size, union = 8 * samples.itemsize, 0
    while wide:
        union |= wide & (1 << size) - 1
        wide >>= size
    return union


def _clean_signed(samples: np.ndarray, shape: Shape, value: Bytes, low: int) -> tuple[Bytes, bool]:
    """Two's complement in fewer bits: the rest repeats the sign, or is zero throughout."""
    bound = 1 << shape.high
    numbers = samples.view(f"<i{shape.allocated // 8}")
    below = _union(value, samples) & ((1 << low) - 1) if low else 0
    extended = int(numbers.min()) >= -bound and int(numbers.max()) < bound
    if not below and (extended or int(samples.max()) < 2 * bound):
        return value, False
    up = numbers.dtype.type(shape.allocated - 1 - shape.high)
    down = numbers.dtype.type(shape.allocated - shape.stored)
    clean = ((numbers << up) >> down) << numbers.dtype.type(low)
    return memoryview(clean.view("u1")), True


def _clean_last_byte(value: Bytes, shape: Shape) -> tuple[Bytes, bool]:
    """One-bit pixels are packed across frames; what is left of the last byte is zero (PS3.5 8.1.1)."""
    used = shape.rows * shape.columns * shape.samples * shape.frames % 8
    last = value[-1]
    if not used or not last >> used:
        return value, False
    return bytes(value[:-1]) + bytes([last & (1 << used) - 1]), True


# --- encapsulated


def _encapsulated(shape: Shape, value: Fragments, syntax: str) -> Pixels:
    frames = [_clean_frame(frame, shape, syntax) for frame in split_frames(value, shape.frames)]
    return Pixels(writer.encapsulated_chunks(PIXEL_DATA, frames), (), shape.frames)


def _clean_frame(fragments: list[Bytes], shape: Shape, syntax: str) -> list[Bytes]:
    data = fragments[0] if len(fragments) == 1 else b"".join(fragments)
    if syntax == RLE:
        return codestreams.clean_rle(data, shape.rows * shape.columns, shape.samples * shape.allocated // 8)
    if syntax in _JPEG_2000:
        return codestreams.clean_jpeg_2000(data)
    return codestreams.clean_jpeg(data, lossless_ls=syntax in _JPEG_LS)


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
