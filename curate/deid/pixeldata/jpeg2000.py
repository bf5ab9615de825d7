"""A JPEG 2000 frame: its marker segments hold what the standard asks for, its image is the one that is stated."""

from __future__ import annotations

import re
import struct

from curate.deid.pixeldata.codestreams import Stated, malformed, refuse_another, refuse_text, require
from curate.dicom.model import Bytes

SIZ, CAP, COD, COC, QCD, QCC, RGN, POC = 0x51, 0x50, 0x52, 0x53, 0x5C, 0x5D, 0x5E, 0x5F
_LEVELS = 32  # the most that any profile has (ISO 15444-1 Table A.15)
_WIDE = 257  # from so many components on their numbers take two bytes
_IN_J2K = re.compile(rb"\xff[\x90\x93-\xff]")
_DROPPED = frozenset((0x55, 0x57, 0x58, 0x59, 0x63, 0x64))  # TLM, PLM, PLT, CPF, CRG, COM: not needed
_SOT, _SOD, _START = 0x90, 0x93, b"\xff\x4f\xff\x51"
_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
_SIZE = struct.Struct(">8LH")
_LARGEST_TILE = 1 << 16


def clean_jpeg_2000(data: Bytes, stated: Stated) -> list[Bytes]:
    """A JPEG 2000 (also High-Throughput) frame without boxes, comments, pointers and what follows EOC (ISO 15444-1 A).

    Raises:
        MalformedError: CODESTREAM_MALFORMED where a segment isn't what the standard says; PIXELS_NOT_AS_STATED or
            PIXELS_MORE_BITS where the image is another than `stated`; FRAGMENTS_MALFORMED where another one follows.
    """
    if bytes(data[:12]) == _JP2:
        data = _in_box(data)
    if bytes(data[:4]) != _START or len(data) < 42:
        raise malformed()
    tiles = _require_stated(data, stated)
    main, pos = _header(data, 2, _SOT, stated.samples)
    pieces: list[Bytes] = []
    parts = _Parts(tiles)
    while pos < len(data) - 1 and data[pos] == 0xFF and data[pos + 1] == _SOT:
        piece, pos = _tile_part(data, pos, stated.samples, parts)
        pieces.extend(piece)
    parts.require_all()
    if bytes(data[pos : pos + 2]) not in (b"\xff\xd9", b"", b"\0", b"\0\0"):
        raise malformed()
    refuse_another(data[pos + 2 :], _START)
    return [b"\xff\x4f", *main, *pieces, b"\xff\xd9"]


