"""Private attributes proven safe (PS3.15 E.3.10): by creator and element, each with a grammar for its value."""

from __future__ import annotations

from functools import cache

from curate.dicom.grammar import data

SafePrivate = dict[tuple[str, int, int], tuple[str, str]]


@cache
def safe() -> SafePrivate:
    """(creator, group, element within its block) to (grammar, why)."""
    return {
        (entry["creator"], int(entry["group"], 16), int(entry["element"], 16)): (
            entry["grammar"],
            entry["why"],
        )
        for entry in data("private.json")
    }


@cache
def creators() -> frozenset[tuple[int, str]]:
    """(group, creator) of the blocks that hold a safe attribute."""
    return frozenset((group, creator) for creator, group, _ in safe())


def grammar(tag: int, creator: str | None) -> tuple[str, str] | None:
    """The grammar of a private attribute and why it stays; None where it is not proven safe."""
    return safe().get((creator or "", tag >> 16, tag & 0xFF))


def is_block(tag: int) -> bool:
    """Whether a private tag reserves a block: (gggg,0010-00FF)."""
    return 0x10 <= tag & 0xFFFF <= 0xFF
