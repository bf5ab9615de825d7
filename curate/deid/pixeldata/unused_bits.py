"""The bits of uncompressed samples: nothing stands in those that the data set does not say are stored (PS3.5 8.1.1)."""

from __future__ import annotations

import numpy as np

from curate.dicom.model import Bytes


def cleared(value: Bytes, allocated: int, stored: int, high: int, *, signed: bool) -> tuple[Bytes, bool]:
    """Samples of 8 to 64 bits, little endian, with nothing in the bits that are not stored, and whether that changed.

    Sign bits above the high bit are not nothing.
    """
    if stored == allocated:
        return value, False
    samples = np.frombuffer(value, f"<u{allocated // 8}")
    low = high + 1 - stored
    if signed:
        return _clear_signed(samples, allocated, stored, high, value)
    mask = ((1 << stored) - 1) << low
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


def _clear_signed(samples: np.ndarray, allocated: int, stored: int, high: int, value: Bytes) -> tuple[Bytes, bool]:
    """Two's complement in fewer bits: the rest repeats the sign, or is zero throughout."""
    bound, low = 1 << high, high + 1 - stored
    numbers = samples.view(f"<i{allocated // 8}")
    below = _union(value, samples) & ((1 << low) - 1) if low else 0
    extended = int(numbers.min()) >= -bound and int(numbers.max()) < bound
    if not below and (extended or int(samples.max()) < 2 * bound):
        return value, False
    up = numbers.dtype.type(allocated - 1 - high)
    down = numbers.dtype.type(allocated - stored)
    clean = ((numbers << up) >> down) << numbers.dtype.type(low)
    return memoryview(clean.view("u1")), True


def clear_last(value: Bytes, bits: int) -> tuple[Bytes, bool]:
    """One-bit pixels are packed across frames; what is left of the last byte is zero (PS3.5 8.1.1)."""
    used = bits % 8
    last = value[-1]
    if not used or not last >> used:
        return value, False
    return bytes(value[:-1]) + bytes([last & (1 << used) - 1]), True
