"""What may hide in a coded frame: comments, application segments, bytes after the end.

Pixels are not decoded: each function takes a frame's bytes and gives the pieces of the clean one, the coded
image data untouched.
"""

from __future__ import annotations

import itertools
import re
import struct

from curate.dicom import jpeg2000
from curate.dicom.types import Bytes, MalformedError

_IN_JPEG = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_IN_JPEG_LS = re.compile(rb"\xff+[\x80-\xcf\xd8-\xfe]")
_IN_J2K = re.compile(rb"\xff[\x90\x93-\xff]")
_SOI, _EOI, _SOS, _DHT, _DQT, _DRI, _DNL, _DAC, _LSE = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xDC, 0xCC, 0xF8
_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_LOSSLESS, _PROGRESSIVE = frozenset((0xC3, 0xC7, 0xCB, 0xCF, 0xF7)), 0xC2
_J2K_DROPPED = frozenset((0x55, 0x57, 0x58, 0x59, 0x63, 0x64))  # TLM, PLM, PLT, CPF, CRG, COM: not needed
_SOT, _SOD = 0x90, 0x93
_LONGEST_CHANCE, _LETTERS = 10, 6  # bytes, different ones among them
_TEXT = re.compile(rb"[A-Za-z0-9 ^=._-]{%d}" % _LONGEST_CHANCE)
_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"


def _refuse() -> MalformedError:
    return MalformedError("CODESTREAM_MALFORMED", "PixelData")


def _refuse_text(data: Bytes, end: int) -> None:
    """Refuse coded data that ends in text, which decoders would not read; by chance one frame in 700,000 does.

    Few different bytes are the repetition that an even background is coded as.
    """
    last = bytes(data[max(0, end - _LONGEST_CHANCE) : end])
    if len(set(last)) >= _LETTERS and _TEXT.fullmatch(last):
        raise _refuse()


class _Tables:
    """One DHT or DQT segment: its tables, and which of them a scan has used."""

    __slots__ = ("_raw", "marker", "slots", "used")

    def __init__(self, marker: int, raw: Bytes) -> None:
        self.marker = marker
        self._raw = raw
        self.slots = _split_tables(marker, bytes(raw[4:]))
        self.used: set[int] = set()

    def written(self) -> list[Bytes]:
        """The segment with the tables that are used; nothing where none is."""
        if len(self.used) == len(self.slots):
            return [self._raw]
        kept = b"".join(table for index, (_, table) in enumerate(self.slots) if index in self.used)
        return [bytes((0xFF, self.marker)) + struct.pack(">H", 2 + len(kept)) + kept] if kept else []


def _split_tables(marker: int, segment: bytes) -> list[tuple[int, bytes]]:
    """The tables of a segment with their destinations (class and identifier)."""
    tables, pos = [], 0
    while pos < len(segment):
        if marker == _DHT:
            stop = pos + 17 + sum(segment[pos + 1 : pos + 17])
            slot = segment[pos]
        else:
            stop = pos + (129 if segment[pos] >> 4 else 65)
            slot = segment[pos] & 15
        if stop > len(segment):
            raise _refuse()
        tables.append((slot, segment[pos:stop]))
        pos = stop
    return tables


