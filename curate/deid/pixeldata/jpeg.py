"""A JPEG or JPEG-LS frame: what may hide in it goes, and its image is the one that is stated (ISO 10918-1, 14495-1)."""

from __future__ import annotations

import re
import struct
from typing import Protocol

from curate.deid.pixeldata.codestreams import Stated, malformed, refuse_another, refuse_text, require
from curate.deid.pixeldata.jpeg_scans import LOSSLESS, PROGRESSIVE, SEQUENTIAL, Frame, Restarts
from curate.dicom.model import Bytes, MalformedError

_FRAMES = SEQUENTIAL | LOSSLESS | {PROGRESSIVE}
_IN_JPEG = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")
_IN_JPEG_LS = re.compile(rb"\xff+[\x80-\xcf\xd8-\xfe]")
_EOI, _SOS, _DHT, _DQT, _DRI, _DNL, _LSE = 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xDC, 0xF8
_JFIF, _RGB_IDS = b"JFIF\0", ((82, 71, 66), (114, 103, 98))
_ANOTHER = b"\xff\xd8\xff"


class _Piece(Protocol):
    def written(self) -> list[Bytes]:
        """What stays of it."""


class _Raw:
    """Bytes that stay as they are."""

    __slots__ = ("_raw",)

    def __init__(self, raw: Bytes) -> None:
        self._raw = raw

    def written(self) -> list[Bytes]:
        """All of them."""
        return [self._raw]


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
            raise malformed()
        tables.append((slot, segment[pos:stop]))
        pos = stop
    return tables


class _InForce:
    """The tables that the next scan would find at each destination."""

    __slots__ = ("_tables",)

    def __init__(self) -> None:
        self._tables: dict[tuple[int, int], tuple[_Tables, int]] = {}

    def define(self, tables: _Tables) -> None:
        """What a segment defines takes the place of what was there."""
        for index, (slot, _) in enumerate(tables.slots):
            self._tables[tables.marker, slot] = (tables, index)

    def scan(self, frame: Frame, segment: bytes) -> None:
        """Mark what a scan's components ask for: of the Huffman tables DC, AC or both (ISO 10918-1 B.2.3)."""
        first = segment[-3]
        for place in range(segment[0]):
            component, selectors = segment[1 + 2 * place : 3 + 2 * place]
            if frame.kind != PROGRESSIVE or first == 0:
                self._use(_DHT, selectors >> 4)
            if frame.kind in LOSSLESS:
                continue
            if frame.kind != PROGRESSIVE or first:
                self._use(_DHT, 0x10 | selectors & 15)
            self._use(_DQT, frame.components[component].table)

    def _use(self, marker: int, slot: int) -> None:
        if (marker, slot) in self._tables:
            tables, index = self._tables[marker, slot]
            tables.used.add(index)


class _Cleaning:
    """A frame as it is read, segment by segment."""

    __slots__ = ("_force", "_stated", "frame", "kept", "marks", "restarts")

    def __init__(self, stated: Stated) -> None:
        self._stated = stated
        self.kept: list[_Piece] = []
        self.marks = _ColourMarks()
        self._force = _InForce()
        self.frame: Frame | None = None
        self.restarts: Restarts | None = None

    def coded(self, data: Bytes) -> None:
        """The entropy-coded data of a scan, in which are as many restarts as its size asks for."""
        if not len(data):
            return
        assert self.frame is not None
        self.frame.require_restarts(data, self.restarts)
        refuse_text(data, len(data))
        self.kept.append(_Raw(data))

    def segment(self, marker: int, raw: Bytes) -> None:
        """One marker segment, its marker and length first."""
        segment = bytes(raw[4:])
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            self.marks.see(marker, segment)
        elif marker in (_DHT, _DQT):
            tables = _Tables(marker, raw)
            self._force.define(tables)
            self.kept.append(tables)
        elif marker in _FRAMES and self.frame is None:
            self._start(marker, segment)
            self.kept.append(_Raw(raw))
        elif marker == _SOS and self.frame is not None:
            self.kept.append(_Raw(bytes(raw[:4]) + self.frame.scan(segment)))
            self._force.scan(self.frame, segment)
        elif marker == _DRI:
            self.restarts = Restarts(raw, segment)
            self.kept.append(self.restarts)
        elif marker == _DNL and segment == struct.pack(">H", self._stated.rows):
            return  # the frame has said it (ISO 10918-1 B.2.5)
        elif _well_formed(marker, segment):
            self.kept.append(_Raw(raw))
        else:
            raise malformed()

    def _start(self, marker: int, segment: bytes) -> None:
        if len(segment) < 9 or len(segment) != 6 + 3 * segment[5]:
            raise malformed()
        precision, rows, columns, samples = struct.unpack(">BHHB", segment[:6])
        require(self._stated, rows, columns, samples, precision)
        self.frame = Frame(marker, segment)