def _require_stated(data: Bytes, stated: Stated) -> int:
    """The number of tiles of an image whose SIZ says what the data set says, with no room beside it (A.5.1)."""
    right, bottom, left, top, wide, tall, *origin, components = _SIZE.unpack(bytes(data[8:42]))
    if (left, top, *origin) != (0, 0, 0, 0) or not (wide > 0 and tall > 0):
        raise malformed()
    if max(wide, tall) > max(right, bottom, _LARGEST_TILE):
        raise malformed()
    depths = bytes(data[42 : 42 + 3 * components])
    precisions = {(depth & 0x7F) + 1 for depth in depths[::3]}
    require(stated, bottom, right, components, max(precisions, default=0))
    if set(depths[1::3]) | set(depths[2::3]) != {1}:  # no component is coarser than the others
        raise malformed()
    return int(-(-right // wide) * -(-bottom // tall))


class _Parts:
    """Which parts of which tiles have come: each tile is there, its parts in order, and no tile besides (A.4.2)."""

    __slots__ = ("_next", "_of", "_tiles")

    def __init__(self, tiles: int) -> None:
        self._tiles = tiles
        self._next: dict[int, int] = {}
        self._of: dict[int, int] = {}

    def add(self, tile: int, part: int, parts: int) -> None:
        """One more tile-part; `parts` is 0 where it does not say how many there are."""
        stated = self._of.setdefault(tile, parts) or parts
        self._of[tile] = stated
        sound = tile < self._tiles and part == self._next.get(tile, 0) and (not parts or parts == stated)
        if not sound or (stated and part > stated):  # some encoders count one too few
            raise malformed()
        self._next[tile] = part + 1

    def require_all(self) -> None:
        """Refuse an image of which a tile is missing."""
        if len(self._next) != self._tiles:
            raise malformed()


def sound(marker: int, body: bytes, components: int) -> bool:
    """Whether a segment's body (what follows its length) has the size and range that its fields ask for.

    Packed packet headers (PPM, PPT) are never sound: what they hold can't be told without decoding.
    """
    wide = 1 if components < _WIDE else 2
    own = int.from_bytes(body[:wide])
    if marker == SIZ:
        return len(body) == 36 + 3 * components
    if marker == CAP:
        return len(body) == 4 + 2 * int.from_bytes(body[:4]).bit_count()
    if marker == COD:
        return len(body) >= 10 and _coding(body[0], body[5], len(body) - 10)
    if marker == COC:
        rest = len(body) - wide - 6
        return own < components and rest >= 0 and _coding(body[wide], body[wide + 1], rest)
    if marker == QCD:
        return _quantisation(body)
    if marker == QCC:
        return own < components and _quantisation(body[wide:])
    if marker == RGN:
        return own < components and len(body) == wide + 2 and body[wide] == 0
    return marker == POC and _order(body, wide, components)


def _coding(style: int, levels: int, rest: int) -> bool:
    """The precincts' sizes, one a resolution, are there just where the style says so."""
    return levels <= _LEVELS and rest == (levels + 1 if style & 1 else 0)


def _quantisation(body: bytes) -> bool:
    """One step size a subband: 3 a level and one (ISO 15444-1 A.6.4)."""
    if not body:
        return False
    style, steps = body[0] & 31, body[1:]
    if style == 0:
        return len(steps) % 3 == 1 and len(steps) <= 3 * _LEVELS + 1 and all(step & 7 == 0 for step in steps)
    if style == 1:
        return len(steps) == 2
    return style == 2 and len(steps) % 6 == 2 and len(steps) <= 6 * _LEVELS + 2


def _order(body: bytes, wide: int, components: int) -> bool:
    """Changes of the progression order, each within the image's resolutions and components."""
    size = 5 + 2 * wide
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return bool(parts) and all(
        len(part) == size
        and part[0] <= _LEVELS
        and int.from_bytes(part[1 : 1 + wide]) < components
        and part[3 + wide] <= _LEVELS + 1
        and int.from_bytes(part[4 + wide : 4 + 2 * wide]) <= components
        and part[-1] <= 4
        for part in parts
    )


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
    raise malformed()


def _header(data: Bytes, pos: int, last: int, components: int) -> tuple[list[Bytes], int]:
    """The segments up to a marker that a decoder needs, and where they end."""
    pieces: list[Bytes] = []
    while True:
        if len(data) < pos + 4 or data[pos] != 0xFF:
            raise malformed()
        marker = data[pos + 1]
        if marker == last:
            return pieces, pos
        length = data[pos + 2] << 8 | data[pos + 3]
        stop = pos + 2 + length
        if length < 2 or stop > len(data):
            raise malformed()
        if marker not in _DROPPED:
            if not sound(marker, bytes(data[pos + 4 : stop]), components):
                raise malformed()
            pieces.append(data[pos:stop])
        pos = stop


def _tile_part(data: Bytes, pos: int, components: int, parts: _Parts) -> tuple[list[Bytes], int]:
    """One tile-part: its pieces, and where it ends; its length is what is left of it."""
    if len(data) < pos + 14 or bytes(data[pos + 2 : pos + 4]) != b"\x00\x0a":
        raise malformed()
    tile, size, part, count = struct.unpack(">HLBB", data[pos + 4 : pos + 12])
    parts.add(tile, part, count)
    pieces, body = _header(data, pos + 12, _SOD, components)
    if size:
        stop = pos + size
    else:
        match = _IN_J2K.search(data, body + 2)
        stop = match.start() if match else len(data)
    if stop < body + 2 or stop > len(data):
        raise malformed()
    refuse_text(data, stop)
    cut = body - pos - 12 - sum(map(len, pieces))
    marker = b"\xff\x90\x00\x0a" + struct.pack(">HLBB", tile, size - cut if size else 0, part, count)
    return [marker, *pieces, data[body:stop]], stop