class _InForce:
    """The tables that the next scan would find at each destination."""

    __slots__ = ("_kind", "_tables", "components")

    def __init__(self) -> None:
        self._tables: dict[tuple[int, int], tuple[_Tables, int]] = {}
        self.components: dict[int, int] = {}
        self._kind = 0

    def define(self, tables: _Tables) -> None:
        """What a segment defines takes the place of what was there."""
        for index, (slot, _) in enumerate(tables.slots):
            self._tables[tables.marker, slot] = (tables, index)

    def frame(self, marker: int, segment: bytes) -> None:
        """Which quantisation table each component of the frame asks for; lossless ones ask for none."""
        self.components = dict(zip(segment[6::3], segment[8::3], strict=True))
        self._kind = marker

    def scan(self, segment: bytes) -> None:
        """Mark what a scan's components ask for: of the Huffman tables DC, AC or both (ISO 10918-1 B.2.3)."""
        lossless = self._kind in _LOSSLESS
        first = segment[-3]
        for place in range(segment[0]):
            component, selectors = segment[1 + 2 * place : 3 + 2 * place]
            if lossless or self._kind != _PROGRESSIVE or first == 0:
                self._use(_DHT, selectors >> 4)
            if not lossless and (self._kind != _PROGRESSIVE or first):
                self._use(_DHT, 0x10 | selectors & 15)
            if not lossless:
                self._use(_DQT, self.components.get(component, 0))

    def _use(self, marker: int, slot: int) -> None:
        if (marker, slot) in self._tables:
            tables, index = self._tables[marker, slot]
            tables.used.add(index)


def clean_jpeg(data: Bytes, *, lossless_ls: bool = False) -> list[Bytes]:
    """A JPEG or JPEG-LS frame without COM, APPn, unused tables and what follows EOI (ISO 10918-1 B, 14495-1 C).

    Raises:
        MalformedError: CODESTREAM_MALFORMED where a segment isn't what the standard says.
    """
    search = (_IN_JPEG_LS if lossless_ls else _IN_JPEG).search
    if bytes(data[:2]) != b"\xff\xd8":
        raise _refuse()
    kept: list[Bytes | _Tables] = []
    marks, force = _ColourMarks(), _InForce()
    pos, in_scan = 2, False
    while True:
        match = search(data, pos)
        if match is None or (match.start() != pos and not in_scan):
            raise _refuse()
        kept.append(data[pos : match.start()])  # entropy-coded data, or nothing
        pos = match.end()  # fill bytes before a marker say nothing
        marker = data[pos - 1]
        if marker == _EOI:
            _refuse_text(data, match.start())
            break
        if len(data) < pos + 2:
            raise _refuse()
        stop = pos + (data[pos] << 8 | data[pos + 1])
        if stop < pos + 2 or stop > len(data):
            raise _refuse()
        segment, raw = bytes(data[pos + 2 : stop]), data[pos - 2 : stop]
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            marks.see(marker, segment)
        elif marker in (_DHT, _DQT):
            tables = _Tables(marker, raw)
            force.define(tables)
            kept.append(tables)
        elif _well_formed(marker, segment):
            if marker in _FRAMES:
                force.frame(marker, segment)
            elif marker == _SOS:
                force.scan(segment)
            kept.append(raw)
        else:
            raise _refuse()
        in_scan = marker == _SOS
        pos = stop
    return _assembled(kept, marks.segments(tuple(force.components), lossless_ls=lossless_ls))


def _assembled(kept: list[Bytes | _Tables], first: list[Bytes]) -> list[Bytes]:
    """The pieces of a frame between SOI and EOI."""
    pieces: list[Bytes] = [b"\xff\xd8", *first]
    for piece in kept:
        pieces += piece.written() if isinstance(piece, _Tables) else [piece]
    return [piece for piece in [*pieces, b"\xff\xd9"] if len(piece)]


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
    return marker == _LSE and size == 11 and segment[0] == 1


class _ColourMarks:
    """What the application segments say of the colour transform, which decoders follow."""

    __slots__ = ("adobe", "jfif", "ls_transform")

    def __init__(self) -> None:
        self.adobe: int | None = None
        self.ls_transform = 0
        self.jfif = False

    def see(self, marker: int, segment: bytes) -> None:
        """Take note of an application segment that is dropped."""
        if marker == 0xEE and segment[:5] == b"Adobe" and len(segment) >= 12 and segment[11] <= 2:
            self.adobe = segment[11]
        elif marker == 0xE0 and segment[:5] == b"JFIF\0":
            self.jfif = True
        elif marker == 0xE8 and segment[:4] == b"mrfx" and len(segment) >= 5 and segment[4] <= 5:
            self.ls_transform = segment[4]

    def segments(self, components: tuple[int, ...], *, lossless_ls: bool) -> list[Bytes]:
        """The segments that must stay, rebuilt."""
        if lossless_ls:
            return [b"\xff\xe8\x00\x07mrfx" + bytes([self.ls_transform])] if self.ls_transform else []
        transform = self.adobe
        if transform is None and self.jfif and components == (0x52, 0x47, 0x42):
            transform = 1
        if transform is None or len(components) < 3:
            return []
        return [b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])]


