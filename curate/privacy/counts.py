"""Count tables that give no small count away: neither as a cell nor by subtraction.

A small cell is hidden. For each, a linear programme finds the cheapest further cells to hide so that its
value could as well be k - 1 higher with every published number as it is; `recoverable` then bounds all
of them again, independently, from what is published alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from curate.core.errors import InputError
from curate.core.findings import Finding

TOTAL = "total"
Key = tuple[str, ...]
Floats = npt.NDArray[np.float64]
_SLACK = 1e-6
_UNBOUNDED = 3  # linprog's status
_LARGEST = 1500  # cells; a larger table is no reading for people, and slow to solve


@dataclass(frozen=True, slots=True)
class CountTable:
    """How many donors (each in one cell) for every combination of categories, and all totals.

    `counts` maps one category a dimension, or `total`, to the true count; `hidden` are the cells that are
    not published; `dropped` the dimensions that had to go.
    """

    name: str
    dimensions: tuple[str, ...]
    counts: Mapping[Key, int]
    hidden: frozenset[Key] = field(default_factory=frozenset)
    dropped: tuple[str, ...] = ()

    def published(self) -> dict[Key, int | None]:
        """What may be shown: None where hidden."""
        return {key: None if key in self.hidden else count for key, count in sorted(self.counts.items())}


def count_table(name: str, dimensions: Sequence[str], cells: Mapping[Key, int]) -> CountTable:
    """A table of its inner cells: absent combinations are 0, the totals are added.

    Raises:
        InputError: a key of another length, a negative count, or a category named `total`.
    """
    for key, count in cells.items():
        if len(key) != len(dimensions) or count < 0 or TOTAL in key:
            raise InputError(f"Table {name}: a cell has no place in it", hint="Give one category a dimension.")
    axes = [sorted({key[axis] for key in cells}) for axis in range(len(dimensions))]
    counts = dict.fromkeys(itertools.product(*([*axis, TOTAL] for axis in axes)), 0)
    for key, count in cells.items():
        for above in itertools.product(*((category, TOTAL) for category in key)):
            counts[above] += count
    return CountTable(name, tuple(dimensions), counts)


def suppress_counts(
    table: CountTable, k: int, earlier: Sequence[CountTable] = (), *, cumulative: bool = False
) -> CountTable:
    """The table with enough hidden; where that can't be done, without its last dimensions.

    `earlier`: versions of the same table as they were published, which the reader may subtract;
    `cumulative`: the reader knows that no count ever falls.

    Raises:
        InputError: counts that never fall have fallen.
    """
    while True:
        if len(table.counts) > _LARGEST and table.dimensions:
            table = _coarser(table)
            continue
        hidden = _hide(table, k, earlier, cumulative=cumulative)
        if hidden is not None:
            return hidden
        if not table.dimensions:
            return replace(table, hidden=frozenset(table.counts))
        table = _coarser(table)


def recoverable(
    table: CountTable, k: int, earlier: Sequence[CountTable] = (), *, cumulative: bool = False
) -> tuple[Key, ...]:
    """The cells whose small count (or small change since an earlier version) a reader can narrow down.

    From the published numbers alone the count must be open by k - 1 at least.
    """
    system = _system((*earlier, table), cumulative=cumulative)
    published = system.fixed(system.hidden())
    return tuple(key for key, row in _targets(system, k) if _width(system, row, published) < k - 1 - _SLACK)


def findings(table: CountTable, k: int, earlier: Sequence[CountTable] = ()) -> tuple[Finding, ...]:
    """An error for each table with a count that can be worked out."""
    count = len(recoverable(table, k, earlier))
    return (Finding("PRIVACY_COUNT_RECOVERABLE", table.name, "", count),) if count else ()


def _coarser(table: CountTable) -> CountTable:
    """The table without its last dimension, whose place in the keys stays `total`."""
    kept = len(table.dimensions) - 1
    counts = {key: count for key, count in table.counts.items() if all(part == TOTAL for part in key[kept:])}
    dropped = (*table.dropped, table.dimensions[kept])
    return CountTable(table.name, table.dimensions[:kept], counts, dropped=dropped)


def _hide(table: CountTable, k: int, earlier: Sequence[CountTable], *, cumulative: bool) -> CountTable | None:
    """The table with small cells hidden and as many others as it takes; None where none suffice."""
    small = {key for key, count in table.counts.items() if 0 < count < k}
    system = _system((*earlier, replace(table, hidden=frozenset(small))), cumulative=cumulative)
    hidden = system.hidden()
    for _, row in sorted(_targets(system, k), key=lambda target: target[0]):
        if _width(system, row, system.fixed(hidden)) >= k - 1 - _SLACK:
            continue
        moved = _cheapest(system, row, hidden, k)
        if moved is None:
            return None
        hidden |= moved
    mine = frozenset(key for version, key in hidden if version == len(earlier))
    return replace(table, hidden=mine)


@dataclass(frozen=True)
class _System:
    """What every reader knows of all versions: the cells, how they add up, what is published."""

    versions: tuple[CountTable, ...]
    cumulative: bool

    @cached_property
    def cells(self) -> list[tuple[int, Key]]:
        """All cells of all versions."""
        return [(index, key) for index, table in enumerate(self.versions) for key in sorted(table.counts)]

    @cached_property
    def index(self) -> dict[tuple[int, Key], int]:
        """The position of each cell."""
        return {cell: position for position, cell in enumerate(self.cells)}

    @cached_property
    def values(self) -> Floats:
        """The true counts."""
        return np.array([self.versions[version].counts[key] for version, key in self.cells], np.float64)

    @cached_property
    def sums(self) -> Floats:
        """One row for each line of cells that adds up to a total: `sums @ values == 0`."""
        rows = [row for version, table in enumerate(self.versions) for row in self._lines(version, table)]
        return np.array(rows, np.float64).reshape(-1, len(self.cells))

    @cached_property
    def falls(self) -> Floats:
        """Rows that are never above 0: an earlier count minus a later one, where counts never fall."""
        rows = [
            -self.change(earlier, later, key)
            for earlier, later in itertools.pairwise(range(len(self.versions) * self.cumulative))
            for key in self.versions[later].counts
            if key in self.versions[earlier].counts
        ]
        return np.array(rows, np.float64).reshape(-1, len(self.cells))

    def hidden(self) -> set[tuple[int, Key]]:
        """The cells that no version shows."""
        return {(version, key) for version, table in enumerate(self.versions) for key in table.hidden}

    def fixed(self, hidden: set[tuple[int, Key]]) -> npt.NDArray[np.bool_]:
        """Which cells the reader sees."""
        return np.array([cell not in hidden for cell in self.cells], bool)

    def one(self, version: int, key: Key) -> Floats:
        """The row that is a cell."""
        row = np.zeros(len(self.cells))
        row[self.index[version, key]] = 1
        return row

    def change(self, earlier: int, later: int, key: Key) -> Floats:
        """The row that is a cell's growth from one version to another."""
        return self.one(later, key) - self.one(earlier, key)

    def _lines(self, version: int, table: CountTable) -> Iterator[Floats]:
        for key in table.counts:
            for axis in range(len(table.dimensions)):
                if key[axis] == TOTAL:
                    parts = [
                        other
                        for other in table.counts
                        if other[axis] != TOTAL and (*other[:axis], TOTAL, *other[axis + 1 :]) == key
                    ]
                    yield sum((self.one(version, part) for part in parts), -self.one(version, key))


