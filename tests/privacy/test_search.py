"""The search finds the least loss of all nodes, and the same whatever the order of rows."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.privacy import generalization_ladder
from curate.privacy.lattice_search import HELD_LOSS, Choice, Studies, search

ROW = st.tuples(st.integers(0, 95), st.sampled_from(["r0", "r1", "r2", "r3"]), st.sampled_from(["F", "M"]))
LADDERS = [
    generalization_ladder.ladder(generalization_ladder.age(), range(96)),
    generalization_ladder.ladder(
        generalization_ladder.tree("region", ("code", "group"), {f"r{i}": (f"r{i}", f"g{i // 2}") for i in range(4)}),
        ["r0", "r1", "r2", "r3"],
    ),
    generalization_ladder.ladder(generalization_ladder.plain("sex"), ["F", "M"]),
]
WEIGHTS = [0.5, 0.3, 0.2]


def _studies(donors: list[list[tuple[int, str, str]]]) -> Studies:
    rows = [row for donor in donors for row in donor]
    values = (
        np.array([row[0] for row in rows], np.int64),
        np.array([int(row[1][1]) for row in rows], np.int64),
        np.array(["FM".index(row[2]) for row in rows], np.int64),
    )
    lengths = np.array([len(donor) for donor in donors], np.int64)
    return Studies(values, lengths, np.zeros(len(donors), np.uint64), np.ones(len(donors), np.int64))


def _labels(row: tuple[int, str, str], node: tuple[int, ...]) -> list[int]:
    values = (row[0], int(row[1][1]), "FM".index(row[2]))
    return [int(steps.labels[level][value]) for steps, level, value in zip(LADDERS, node, values, strict=True)]


def _loss_at(donors: list[list[tuple[int, str, str]]], node: tuple[int, ...], k: int, share: float) -> float:
    alike: dict[frozenset[object], list[int]] = defaultdict(list)
    for donor in donors:
        labels = [_labels(row, node) for row in donor]
        alike[frozenset(Counter(map(tuple, labels)).items())].append(len(donor))
    loss = sum(weight * _lost(donors, node, column) for column, weight in enumerate(WEIGHTS))
    rows = sum(len(donor) for donor in donors)
    out = sum(sum(members) for members in alike.values() if len(members) < k) / rows
    held = max(out - share, 0)
    return (1 - out) * loss + (out - held) + HELD_LOSS * held


def _lost(donors: list[list[tuple[int, str, str]]], node: tuple[int, ...], column: int) -> float:
    known = _bits(donors, (0, 0, 0), column)
    if not known:
        return node[column] / (len(LADDERS[column].labels) - 1)
    return 1 - _bits(donors, node, column) / known


def _bits(donors: list[list[tuple[int, str, str]]], node: tuple[int, ...], column: int) -> float:
    """What a column tells of a row on average."""
    counts = Counter(_labels(row, node)[column] for donor in donors for row in donor)
    return sum(count * math.log2(counts.total() / count) for count in counts.values()) / counts.total()


@given(
    donors=st.lists(st.lists(ROW, min_size=1, max_size=3), min_size=1, max_size=40),
    k=st.integers(2, 4),
    share=st.sampled_from([0.0, 0.1, 1.0]),
)
@settings(max_examples=40, deadline=None)
def test_the_least_loss_of_all_nodes_is_found(donors: list[list[tuple[int, str, str]]], k: int, share: float) -> None:
    """Looking at every node finds nothing better than the search, which looks at few."""
    found = search(_studies(donors), LADDERS, WEIGHTS, k, share)
    nodes = itertools.product(*(range(len(steps.labels)) for steps in LADDERS))
    losses = {node: _loss_at(donors, node, k, share) for node in nodes}
    assert found.optimal
    assert found.loss == pytest.approx(min(losses.values()))
    assert losses[found.levels] == pytest.approx(found.loss)


def test_merging_units_on_the_way_changes_nothing() -> None:
    """With so many donors that units are merged, the result is that of the exhaustive count."""
    draw = np.random.default_rng(3)
    donors = [
        [(int(draw.integers(0, 96)), f"r{draw.integers(0, 4)}", "FM"[draw.integers(0, 2)])] * int(draw.integers(1, 3))
        for _ in range(10_500)
    ]
    found = search(_studies(donors), LADDERS, WEIGHTS, 11, 0.01)
    assert found.loss == pytest.approx(_loss_at(donors, found.levels, 11, 0.01))
    nodes = [*itertools.product(*(range(len(steps.labels)) for steps in LADDERS))]
    assert found.loss <= min(_loss_at(donors, node, 11, 0.01) for node in nodes[1::6]) + 1e-9


def test_the_loss_is_counted_exactly() -> None:
    """Bounds may take two kinds of donors for one; the loss of the node that is chosen never does."""
    draw = np.random.default_rng(5)
    donors = [
        [(int(draw.integers(0, 96)), f"r{draw.integers(0, 4)}", "FM"[draw.integers(0, 2)]) for _ in range(2)]
        for _ in range(900)
    ]
    for k in (2, 3, 4):
        found = search(_studies(donors), LADDERS, WEIGHTS, k, 1.0)
        assert found.loss == pytest.approx(_loss_at(donors, found.levels, k, 1.0))


def test_no_rows_need_no_recoding() -> None:
    """An empty table is searched without error and keeps all detail."""
    found = search(_studies([]), LADDERS, WEIGHTS, 11, 0.05)
    assert found == Choice((0, 0, 0), 0.0, 30, 0, True)


def test_too_many_columns_are_refused() -> None:
    """A lattice too large to search is an error that says what to do."""
    steps = generalization_ladder.ladder(generalization_ladder.plain("sex"), ["F", "M"])
    studies = Studies((np.zeros(1, np.int64),) * 20, np.ones(1, np.int64), np.zeros(1, np.uint64), np.ones(1, np.int64))
    with pytest.raises(InputError, match="Too many quasi-identifiers"):
        search(studies, [steps] * 20, [0.05] * 20, 2, 0.0)
