"""What may hide in a coded frame: comments, application segments, bytes after the end.

Pixels are not decoded: each function takes a frame's bytes and gives the pieces of the clean one, the coded
image data untouched.
"""

from __future__ import annotations

import itertools
import re
import struct

from curate.dicom.types import Bytes, MalformedError

_IN_JPEG = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_IN_JPEG_LS = re.compile(rb"\xff+[\x80-\xcf\xd8-\xfe]")
_IN_J2K = re.compile(rb"\xff[\x90\x93-\xff]")
_SOI, _EOI, _SOS, _DHT, _DQT, _DRI, _DNL, _DAC, _LSE = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xDC, 0xCC, 0xF8
_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_J2K_MAIN = frozenset(
    (0x50, 0x51, 0x52, 0x53, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5C, 0x5D, 0x5E, 0x5F, 0x60, 0x61, 0x63)
)
_COM, _TLM, _SOT, _SOD, _EOC = 0x64, 0x55, 0x90, 0x93, 0xD9


def _refuse() -> MalformedError:
    return MalformedError("CODESTREAM_MALFORMED", "PixelData")


def clean_jpeg(data: Bytes, *, lossless_ls: bool = False) -> list[Bytes]:
    """A JPEG or JPEG-LS frame without COM, APPn and what follows EOI (ISO 10918-1 B, ISO 14495-1 C).

    Raises:
        MalformedError: CODESTREAM_MALFORMED where a segment isn't what the standard says.
    """
    search = (_IN_JPEG_LS if lossless_ls else _IN_JPEG).search
    if bytes(data[:2]) != b"\xff\xd8":
        raise _refuse()
    kept: list[Bytes] = [b"\xff\xd8"]
    marks = _ColourMarks()
    pos = run = 2
    while True:
        match = search(data, pos)
        if match is None or (match.start() != pos and not marks.in_scan):
            raise _refuse()
        pos, after = match.start(), match.end()
        marker = data[after - 1]
        if marker == _EOI:
            kept.append(data[run:pos])
            kept.append(b"\xff\xd9")
            break
        if after - pos > 2 or len(data) < after + 2:
            if len(data) < after + 2:
                raise _refuse()
            kept.append(data[run:pos])  # fill bytes before a marker say nothing
            pos = run = after - 2
        length = data[after] << 8 | data[after + 1]
        stop = after + length
        if length < 2 or stop > len(data):
            raise _refuse()
        segment = bytes(data[after + 2 : stop])
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            kept.append(data[run:pos])
            marks.see(marker, segment)
            run = stop
        elif not _well_formed(marker, segment):
            raise _refuse()
        elif marker in _FRAMES:
            marks.components = tuple(segment[6::3])
        marks.in_scan = marker == _SOS  # entropy-coded data follow a scan's header, and nothing else
        pos = stop
    return [kept[0], *marks.segments(lossless_ls), *(piece for piece in kept[1:] if len(piece))]


def _well_formed(marker: int, segment: bytes) -> bool:
    """Whether a segment has exactly the length that its own fields ask for."""
    size = len(segment)
    if marker in _FRAMES:
        return size >= 9 and size == 6 + 3 * segment[5]
    if marker == _SOS:
        return size >= 6 and size == 4 + 2 * segment[0]
    if marker in (_DRI, _DNL):
        return size in (2, 3, 4)
    if marker == _DAC:
        return size % 2 == 0 and size <= 64
    if marker == _LSE:
        return size >= 1 and (size == 11 if segment[0] == 1 else segment[0] in (2, 3, 4))
    if marker in (_DHT, _DQT):
        pos = 0
        while pos < size:
            if marker == _DHT:
                pos += 17 + sum(segment[pos + 1 : pos + 17])
            else:
                pos += 129 if segment[pos] >> 4 else 65
        return pos == size
    return False


class _ColourMarks:
    """What the application segments say of the colour transform, which decoders follow."""

    __slots__ = ("adobe", "components", "in_scan", "jfif", "ls_transform")

    def __init__(self) -> None:
        self.adobe: int | None = None
        self.ls_transform = 0
        self.jfif = False
        self.components: tuple[int, ...] = ()
        self.in_scan = False

    def see(self, marker: int, segment: bytes) -> None:
        """Take note of an application segment that is dropped."""
        if marker == 0xEE and segment[:5] == b"Adobe" and len(segment) >= 12 and segment[11] <= 2:
            self.adobe = segment[11]
        elif marker == 0xE0 and segment[:5] == b"JFIF\0":
            self.jfif = True
        elif marker == 0xE8 and segment[:4] == b"mrfx" and len(segment) >= 5 and segment[4] <= 5:
            self.ls_transform = segment[4]

    def segments(self, lossless_ls: bool) -> list[Bytes]:
        """The segments that must stay, rebuilt."""
        if lossless_ls:
            return [b"\xff\xe8\x00\x07mrfx" + bytes([self.ls_transform])] if self.ls_transform else []
        transform = self.adobe
        if transform is None and self.jfif and self.components == (0x52, 0x47, 0x42):
            transform = 1
        if transform is None or len(self.components) < 3:
            return []
        return [b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])]


