"""No small count can be read or worked out from what is published."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.privacy.counts import (
    TOTAL,
    CountTable,
    Key,
    count_table,
    findings,
    recoverable,
    suppress_counts,
)

SEXES, REGIONS = ("F", "M"), ("chest", "head", "leg")
INNER = list(itertools.product(SEXES, REGIONS))
COUNTS = st.lists(st.integers(0, 9), min_size=6, max_size=6)


def _table(counts: list[int]) -> CountTable:
    return count_table("donors", ("sex", "region"), dict(zip(INNER, counts, strict=True)))


def _possible(table: CountTable, shown: dict[Key, int | None], most: int) -> dict[Key, set[int]]:
    """By trying all tables with cells up to `most`: what each cell may be."""
    inner = [key for key in table.counts if TOTAL not in key]
    values: dict[Key, set[int]] = {key: set() for key in table.counts}
    for counts in itertools.product(range(most + 1), repeat=len(inner)):
        full = count_table("t", table.dimensions, dict(zip(inner, counts, strict=True))).counts
        if all(value is None or full[key] == value for key, value in shown.items()):
            for key, count in full.items():
                values[key].add(count)
    return values


@given(counts=st.lists(st.integers(0, 4), min_size=4, max_size=4), k=st.integers(2, 3))
@settings(max_examples=25, deadline=None)
def test_trying_all_tables_leaves_every_small_count_open(counts: list[int], k: int) -> None:
    """Whoever enumerates all tables that fit can't narrow a small cell down to fewer than k values."""
    cells = dict(zip(itertools.product("FM", ("head", "leg")), counts, strict=True))
    table = suppress_counts(count_table("t", ("sex", "region"), cells), k)
    small = {key for key, count in table.counts.items() if 0 < count < k}
    assert small <= table.hidden
    if not table.dropped:
        values = _possible(table, table.published(), 4 + k)
        assert all(len(values[key]) >= k for key in small)


@given(counts=COUNTS, k=st.integers(2, 5))
@settings(max_examples=40, deadline=None)
def test_what_is_suppressed_passes_the_audit(counts: list[int], k: int) -> None:
    """The bounds computed from the published numbers alone find nothing recoverable."""
    assert recoverable(suppress_counts(_table(counts), k), k) == ()


@given(before=COUNTS, more=COUNTS, k=st.integers(2, 5), cumulative=st.booleans())
@settings(max_examples=40, deadline=None)
def test_no_change_between_versions_is_given_away(before: list[int], more: list[int], k: int, cumulative: bool) -> None:
    """With the earlier version at hand, neither small counts nor small changes can be worked out."""
    old = suppress_counts(_table(before), k)
    now = _table([a + b for a, b in zip(before, more, strict=True)])
    table = suppress_counts(now, k, [old], cumulative=cumulative)
    assert recoverable(table, k, [old], cumulative=cumulative) == ()


def test_a_lone_hidden_cell_is_recoverable() -> None:
    """The audit sees that a single hidden cell follows from its line's total."""
    table = _table([3, 40, 50, 20, 30, 40])
    naive = CountTable("donors", table.dimensions, table.counts, frozenset({("F", "chest")}))
    assert recoverable(naive, 11) == (("F", "chest"),)
    assert [finding.rule for finding in findings(naive, 11)] == ["PRIVACY_COUNT_RECOVERABLE"]
    assert len(suppress_counts(table, 11).hidden) == 4


def test_a_small_growth_of_a_shown_cell_is_hidden() -> None:
    """Forty donors, then forty-two: the second number would tell of two donors, so it is not shown."""
    old = suppress_counts(_table([40, 40, 40, 40, 40, 40]), 11)
    naive = _table([42, 40, 60, 40, 40, 40])
    assert ("F", "chest") in recoverable(naive, 11, [old])
    assert ("F", "chest") in suppress_counts(naive, 11, [old]).hidden


def test_large_counts_are_all_shown() -> None:
    """Nothing is hidden where nothing is small."""
    assert not suppress_counts(_table([40, 30, 20, 40, 30, 20]), 11).hidden


def test_a_large_table_gets_coarser() -> None:
    """A table too large to be saved loses a dimension, and says which."""
    many = count_table("t", ("a", "b"), {(str(i), str(j)): 50 for i in range(60) for j in range(60)})
    coarse = suppress_counts(many, 11)
    assert (coarse.dimensions, coarse.dropped) == (("a",), ("b",))


def test_counts_that_fell_are_not_cumulative() -> None:
    """A table that claims never to fall, and falls, is refused."""
    old, now = _table([40] * 6), _table([40, 40, 40, 40, 40, 20])
    with pytest.raises(InputError, match="less than before"):
        suppress_counts(now, 11, [old], cumulative=True)


def test_a_cell_without_a_place_is_refused() -> None:
    """A key of the wrong length is an error of input."""
    with pytest.raises(InputError, match="no place"):
        count_table("t", ("a", "b"), {("x",): 1})
