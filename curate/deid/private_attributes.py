"""Private attributes proven safe (PS3.15 E.3.10): by creator and element, each with a grammar for its value."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import cache

from curate.deid.grammar import BINARY, TEXT_NUMBERS, data, even, split

BLOCKS = frozenset(("csa", "protocol", "ge-protocol", "ge-raw"))
"""Grammars of blocks that hold values of their own: one of which nothing is known goes, and is not told of."""
_FLAGS = 0xFFF00000  # the high bits of GE's further integers; the low ones count to some thirty
_MOST_COUNTED = 31
_LONG = 100_000
_GE_FLAG = 1_000_000_000
_LARGEST_BVALUE = 100_000
_STEP = 5  # b-values are stated in steps of this where they are as small as a year


@dataclass(frozen=True, slots=True)
class Safe:
    """One private attribute: its VR, how many values it has at most, their grammar, and why it stays.

    `states` is the quantity that other rules look for in it: b-value, rotation (seconds), or none. `vendor` is whose
    header it is part of, where PS3.15 Table E.3.10-1 does not list it.
    """

    vr: str
    most: int
    grammar: str
    why: str
    states: str = ""
    vendor: str = ""


@cache
def safe() -> dict[tuple[str, int, int], Safe]:
    """By creator, group and element within its block."""
    return {
        (entry["creator"], int(entry["group"], 16), int(entry["element"], 16)): Safe(
            entry["vr"],
            entry["vm"],
            entry["grammar"],
            entry["why"],
            entry.get("states", ""),
            entry.get("vendor", ""),
        )
        for entry in (*data("private.json"), *data("vendor.json"))
    }


@cache
def creators() -> frozenset[tuple[int, str]]:
    """(group, creator) of the blocks that hold a safe attribute."""
    return frozenset((group, creator) for creator, group, _ in safe())


def find(tag: int, creator: str | None) -> Safe | None:
    """What is known of a private attribute; None where it is not proven safe."""
    return safe().get((creator or "", tag >> 16, tag & 0xFF))


def is_block(tag: int) -> bool:
    """Whether a private tag reserves a block: (gggg,0010-00FF)."""
    return 0x10 <= tag & 0xFFFF <= 0xFF


def ge_bvalue(_argument: str, vr: str, raw: bytes) -> bytes | None:
    """GE's b-value: the first of four integers, sometimes with 10^9 added, which goes; flags beside it."""
    parts = split(raw)
    if vr != "IS" or not all(re.fullmatch(r"\d{1,10}", part) for part in parts):
        return None
    first, *rest = map(int, parts)
    first -= _GE_FLAG if first >= _GE_FLAG else 0
    if first > _LARGEST_BVALUE or any(part & ~_FLAGS > _MOST_COUNTED for part in rest):
        return None
    return even("\\".join(map(str, [first, *rest])).encode(), b" ")


def repeats(known: Safe, vr: str, raw: bytes, own: frozenset[int]) -> bool:
    """Whether a clean private number is one of a person's own; a likely b-value of up to four digits is none.

    In a block of many numbers those of six digits or more count: shorter ones are met by chance.
    """
    if not own:
        return False
    if known.grammar in BLOCKS:
        return any(str(number).encode() in raw for number in own if number >= _LONG)
    return any(number in own and not _is_likely(known, number) for number in _whole_numbers(vr, raw))


def _is_likely(known: Safe, number: int) -> bool:
    return known.states == "b-value" and number < 10_000 and number % _STEP == 0


def _whole_numbers(vr: str, raw: bytes) -> list[int]:
    if vr in TEXT_NUMBERS:
        numbers = [float(part) for part in split(raw) if part]
    elif kind := BINARY.get(vr):
        size = struct.calcsize(kind)
        numbers = list(struct.unpack(f"<{len(raw) // size}{kind}", raw[: len(raw) // size * size]))
    else:
        return []
    return [int(number) for number in numbers if number == int(number)]
