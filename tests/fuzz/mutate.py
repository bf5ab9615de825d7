"""Seeded damage to DICOM bytes: what a broken disk, a bad writer or an attacker would do."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

LENGTHS = (0, 1, 2, 7, 8, 0x7F, 0xFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
VRS = (b"SQ", b"UN", b"OB", b"OW", b"UT", b"LO", b"US", b"FD", b"UI", b"CS", b"DS", b"AT", b"ZZ", b"\0\0")
MARKS = (
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\x0d\xe0",
    b"\xfe\xff\xdd\xe0",
    b"\xff\xd8",
    b"\xff\xd9",
    b"\xff\xda",
    b"\xff\x4f",
)
Mutation = Callable[[random.Random, bytearray, bytes], None]


def _place(pick: random.Random, data: bytearray) -> int:
    """Somewhere in the file, headers rather than pixels."""
    end = len(data) if pick.random() < 0.3 else min(len(data), 4096)
    return pick.randrange(end) if end else 0


def _flip(pick: random.Random, data: bytearray, other: bytes) -> None:
    for _ in range(pick.choice((1, 1, 2, 8))):
        if data:
            data[_place(pick, data)] ^= 1 << pick.randrange(8)


def _overwrite(pick: random.Random, data: bytearray, other: bytes) -> None:
    at = _place(pick, data)
    data[at : at + pick.randrange(1, 17)] = pick.randbytes(pick.randrange(1, 17))


def _cut(pick: random.Random, data: bytearray, other: bytes) -> None:
    del data[_place(pick, data) :]


def _remove(pick: random.Random, data: bytearray, other: bytes) -> None:
    at = _place(pick, data)
    del data[at : at + pick.choice((1, 2, 4, 8, 64, 500))]


def _repeat(pick: random.Random, data: bytearray, other: bytes) -> None:
    at, size = _place(pick, data), pick.choice((2, 8, 60, 600))
    data[at:at] = data[at : at + size] * pick.choice((1, 3, 40))


def _splice(pick: random.Random, data: bytearray, other: bytes) -> None:
    at = pick.randrange(len(other)) if other else 0
    where = _place(pick, data)
    data[where:where] = other[at : at + pick.choice((8, 64, 1024))]


def _length32(pick: random.Random, data: bytearray, other: bytes) -> None:
    at = _place(pick, data) & ~1
    data[at : at + 4] = struct.pack("<I", pick.choice(LENGTHS))


def _length16(pick: random.Random, data: bytearray, other: bytes) -> None:
    at = _place(pick, data) & ~1
    data[at : at + 2] = struct.pack("<H", pick.choice(LENGTHS) & 0xFFFF)


def _vr(pick: random.Random, data: bytearray, other: bytes) -> None:
    at = (_place(pick, data) & ~1) + 4
    data[at : at + 2] = pick.choice(VRS)


def _mark(pick: random.Random, data: bytearray, other: bytes) -> None:
    at = _place(pick, data) & ~1
    data[at : at + pick.choice((0, 4))] = pick.choice(MARKS)


def _known_length(pick: random.Random, data: bytearray, other: bytes) -> None:
    """The length of an element, found by its VR, set to something else."""
    found = [at for vr in VRS[:10] if (at := data.find(vr, _place(pick, data))) > 0]
    if found:
        at = pick.choice(found) + 2
        data[at : at + 2] = struct.pack("<H", pick.choice(LENGTHS) & 0xFFFF)


MUTATIONS: tuple[Mutation, ...] = (
    _flip, _flip, _flip, _overwrite, _overwrite, _cut, _remove, _repeat, _splice, _length32, _length16,
    _vr, _vr, _mark, _known_length,
)  # fmt: skip


def mutated(pick: random.Random, data: bytes, other: bytes) -> bytes:
    """The data after one to six mutations."""
    damaged = bytearray(data)
    for _ in range(pick.choice((1, 1, 1, 2, 3, 6))):
        pick.choice(MUTATIONS)(pick, damaged, other)
    return bytes(damaged)
