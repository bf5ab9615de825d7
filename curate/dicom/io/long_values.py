"""Elements of very many values, worked on in pieces: a list of them would take tens of times their bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np

MOST_NAMED = 1 << 16  # values of an element that is no list of numbers; no such attribute has nearly as many
_PIECE, _FEW = 1 << 16, 1 << 10  # bytes
_WIDTHS = {"L": "u4", "l": "i4"}  # which numpy has by another name


class _Known(dict[bytes, bytes]):
    """Values of an element with what becomes of each, as far as memory should hold them."""

    def __init__(self, become: Callable[[str], str]) -> None:
        super().__init__()
        self._become = become

    def __missing__(self, part: bytes) -> bytes:
        made = self._become(part.strip(b" \0").decode("ascii", "replace")).encode()
        if len(self) < MOST_NAMED:
            self[part] = made
        return made


def each(raw: bytes, become: Callable[[str], str]) -> bytes:
    """A multi-valued ASCII element with each value, trimmed, become another; in pieces, so that memory grows little."""
    known, pieces, start = _Known(become), [], 0
    while start <= len(raw):
        end = raw.find(b"\\", start + _PIECE)
        end = len(raw) if end < 0 else end
        pieces.append(b"\\".join(map(known.__getitem__, raw[start:end].split(b"\\"))))
        start = end + 1
    return b"\\".join(pieces)


def all_within(low: float, high: float, kind: str, raw: bytes) -> bool:
    """Whether all numbers are in range, and no real one so near to zero that its bytes could be something else."""
    if len(raw) <= _FEW:
        values = struct.unpack(f"<{len(raw) // struct.calcsize('<' + kind)}{kind}", raw)
        tiny = kind in "fd" and any(value and abs(value) < 1e-20 for value in values)
        return not tiny and all(low <= value <= high for value in values)  # a NaN is in no range
    for start in range(0, len(raw), _PIECE):  # a list of numbers would take eighteen times its bytes
        many = np.frombuffer(raw[start : start + _PIECE], np.dtype(_WIDTHS.get(kind, kind)).newbyteorder("<"))
        if not bool(np.all((many >= low) & (many <= high))):
            return False
        if kind in "fd" and bool(np.any((many != 0) & (np.abs(many) < 1e-20))):
            return False
    return True
