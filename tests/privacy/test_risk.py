"""k and l of a table equal what a slow count finds."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.privacy.risk import class_sizes, risk
from tests.privacy import oracle

QI = ("age", "sex", "region")
ROWS = st.lists(
    st.tuples(
        st.integers(0, 8),  # donor
        st.sampled_from(["20-39", "40-59", None]),
        st.sampled_from(["F", "M"]),
        st.sampled_from(["head", "chest", None]),
        st.sampled_from(["C50", "I10", "none"]),
    ),
    max_size=30,
)


def _table(rows: Sequence[tuple[object, ...]]) -> pa.Table:
    names = ("donor_id", *QI, "diagnosis")
    columns = list(zip(*rows, strict=True)) or [()] * 5
    columns[0] = tuple(f"d{donor}" for donor in columns[0])
    table = pa.table({name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)})
    return table.append_column("study_id", pa.array([f"s{i}" for i in range(len(rows))], pa.string()))


@given(rows=ROWS, k=st.integers(2, 4))
@settings(max_examples=150, deadline=None)
def test_donors_are_counted_by_all_their_studies_together(rows: list[tuple[object, ...]], k: int) -> None:
    """A donor's class is of those who have the same multiset of studies."""
    table = _table(rows)
    least = oracle.alone(table, QI)
    found = risk(table, QI, k).by_donor
    assert found.k == min(least.values(), default=0)
    assert found.donors_below == sum(size < k for size in least.values())
    assert found.studies_below == sum(least[f"d{row[0]}"] < k for row in rows)
    assert found.alone == sum(size == 1 for size in least.values())


@given(rows=ROWS, k=st.integers(2, 4))
@settings(max_examples=150, deadline=None)
def test_studies_are_counted_by_their_donors(rows: list[tuple[object, ...]], k: int) -> None:
    """Many studies of one donor are a class of one."""
    table = _table(rows)
    donors: dict[tuple[object, ...], set[object]] = defaultdict(set)
    for row in rows:
        donors[row[1:4]].add(row[0])
    found = risk(table, QI, k).by_study
    assert found.k == min(map(len, donors.values()), default=0)
    assert found.studies_below == sum(len(donors[row[1:4]]) < k for row in rows)
    assert found.donors_below == len({row[0] for row in rows if len(donors[row[1:4]]) < k})
    sizes = class_sizes(table, QI)
    assert sizes["donors_like_study"].to_pylist() == [len(donors[row[1:4]]) for row in rows]
    assert sizes["donors_like_donor"].to_pylist() == [oracle.alone(table, QI)[f"d{row[0]}"] for row in rows]


@given(rows=ROWS.filter(bool))
@settings(max_examples=100, deadline=None)
def test_diversity_is_the_least_of_any_class(rows: list[tuple[object, ...]]) -> None:
    """Distinct l counts the diagnoses of a class; entropy l is the exponential of their entropy."""
    groups: dict[tuple[object, ...], Counter[object]] = defaultdict(Counter)
    for row in rows:
        groups[row[1:4]][row[4]] += 1
    entropy = [
        -sum(n / group.total() * math.log(n / group.total()) for n in group.values()) for group in groups.values()
    ]
    found = risk(_table(rows), (*QI, "diagnosis"), 2, sensitive="diagnosis").by_study
    assert found.l_distinct == min(map(len, groups.values()))
    assert found.l_entropy == pytest.approx(math.exp(min(entropy)))


def test_the_order_of_rows_is_nothing() -> None:
    """A shuffled table has the same risk."""
    draw = np.random.default_rng(1)
    rows = [(int(draw.integers(0, 300)), "40-59", "FM"[draw.integers(0, 2)], "head", "C50") for _ in range(500)]
    table = _table(rows)
    shuffled = table.take(pa.array(draw.permutation(len(rows))))
    assert risk(table, QI, 11, sensitive="diagnosis") == risk(shuffled, QI, 11, sensitive="diagnosis")


def test_the_number_of_studies_sets_donors_apart() -> None:
    """Ten donors with one study and one with two of the same kind: the latter stands alone."""
    rows = [(donor, "40-59", "F", "head", "C50") for donor in (*range(11), 10)]
    found = risk(_table(rows), QI, 11)
    assert (found.by_study.k, found.by_donor.k, found.by_donor.alone) == (11, 1, 1)
    assert not found.reached


def test_two_ids_of_one_person_count_once() -> None:
    """A class of five published ids of four persons has k 4."""
    table = _table([(donor, "40-59", "F", "head", "C50") for donor in (0, 1, 2, 3, 3)])
    table = table.append_column("part", pa.array([0, 0, 0, 0, 1], pa.int16()))
    assert risk(table, QI, 5).by_donor.k == 4
    assert class_sizes(table, QI)["donors_like_donor"].to_pylist() == [4] * 5


def test_a_missing_column_is_named() -> None:
    """Whoever asks for a column that is not there is told which."""
    with pytest.raises(InputError, match="no column site"):
        risk(_table([]), ("site",), 11)