def clean_jpeg(data: Bytes, stated: Stated, *, lossless_ls: bool = False) -> list[Bytes]:
    """A JPEG or JPEG-LS frame without COM, APPn, unused tables and what follows EOI (ISO 10918-1 B, 14495-1 C).

    Raises:
        MalformedError: CODESTREAM_MALFORMED where a segment isn't what the standard says; PIXELS_NOT_AS_STATED or
            PIXELS_MORE_BITS where the image is another than `stated`; FRAGMENTS_MALFORMED where another one follows.
    """
    search = (_IN_JPEG_LS if lossless_ls else _IN_JPEG).search
    if bytes(data[:2]) != b"\xff\xd8":
        raise malformed()
    reading = _Cleaning(stated)
    pos, in_scan = 2, False
    while True:
        match = search(data, pos)
        if match is None or (match.start() != pos and not in_scan):
            raise malformed()
        reading.coded(data[pos : match.start()])
        pos = match.end()  # fill bytes before a marker say nothing
        marker = data[pos - 1]
        if marker == _EOI:
            break
        if len(data) < pos + 2:
            raise malformed()
        stop = pos + (data[pos] << 8 | data[pos + 1])
        if stop < pos + 2 or stop > len(data):
            raise malformed()
        reading.segment(marker, data[pos - 2 : stop])
        in_scan = marker == _SOS
        pos = stop
    if reading.frame is None or not reading.frame.whole:
        raise malformed()
    refuse_another(data[pos:], _ANOTHER)
    return _assembled(reading, lossless_ls=lossless_ls)


def _assembled(reading: _Cleaning, *, lossless_ls: bool) -> list[Bytes]:
    """The pieces of a frame from SOI to EOI."""
    components = tuple(reading.frame.components) if reading.frame else ()
    pieces: list[Bytes] = [b"\xff\xd8", *reading.marks.segments(components, lossless_ls=lossless_ls)]
    for piece in reading.kept:
        pieces += piece.written()
    return [piece for piece in [*pieces, b"\xff\xd9"] if len(piece)]


def _well_formed(marker: int, segment: bytes) -> bool:
    """Whether a segment has exactly the length that its own fields ask for."""
    return marker == _LSE and len(segment) == 11 and segment[0] == 1


def says_ycc(data: Bytes) -> bool:
    """Whether a frame of three components says by a JFIF segment that its colours are YCbCr, which readers follow.

    An Adobe segment says it too, but that one stays in the frame.
    """
    pos, jfif = 2, False
    while pos + 4 <= len(data) and data[pos] == 0xFF:
        marker = data[pos + 1]
        if marker in _FRAMES:
            return jfif and data[pos + 9] == 3
        if marker == 0xFF:
            pos += 1
            continue
        jfif |= marker == 0xE0 and bytes(data[pos + 4 : pos + 9]) == _JFIF
        if marker == 0xEE and bytes(data[pos + 4 : pos + 9]) == b"Adobe":
            return False
        pos += 2 + (data[pos + 2] << 8 | data[pos + 3])
    return False


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
        elif marker == 0xE0 and segment[:5] == _JFIF:
            self.jfif = True
        elif marker == 0xE8 and segment[:4] == b"mrfx" and len(segment) >= 5 and segment[4] <= 5:
            self.ls_transform = segment[4]

    def segments(self, components: tuple[int, ...], *, lossless_ls: bool) -> list[Bytes]:
        """The segments that must stay, rebuilt.

        Raises:
            MalformedError: PIXELS_NOT_AS_STATED where JFIF says YCbCr of components that are named R, G and B: readers
                follow the one or the other.
        """
        if lossless_ls:
            return [b"\xff\xe8\x00\x07mrfx" + bytes([self.ls_transform])] if self.ls_transform else []
        transform = self.adobe
        if transform is None and self.jfif and components in _RGB_IDS:
            raise MalformedError("PIXELS_NOT_AS_STATED", "PixelData")
        if transform is None or len(components) < 3:
            return []
        return [b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])]
