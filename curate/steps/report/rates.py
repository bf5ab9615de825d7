"""Shares with their intervals, and tables of yes and no in which no small count can be worked out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curate.core.errors import InputError
from curate.privacy.counts import TOTAL, CountTable, count_table, suppress_counts

_Z = 1.959963984540054  # the 97.5th percentile of the normal distribution
OTHERS = "others, few each"
YES, NO = "yes", "no"


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of `of`, with its 95% interval after Wilson; None where a count is hidden or nobody was asked."""

    label: str
    yes: int | None
    of: int | None
    share: float | None = None
    low: float | None = None
    high: float | None = None


def rate(label: str, yes: int | None, of: int | None) -> Rate:
    """A share and its interval."""
    if yes is None or not of:
        return Rate(label, yes, of)
    low, high = wilson(yes, of)
    return Rate(label, yes, of, yes / of, low, high)


def wilson(yes: int, of: int) -> tuple[float, float]:
    """The 95% interval of a share after Wilson (1927), without continuity correction.

    Raises:
        ValueError: not 0 <= yes <= of, or of is 0.
    """
    if not 0 <= yes <= of or of == 0:
        raise ValueError("a share is of at least one")
    share, square = yes / of, _Z * _Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = _Z / (1 + square / of) * math.sqrt(share * (1 - share) / of + square / (4 * of * of))
    return (0.0 if yes == 0 else middle - half), (1.0 if yes == of else middle + half)


def answers(name: str, groups: Mapping[str, tuple[int, int]], k: int, earlier: Sequence[CountTable]) -> CountTable:
    """A table of groups by answer, from yes and no of each; groups below k together are one, and small cells hidden.

    `earlier` are the tables that were public before: they may be subtracted.
    """
    cells: dict[tuple[str, ...], int] = {}
    for group, (yes, no) in groups.items():
        shown = group if yes + no >= k else OTHERS
        for answer, count in ((YES, yes), (NO, no)):
            cells[shown, answer] = cells.get((shown, answer), 0) + count
    table = count_table(name, ("group", "answer"), cells)
    try:
        return suppress_counts(table, k, earlier)
    except InputError:  # the earlier tables contradict each other; nothing can be judged beside them
        return suppress_counts(table, max(k, 2) * 2)


def rates(table: CountTable) -> tuple[Rate, ...]:
    """The groups of a table by name, those that are hidden included."""
    shown = table.published()
    groups = sorted({key[0] for key in table.counts} - {TOTAL})
    return tuple(rate(group, shown.get((group, YES)), shown.get((group, TOTAL))) for group in groups)


def to_json(table: CountTable) -> dict[str, object]:
    """A table as it is kept: with its true counts, for the archive alone."""
    rows = [[list(key), count, key in table.hidden] for key, count in sorted(table.counts.items())]
    return {"name": table.name, "dimensions": list(table.dimensions), "rows": rows}


def from_json(kept: Mapping[str, object]) -> CountTable:
    """A table that was kept."""
    rows = [(tuple(key), int(count), hidden) for key, count, hidden in kept["rows"]]  # type: ignore[attr-defined]
    return CountTable(
        str(kept["name"]),
        tuple(kept["dimensions"]),  # type: ignore[arg-type]
        {key: count for key, count, _ in rows},
        frozenset(key for key, _, hidden in rows if hidden),
    )
