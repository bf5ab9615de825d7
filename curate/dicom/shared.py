"""Elements that many files have in common, kept once: most of a series' headers are the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from curate.dicom.types import Element

LONGEST, LONGEST_SEQUENCE = 1024, 1 << 16  # bytes of an element, of a sequence or run
_MOST = 1 << 24  # bytes that the elements of one table may take
_OVERHEAD = 800  # an element, its clean form and its verdict
_MOST_TABLES = 8
_RUNS_A_HEAD = 4


class Run(NamedTuple):
    """Elements that follow each other byte for byte in file after file."""

    raw: bytes
    elements: dict[int, Element]


@dataclass(slots=True)
class Shared:
    """Elements by their raw bytes; by their heads, the last open-ended sequence and the latest runs."""

    elements: dict[bytes, Element] = field(default_factory=dict)
    open_ended: dict[bytes, tuple[bytes, Element]] = field(default_factory=dict)
    runs: dict[bytes, tuple[Run, ...]] = field(default_factory=dict)
    size: int = 0

    def keep(self, raw: bytes, element: Element) -> None:
        """Remember an element."""
        self._grow(len(raw))
        self.elements[raw] = element

    def keep_runs(self, data: bytes, trail: list[tuple[int, int, int, Element]]) -> None:
        """Remember which known elements (start, stop, tag, element) followed each other."""
        first = 0
        for last in range(len(trail)):
            if last + 1 < len(trail) and trail[last + 1][0] == trail[last][1]:
                continue
            raw = data[trail[first][0] : trail[last][1]]
            if last > first and len(raw) <= LONGEST_SEQUENCE:
                run = Run(raw, {tag: element for _, _, tag, element in trail[first : last + 1]})
                self._grow(len(raw))
                self.runs[raw[:8]] = (run, *self.runs.get(raw[:8], ())[: _RUNS_A_HEAD - 1])
            first = last + 1

    def _grow(self, size: int) -> None:
        """A full table starts anew."""
        self.size += size + _OVERHEAD
        if self.size > _MOST:
            self.elements.clear()
            self.open_ended.clear()
            self.runs.clear()
            self.size = 0


_tables: dict[tuple[bool, tuple[str, ...]], Shared] = {}


def table_of(top: bool, encodings: tuple[str, ...]) -> Shared:
    """Where elements are shared: apart for the top level, since those below have a bound on their depth."""
    table = _tables.get((top, encodings))
    if table is None:
        if len(_tables) >= _MOST_TABLES:
            _tables.clear()
        table = _tables[(top, encodings)] = Shared()
    return table


def forget() -> None:
    """Start anew, as a fresh process does."""
    _tables.clear()