def clean_jpeg_2000(data: Bytes) -> list[Bytes]:
    """A JPEG 2000 (also High-Throughput) frame without boxes, comments, pointers and what follows EOC (ISO 15444-1 A).

    Raises:
        MalformedError: CODESTREAM_MALFORMED where a segment isn't what the standard says.
    """
    if bytes(data[:12]) == _JP2:
        data = _in_box(data)
    if bytes(data[:4]) != b"\xff\x4f\xff\x51":
        raise _refuse()
    components = int.from_bytes(data[40:42])
    main, pos = _j2k_header(data, 2, _SOT, components)
    tiles: list[Bytes] = []
    while pos < len(data) - 1 and data[pos] == 0xFF and data[pos + 1] == _SOT:
        tile, pos = _j2k_tile_part(data, pos, components)
        tiles.extend(tile)
    _refuse_text(data, pos)
    if not tiles or bytes(data[pos : pos + 2]) not in (b"\xff\xd9", b"", b"\0", b"\0\0"):
        raise _refuse()
    return [b"\xff\x4f", *main, *tiles, b"\xff\xd9"]


def _in_box(data: Bytes) -> Bytes:
    """The codestream of a whole JP2 file, which some write though PS3.5 8.2.4 forbids it; the boxes go (annex I)."""
    pos = 0
    while pos + 8 <= len(data):
        size, kind = struct.unpack(">L4s", data[pos : pos + 8])
        if kind == b"jp2h" and b"pclr" in bytes(data[pos : pos + size]):
            break  # samples are indices of a palette that would go with its box
        stop = pos + size if size else len(data)
        if kind == b"jp2c":
            return data[pos + 8 : stop]
        if size < 8:
            break
        pos = stop
    raise _refuse()


def _j2k_header(data: Bytes, pos: int, last: int, components: int) -> tuple[list[Bytes], int]:
    """The segments up to a marker that a decoder needs, and where they end."""
    pieces: list[Bytes] = []
    while True:
        if len(data) < pos + 4 or data[pos] != 0xFF:
            raise _refuse()
        marker = data[pos + 1]
        if marker == last:
            return pieces, pos
        length = data[pos + 2] << 8 | data[pos + 3]
        stop = pos + 2 + length
        if length < 2 or stop > len(data):
            raise _refuse()
        if marker not in _J2K_DROPPED:
            if not jpeg2000.sound(marker, bytes(data[pos + 4 : stop]), components):
                raise _refuse()
            pieces.append(data[pos:stop])
        pos = stop


def _j2k_tile_part(data: Bytes, pos: int, components: int) -> tuple[list[Bytes], int]:
    """One tile-part: its pieces, and where it ends; its length is what is left of it."""
    if len(data) < pos + 14 or bytes(data[pos + 2 : pos + 4]) != b"\x00\x0a":
        raise _refuse()
    tile, size, part, parts = struct.unpack(">HLBB", data[pos + 4 : pos + 12])
    pieces, body = _j2k_header(data, pos + 12, _SOD, components)
    if size:
        stop = pos + size
    else:
        match = _IN_J2K.search(data, body + 2)
        stop = match.start() if match else len(data)
    if stop < body + 2 or stop > len(data):
        raise _refuse()
    cut = body - pos - 12 - sum(map(len, pieces))
    marker = b"\xff\x90\x00\x0a" + struct.pack(">HLBB", tile, size - cut if size else 0, part, parts)
    return [marker, *pieces, data[body:stop]], stop


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
