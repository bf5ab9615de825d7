"""Counts equivalence classes: donors with equal rows, by row and by all rows together; k is applied elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
_LIMIT = 2**62


def factorize(values: npt.NDArray[np.generic]) -> tuple[Ints, int]:
    """Each value's index among the distinct ones, and how many these are."""
    import pandas as pd  # late: half a second that an intake, which counts nobody, need not wait

    codes, found = pd.factorize(values)
    return codes.astype(np.int64, copy=False), len(found)


def dense(columns: Sequence[Ints], rows: int) -> tuple[Ints, int]:
    """Each row's index among the distinct rows of `columns` (whole numbers from 0), and how many; exact."""
    ids, size = np.zeros(rows, np.int64), 1
    for column in columns:
        width = int(column.max(initial=0)) + 1
        if size * width > _LIMIT:
            ids, size = factorize(ids)
        if size * width > _LIMIT:
            column, width = factorize(column)
        ids, size = ids * width + column, size * width
    return factorize(ids)


def signatures(unit: Ints, units: int, row: Ints) -> tuple[Ints, int]:
    """Each unit's index among the distinct multisets of its rows' ids, and how many; exact.

    `unit` (0 to `units` - 1) and `row` have one entry a row; a unit without rows has the empty multiset.
    """
    counts = np.bincount(unit, minlength=units)
    order = np.lexsort((row, unit)) if counts.max(initial=0) > 1 else np.argsort(unit, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]) if units else np.zeros(0, np.int64)
    sorted_rows, result, offset = row[order], np.zeros(units, np.int64), 0
    for length in np.flatnonzero(np.bincount(counts)):
        members = np.flatnonzero(counts == length)
        columns = [sorted_rows[starts[members] + place] for place in range(length)]
        ids, found = dense(columns, len(members))
        result[members] = ids + offset
        offset += found
    return result, offset


def persons(group: Ints, groups: int, person: Ints) -> Ints:
    """How many different persons each group has."""
    if (np.diff(person) > 0).all():
        return np.bincount(group, minlength=groups)
    pairs, found = dense([group, person], len(group))
    if found == len(group):
        return np.bincount(group, minlength=groups)
    first = np.zeros(found, np.int64)
    first[pairs] = group
    return np.bincount(first, minlength=groups)
