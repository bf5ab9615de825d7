"""The levels of a column nest, and their labels mean intervals."""

from __future__ import annotations

import itertools

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core.errors import InputError
from curate.privacy import generalization_ladder


@pytest.mark.parametrize(
    ("years", "labels"),
    [
        (0, ["0", "0-4", "0-9", "0-19", None]),
        (45, ["45", "45-49", "40-49", "40-59", None]),
        (89, ["89", "85-89", "80-89", "80-89", None]),
        (90, ["90+", "90+", "90+", "90+", None]),
        (104, ["90+", "90+", "90+", "90+", None]),
    ],
)
def test_ages_in_bands(years: int, labels: list[str | None]) -> None:
    """Years, 5, 10 and 20-year bands, with 90 and over apart at each."""
    steps = generalization_ladder.ladder(generalization_ladder.age(), [years])
    assert [steps.texts[label] for label in steps.labels[:, 0]] == labels


@pytest.mark.parametrize(
    ("day", "labels"),
    [
        (0, ["0", "0", "0", "0", "0", None]),
        (1, ["1", "1-6", "1-27", "1-363", "1+", None]),
        (30, ["30", "28-34", "28-55", "1-363", "1+", None]),
        (400, ["400", "399-405", "392-419", "364-727", "1+", None]),
    ],
)
def test_days_keep_the_first_apart(day: int, labels: list[str | None]) -> None:
    """The first study stays day 0, so that the order of two studies survives all bands."""
    steps = generalization_ladder.ladder(generalization_ladder.days(), [day])
    assert [steps.texts[label] for label in steps.labels[:, 0]] == labels


@given(values=st.lists(st.integers(0, 3000), min_size=1, max_size=30, unique=True), which=st.booleans())
def test_each_level_lies_in_the_next(values: list[int], which: bool) -> None:
    """A label's interval holds the value, and lies within that of the coarser label."""
    steps = generalization_ladder.ladder(
        generalization_ladder.age() if which else generalization_ladder.days(), sorted(values)
    )
    for column, value in enumerate(sorted(values)):
        path = steps.labels[:, column]
        assert all(steps.low[label] <= value < steps.high[label] for label in path)
        for finer, coarser in itertools.pairwise(path):
            assert steps.low[coarser] <= steps.low[finer]
            assert steps.high[finer] <= steps.high[coarser]


def test_codes_below_one_parent_are_neighbours() -> None:
    """A parent's interval covers exactly its codes, in whatever order they were given."""
    paths = {
        "C50": ("C50", "C50-C50"),
        "I10": ("I10", "I10-I1A"),
        "C51": ("C51", "C51-C58"),
        "C53": ("C53", "C51-C58"),
    }
    steps = generalization_ladder.ladder(
        generalization_ladder.tree("diagnosis", ("category", "block"), paths), sorted(paths)
    )
    span = {text: (int(a), int(b)) for text, a, b in zip(steps.texts, steps.low, steps.high, strict=True)}
    assert span["C51-C58"] == (min(span["C51"], span["C53"])[0], max(span["C51"], span["C53"])[1])
    assert span["C50"] == span["C50-C50"]


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({"a": ("a",)}, "one label for each of 2 levels"),
        ({"a": ("a", "x"), "b": ("a", "y")}, "under two parents"),
    ],
)
def test_a_tree_that_is_none_is_refused(paths: dict[str, tuple[str, ...]], message: str) -> None:
    """Each value has one label a level, each label one parent."""
    with pytest.raises(InputError, match=message):
        generalization_ladder.tree("region", ("code", "group"), paths)


def test_bands_as_two_columns_and_back() -> None:
    """Low and high as the manifest has them say the same as the text."""
    bands = pa.chunked_array([["40-49", "45", "90+", None, "40-49"]])
    low, high = generalization_ladder.split_bands(bands)
    assert low.to_pylist() == [40, 45, 90, None, 40]
    assert high.to_pylist() == [49, 45, None, None, 49]
    assert generalization_ladder.join_bands(low, high).to_pylist() == bands.to_pylist()
