"""Failing on order: which call, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass


@dataclass
class Fault:
    """One fault that the server commits.

    `match` is the name of an endpoint (`commit`), or a regular expression on `METHOD /path?query`.
    `nth` says which of the matching calls fail: a number from 1, several, or `None` for all.
    """

    match: str
    nth: int | Collection[int] | None = 1
    status: int | None = None
    retry_after: float | None = None
    message: str = "failed on order"
    code: str = ""
    reset_midway: bool = False
    lose_answer: bool = False
    corrupt_byte: int | None = None
    delay: float = 0.0
    before: Callable[[], None] | None = None
    seen: int = 0
    struck: int = 0

    def strikes(self, endpoint: str, line: str) -> bool:
        """Whether this fault hits this call; counts the calls that match."""
        named = re.fullmatch(r"[a-z-]+", self.match) is not None
        if not (self.match == endpoint if named else re.search(self.match, line)):
            return False
        self.seen += 1
        wanted = {self.nth} if isinstance(self.nth, int) else self.nth
        if wanted is not None and self.seen not in wanted:
            return False
        self.struck += 1
        return True


def corrupted(data: bytes, position: int) -> bytes:
    """The data with one bit changed."""
    if not data:
        return data
    position %= len(data)
    return data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