def clean_jpeg_2000(data: Bytes) -> list[Bytes]:
    """A JPEG 2000 (also High-Throughput) frame without COM and what follows EOC (ISO 15444-1 A).

    Raises:
        MalformedError: CODESTREAM_MALFORMED where a segment isn't what the standard says.
    """
    if bytes(data[:4]) != b"\xff\x4f\xff\x51":
        raise _refuse()
    main, pos = _j2k_header(data, 2, _SOT)
    tiles: list[Bytes] = []
    shortened = False
    while pos < len(data) - 1 and data[pos] == 0xFF and data[pos + 1] == _SOT:
        tile, pos, cut = _j2k_tile_part(data, pos)
        tiles.extend(tile)
        shortened = shortened or cut
    if not tiles or bytes(data[pos : pos + 2]) not in (b"\xff\xd9", b"", b"\0", b"\0\0"):
        raise _refuse()
    kept = [piece for marker, piece in main if not (shortened and marker == _TLM)]
    return [b"\xff\x4f", *kept, *tiles, b"\xff\xd9"]


def _j2k_header(data: Bytes, pos: int, last: int) -> tuple[list[tuple[int, Bytes]], int]:
    """The segments up to a marker, comments left out, as (marker, bytes), and where they end."""
    pieces: list[tuple[int, Bytes]] = []
    while True:
        if len(data) < pos + 4 or data[pos] != 0xFF:
            raise _refuse()
        marker = data[pos + 1]
        if marker == last:
            return pieces, pos
        length = data[pos + 2] << 8 | data[pos + 3]
        stop = pos + 2 + length
        if length < 2 or stop > len(data) or not (marker in _J2K_MAIN or marker == _COM):
            raise _refuse()
        if marker != _COM:
            pieces.append((marker, data[pos:stop]))
        pos = stop


def _j2k_tile_part(data: Bytes, pos: int) -> tuple[list[Bytes], int, bool]:
    """One tile-part: its pieces, where it ends, whether comments were cut out of its header."""
    if len(data) < pos + 14 or bytes(data[pos + 2 : pos + 4]) != b"\x00\x0a":
        raise _refuse()
    tile, size, part, parts = struct.unpack(">HLBB", data[pos + 4 : pos + 12])
    pieces, body = _j2k_header(data, pos + 12, _SOD)
    if size:
        stop = pos + size
    else:
        match = _IN_J2K.search(data, body + 2)
        stop = match.start() if match else len(data)
    if stop < body + 2 or stop > len(data):
        raise _refuse()
    kept = sum(len(piece) for _, piece in pieces)
    cut = body - pos - 12 - kept
    marker = b"\xff\x90\x00\x0a" + struct.pack(">HLBB", tile, size - cut if size else 0, part, parts)
    return [marker, *(piece for _, piece in pieces), data[body:stop]], stop, cut > 0


def clean_rle(data: Bytes, pixels: int, segments: int) -> list[Bytes]:
    """An RLE frame whose header and segments are rebuilt, each cut where it has given its bytes (PS3.5 G).

    `pixels` is rows x columns, `segments` samples x bytes a sample.

    Raises:
        MalformedError: CODESTREAM_MALFORMED where a segment is missing or gives fewer bytes.
    """
    if len(data) < 64:
        raise _refuse()
    header = struct.unpack("<16L", data[:64])
    if header[0] != segments or not 1 <= segments <= 15:
        raise _refuse()
    pieces: list[Bytes] = []
    offsets, place = [], 64
    bounds = [*header[1 : segments + 1], len(data)]
    for start, stop in itertools.pairwise(bounds):
        if not 64 <= start <= stop <= len(data):
            raise _refuse()
        segment = bytes(data[start:stop])
        used = _rle_length(segment, pixels)
        offsets.append(place)
        pieces.append(segment[:used] + b"\0" * (used % 2))
        place += used + used % 2
    fields = [segments, *offsets, *([0] * (15 - segments))]
    return [struct.pack("<16L", *fields), *pieces]


def _rle_length(segment: bytes, pixels: int) -> int:
    """How many bytes of a segment decode to a plane of `pixels` bytes."""
    pos = given = 0
    size = len(segment)
    while given < pixels:
        if pos >= size:
            raise _refuse()
        code = segment[pos]
        if code < 128:
            given += code + 1
            pos += code + 2
        elif code > 128:
            given += 257 - code
            pos += 2
        else:
            pos += 1
    if pos > size:
        raise _refuse()
    return pos
