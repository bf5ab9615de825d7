"""Elements that many files have in common, kept once: most of a series' headers are the same bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

from curate.dicom.model import Element

LONGEST, LONGEST_SEQUENCE = 1024, 1 << 16  # bytes of an element, of a sequence
_MOST = 1 << 24  # bytes that the elements of one table may take
_OVERHEAD = 800  # an element, its clean form and its verdict
_MOST_TABLES = 8


@dataclass(slots=True)
class ElementTable:
    """Elements by their raw bytes; by their heads, the last open-ended sequences."""

    elements: dict[bytes, Element] = field(default_factory=dict)
    open_ended: dict[bytes, tuple[bytes, Element]] = field(default_factory=dict)
    size: int = 0

    def keep(self, raw: bytes, element: Element) -> None:
        """Remember an element."""
        self._grow(len(raw))
        self.elements[raw] = element

    def _grow(self, size: int) -> None:
        """A full table starts anew."""
        self.size += size + _OVERHEAD
        if self.size > _MOST:
            self.elements.clear()
            self.open_ended.clear()
            self.size = 0


_tables: dict[tuple[bool, tuple[str, ...]], ElementTable] = {}


def table_of(top: bool, encodings: tuple[str, ...]) -> ElementTable:
    """Where elements are shared: apart for the top level, since those below have a bound on their depth."""
    table = _tables.get((top, encodings))
    if table is None:
        if len(_tables) >= _MOST_TABLES:
            _tables.clear()
        table = _tables[(top, encodings)] = ElementTable()
    return table


def forget() -> None:
    """Start anew, as a fresh process does."""
    _tables.clear()