def _system(versions: tuple[CountTable, ...], *, cumulative: bool) -> _System:
    system = _System(versions, cumulative)
    if (system.falls @ system.values > 0).any():
        raise InputError(f"Table {versions[-1].name}: a count is less than before", hint="Don't call it cumulative.")
    return system


def _targets(system: _System, k: int) -> list[tuple[Key, Floats]]:
    """What must stay open: small hidden counts of all versions, small changes since any of them."""
    last = len(system.versions) - 1
    found = [
        (key, system.one(version, key))
        for version, table in enumerate(system.versions)
        for key, count in table.counts.items()
        if 0 < count < k and key in table.hidden
    ]
    for version, key in itertools.product(range(last), system.versions[last].counts):
        count = system.versions[version].counts.get(key)
        open_total = not system.cumulative and all(part == TOTAL for part in key)  # the manifest's length tells it
        if count is not None and not open_total and 0 < abs(system.versions[last].counts[key] - count) < k:
            found.append((key, system.change(version, last, key)))
    return found


def _width(system: _System, row: Floats, fixed: npt.NDArray[np.bool_]) -> float:
    """How far apart the least and the greatest value of `row` are that agree with all published numbers."""
    bounds = [(value, value) if known else (0, None) for value, known in zip(system.values, fixed, strict=True)]
    ends = []
    for sign in (1.0, -1.0):
        solved = _solve(sign * row, system, bounds)
        if solved is None:
            return float("inf")
        ends.append(float(row @ solved))
    return ends[1] - ends[0]


def _solve(cost: Floats, system: _System, bounds: Sequence[tuple[float, float | None]]) -> Floats | None:
    """The cells' values of least cost; None where there is no least. Some solution there always is."""
    from scipy.optimize import linprog  # a second to import

    answer = linprog(
        cost,
        A_ub=system.falls if len(system.falls) else None,
        b_ub=np.zeros(len(system.falls)) if len(system.falls) else None,
        A_eq=system.sums if len(system.sums) else None,
        b_eq=np.zeros(len(system.sums)) if len(system.sums) else None,
        bounds=bounds,
        method="highs",
    )
    return None if answer.status == _UNBOUNDED else np.asarray(answer.x, np.float64)


def _cheapest(system: _System, row: Floats, hidden: set[tuple[int, Key]], k: int) -> set[tuple[int, Key]] | None:
    """The cells of the last version to hide so that `row` may be k - 1 more; None where none suffice."""
    from scipy.optimize import linprog

    last, size = len(system.versions) - 1, len(system.cells)
    free = np.array([cell in hidden or cell[0] == last for cell in system.cells], bool)
    price = np.array(
        [0.0 if cell in hidden else 1.0 + value for cell, value in zip(system.cells, system.values, strict=True)]
    )
    both = np.block([[system.sums, -system.sums], [row, -row]])
    room = -(system.falls @ system.values)
    answer = linprog(
        np.concatenate([price, price]) + 1e-4,
        A_ub=np.hstack([system.falls, -system.falls]) if len(system.falls) else None,
        b_ub=room if len(system.falls) else None,
        A_eq=both,
        b_eq=np.append(np.zeros(len(system.sums)), k - 1),
        bounds=[(0, None if open_ else 0) for open_ in free]
        + [(0, value if open_ else 0) for open_, value in zip(free, system.values, strict=True)],
        method="highs",
    )
    if answer.status != 0:
        return None
    moved = np.abs(answer.x[:size] - answer.x[size:]) > _SLACK
    return {cell for cell, is_moved in zip(system.cells, moved, strict=True) if is_moved and cell not in hidden}
