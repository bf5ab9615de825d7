"""What a coded frame's own header says of its size, before any decoder reads it: it must be what the data set says.

Nothing is decoded: markers alone are walked, each bounded by the frame's length (ISO 10918-1 B, 14495-1 C,
15444-1 A; PS3.5 G).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from curate.decoding.errors import UndecodableError

Bytes = bytes | memoryview

RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE, JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = frozenset(("1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"))
JPEG_LS = frozenset(("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"))
JPEG_2000 = frozenset(("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"))
HTJ2K = frozenset(f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203))
JPEG = JPEG_LOSSLESS | {JPEG_BASELINE, JPEG_EXTENDED}

_SOF = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_SOS, _EOI = 0xDA, 0xD9
_MOST_TILES = 65_535  # ISO 15444-1 A.4.2
_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
_SIZ = re.compile(rb"\xff\x4f\xff\x51", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Header:
    """Size in pixels, components, bits of the widest component, tiles, of one coded image; `process` is its SOF."""

    rows: int
    columns: int
    components: int
    precision: int
    tiles: int = 1
    process: int = 0


def header(data: Bytes, syntax: str) -> Header | None:
    """What a frame's own header says; None for a transfer syntax whose frames have none that is known here.

    Raises:
        UndecodableError: it has no header, or a damaged one.
    """
    try:
        if syntax in JPEG or syntax in JPEG_LS:
            return _jpeg(data)
        if syntax in JPEG_2000 or syntax in HTJ2K:
            return _jpeg_2000(data)
    except (struct.error, IndexError):
        raise UndecodableError("HeaderDamaged") from None
    return None


def agree(data: Bytes, syntax: str, *, rows: int, columns: int, samples: int, allocated: int) -> Header | None:
    """The header of a frame that is of the size, components and bits which the data set states.

    Raises:
        UndecodableError: it says otherwise, or cannot be read.
    """
    if syntax == RLE:
        _check_rle(data, samples * -(-allocated // 8))
        return None
    found = header(data, syntax)
    if found is None:
        return None
    stated = (rows, columns, samples)
    if (found.rows, found.columns, found.components) != stated or not 0 < found.precision <= allocated:
        raise UndecodableError("HeaderDisagrees")
    if not 0 < found.tiles <= _MOST_TILES:
        raise UndecodableError("HeaderDisagrees")
    return found


def _jpeg(data: Bytes) -> Header:
    """The frame header (SOF) before the first scan: one, and one alone (ISO 10918-1 B.2.2)."""
    if bytes(data[:2]) != b"\xff\xd8":
        raise UndecodableError("HeaderDamaged")
    found: Header | None = None
    pos = 2
    while True:
        if data[pos] != 0xFF:
            raise UndecodableError("HeaderDamaged")
        while data[pos] == 0xFF:  # fill bytes
            pos += 1
        marker = data[pos]
        length = int.from_bytes(data[pos + 1 : pos + 3])
        if marker in (_SOS, _EOI) or length < 2 or pos + 1 + length > len(data):
            break
        if marker in _SOF:
            if found is not None:
                raise UndecodableError("HeaderDisagrees")
            precision, rows, columns, components = struct.unpack(">BHHB", data[pos + 3 : pos + 9])
            found = Header(rows, columns, components, precision, process=marker)
        pos += 1 + length
    if found is None or marker != _SOS:
        raise UndecodableError("HeaderDamaged")
    return found


def _jpeg_2000(data: Bytes) -> Header:
    """The SIZ segment, which comes first (ISO 15444-1 A.5.1); a JP2 file's boxes before it are passed over."""
    start = 0
    if bytes(data[:12]) == _JP2:
        match = _SIZ.search(data)
        start = match.start() if match else 0
    if bytes(data[start : start + 4]) != b"\xff\x4f\xff\x51":
        raise UndecodableError("HeaderDamaged")
    fields = struct.unpack(">HH8LH", data[start + 4 : start + 42])
    length, _, width, height, left, top, tile_width, tile_height, tile_left, tile_top, components = fields
    parts = bytes(data[start + 42 : start + 42 + 3 * components])
    if length != 38 + 3 * components or len(parts) != 3 * components or not components:
        raise UndecodableError("HeaderDamaged")
    if not (left < width and top < height and tile_width and tile_height and 0 not in parts[1::3] + parts[2::3]):
        raise UndecodableError("HeaderDamaged")
    across, down = -(-(width - tile_left) // tile_width), -(-(height - tile_top) // tile_height)
    precision = max((one & 0x7F) + 1 for one in parts[::3])
    return Header(height - top, width - left, components, precision, across * down)


def _check_rle(data: Bytes, segments: int) -> None:
    """The header of an RLE frame counts one segment for each byte of a pixel, each within the frame (PS3.5 G.5)."""
    if len(data) < 64:
        raise UndecodableError("HeaderDamaged")
    count, *offsets = struct.unpack("<16L", data[:64])
    if count != segments or not 1 <= count <= 15:
        raise UndecodableError("HeaderDisagrees")
    places = [*offsets[:count], len(data)]
    if places[0] < 64 or sorted(places) != places:
        raise UndecodableError("HeaderDamaged")
