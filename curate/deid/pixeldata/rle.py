"""An RLE frame (PS3.5 G): its segments rebuilt, each cut where it has given its bytes, unused bits cleared."""

from __future__ import annotations

import itertools
import re
import struct

import numpy as np

from curate.deid.pixeldata.codestreams import Stated, malformed
from curate.dicom.model import Bytes

_MOST = 15  # segments
_LONGEST = 128  # bytes that one code gives
_RUNS = re.compile(rb"(.)\1{2,}", re.DOTALL)


def clean_rle(data: Bytes, stated: Stated) -> list[Bytes]:
    """An RLE frame whose header and segments are rebuilt, each cut where it has given its bytes (PS3.5 G).

    Segments whose bits go beyond the stored ones are coded anew.

    Raises:
        MalformedError: CODESTREAM_MALFORMED where a segment is missing or gives fewer bytes.
    """
    pixels, wide = stated.rows * stated.columns, stated.allocated // 8
    segments = stated.samples * wide
    if len(data) < 64:
        raise malformed()
    header = struct.unpack("<16L", data[:64])
    if header[0] != segments or not 1 <= segments <= _MOST:
        raise malformed()
    found = []
    for start, stop in itertools.pairwise([*header[1 : segments + 1], len(data)]):
        if not 64 <= start <= stop <= len(data):
            raise malformed()
        found.append(_cut(bytes(data[start:stop]), pixels))
    if stated.stored < stated.allocated:
        _clear(found, stated)
    offsets, place, pieces = [], 64, []
    for segment in found:
        offsets.append(place)
        pieces.append(segment + b"\0" * (len(segment) % 2))
        place += len(pieces[-1])
    return [struct.pack("<16L", segments, *offsets, *([0] * (_MOST - segments))), *pieces]


def _cut(segment: bytes, pixels: int) -> bytes:
    """A segment up to where it has given `pixels` bytes; what its last code gives beyond them goes."""
    pos = given = 0
    size = len(segment)
    while given < pixels:
        if pos >= size:
            raise malformed()
        start, code = pos, segment[pos]
        if code < 128:
            given += code + 1
            pos += code + 2
        elif code > 128:
            given += 257 - code
            pos += 2
        else:
            pos += 1
    if pos > size:
        raise malformed()
    if not (over := given - pixels):
        return segment[:pos]
    if code < 128:
        return segment[:start] + bytes((code - over,)) + segment[start + 1 : pos - over]
    left = 257 - code - over
    return segment[:start] + bytes((257 - left if left > 1 else 0,)) + segment[start + 1 : pos]


def decoded(segment: bytes, pixels: int) -> np.ndarray:
    """The bytes that a sound segment gives."""
    pieces, pos, given = [], 0, 0
    while given < pixels:
        code = segment[pos]
        if code < 128:
            pieces.append(segment[pos + 1 : pos + code + 2])
            given += code + 1
            pos += code + 2
        elif code > 128:
            pieces.append(segment[pos + 1 : pos + 2] * (257 - code))
            given += 257 - code
            pos += 2
        else:
            pos += 1
    return np.frombuffer(b"".join(pieces), "u1")[:pixels]


def coded(plane: np.ndarray, columns: int) -> bytes:
    """Bytes as a segment: runs of three and more as replicates, rows apart (PS3.5 G.3.1)."""
    return b"".join(_row(plane[at : at + columns].tobytes()) for at in range(0, len(plane), columns))


def _row(row: bytes) -> bytes:
    pieces, pos = [], 0
    for match in _RUNS.finditer(row):
        pieces += _literals(row[pos : match.start()])
        for at in range(match.start(), match.end(), _LONGEST):
            count = min(_LONGEST, match.end() - at)
            pieces.append(bytes((257 - count if count > 1 else 0, row[at])))
        pos = match.end()
    return b"".join([*pieces, *_literals(row[pos:])])


def _literals(row: bytes) -> list[bytes]:
    parts = [row[at : at + _LONGEST] for at in range(0, len(row), _LONGEST)]
    return [bytes((len(part) - 1,)) + part for part in parts]


def _clear(segments: list[bytes], stated: Stated) -> None:
    """Code anew each sample's segments in which there is something beside the stored bits."""
    from curate.deid.pixeldata.unused_bits import cleared

    pixels, wide = stated.rows * stated.columns, stated.allocated // 8
    for sample in range(stated.samples):
        place = slice(sample * wide, (sample + 1) * wide)  # the most significant byte first (PS3.5 G.2)
        planes = [decoded(segment, pixels) for segment in segments[place]]
        values = np.stack(planes[::-1], 1).tobytes()
        kept, changed = cleared(values, stated.allocated, stated.stored, stated.high, signed=stated.signed)
        if changed:
            clean = np.frombuffer(kept, "u1").reshape(pixels, wide)
            segments[place] = [coded(clean[:, wide - 1 - at], stated.columns) for at in range(wide)]
