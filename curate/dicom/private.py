"""Private attributes proven safe (PS3.15 E.3.10): by creator and element, each with a grammar for its value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from curate.dicom.grammar import data


@dataclass(frozen=True, slots=True)
class Safe:
    """One private attribute: its VR, how many values it has at most, their grammar, and why it stays."""

    vr: str
    most: int
    grammar: str
    why: str


@cache
def safe() -> dict[tuple[str, int, int], Safe]:
    """By creator, group and element within its block."""
    return {
        (entry["creator"], int(entry["group"], 16), int(entry["element"], 16)): Safe(
            entry["vr"], entry["vm"], entry["grammar"], entry["why"]
        )
        for entry in data("private.json")
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
