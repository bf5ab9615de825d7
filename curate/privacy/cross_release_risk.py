"""What all releases say together: the intersection of every cell ever published of the same study.

Who holds every release can intersect them, sees in which one a study came first, and still has the studies
that were withdrawn since. A study missing later is no value of its own: a withdrawal says nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.core.errors import InputError
from curate.core.findings import Finding
from curate.privacy.equivalence_classes import Ints, dense, factorize
from curate.privacy.generalization_ladder import Hierarchy, ladder, ranks
from curate.privacy.risk import DONOR, PART, STUDY, Risk, class_sizes, risk

FIRST = "first_release"
Small = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Cells:
    """What is published of one column: each study's interval, and the text of its narrowest cell.

    `span[study]` indexes the rows `[low, high)` of `spans`; `cell[study]` indexes `texts`, 0 being null.
    """

    span: Small
    spans: Ints
    cell: Small
    texts: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class EverPublished:
    """Every study ever published: of whom, since which release, and each column's cells."""

    study: pa.Array
    donor: pa.Array
    part: Ints
    first: Ints
    columns: tuple[Cells, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """A release counted exactly: its own rows `alone`, and `together` with all earlier releases.

    `inherited` donors stood below k before this release, and nothing that it does can mend that.
    """

    k: int
    alone: Risk
    together: Risk
    inherited: int

    @property
    def reached(self) -> bool:
        """Whether the release puts no donor below k."""
        return self.alone.reached and self.together.by_donor.donors_below <= self.inherited

    def findings(self) -> tuple[Finding, ...]:
        """What a reviewer must know of it."""
        counts = {
            "PRIVACY_BELOW_K": max(self.alone.by_donor.donors_below, self.alone.by_study.donors_below),
            "PRIVACY_TOGETHER_BELOW_K": max(self.together.by_donor.donors_below - self.inherited, 0),
            "PRIVACY_INHERITED_BELOW_K": self.inherited,
        }
        return tuple(Finding(code, "studies", DONOR, count) for code, count in counts.items() if count)


def ever(history: Sequence[pa.Table], hierarchies: Sequence[Hierarchy]) -> EverPublished:
    """The intersection of all releases, oldest first; a column that a release lacks is null there.

    Raises:
        InputError: a study twice in a release, or of two donors.
    """
    study = _study_ids(history)
    places = [pc.index_in(release[STUDY], study).to_numpy().astype(np.int64) for release in history]
    for place in places:
        if np.bincount(place, minlength=1).max(initial=0) > 1:
            raise InputError("A release holds a study twice", hint="Give one row for each study.")
    first = np.full(len(study), len(history), np.int64)
    for index in range(len(history) - 1, -1, -1):
        first[places[index]] = index
    columns = [_intersect(history, places, len(study), hierarchy) for hierarchy in hierarchies]
    donor, part = _owners(history, places, study)
    return EverPublished(study, donor, part, first, tuple(columns))


def combined(history: Sequence[pa.Table], hierarchies: Sequence[Hierarchy]) -> pa.Table:
    """All releases as one table: a row for each study ever published, each cell a number for its interval."""
    known = ever(history, hierarchies)
    table = {STUDY: known.study, DONOR: known.donor, PART: known.part, FIRST: known.first}
    for hierarchy, cells in zip(hierarchies, known.columns, strict=True):
        table[hierarchy.column] = cells.span
    return pa.table(table)


def audit(history: Sequence[pa.Table], release: pa.Table, hierarchies: Sequence[Hierarchy], k: int) -> Audit:
    """Count a release as a downloader of it could, and as one who holds all others could.

    `release` and each of `history` (oldest first): one row a study as published, with `donor_id`, `study_id`
    and the hierarchies' columns as text; `first_release`, where present, is counted as published.
    """
    columns = [name for name in (*(h.column for h in hierarchies), FIRST) if name in release.column_names]
    before = _risk_together(history, hierarchies, k)
    return Audit(
        k=k,
        alone=risk(release, columns, k),
        together=_risk_together([*history, release], hierarchies, k),
        inherited=before.by_donor.donors_below,
    )


def donors_below(history: Sequence[pa.Table], hierarchies: Sequence[Hierarchy], k: int) -> frozenset[str]:
    """The donors whom all releases together leave below k."""
    table = combined(history, hierarchies)
    sizes = class_sizes(table, _intervals(table))
    return frozenset(table.filter(pc.less(sizes["donors_like_donor"], k))[DONOR].to_pylist())


def _risk_together(history: Sequence[pa.Table], hierarchies: Sequence[Hierarchy], k: int) -> Risk:
    table = combined(history, hierarchies)
    return risk(table, _intervals(table), k)


def _intervals(table: pa.Table) -> list[str]:
    return [name for name in table.column_names if name not in (STUDY, DONOR, PART)]


def _study_ids(history: Sequence[pa.Table]) -> pa.Array:
    """Each study once, in the order in which releases name them."""
    chunks = [chunk for release in history for chunk in pc.cast(release[STUDY], pa.string()).chunks]
    return pc.unique(pa.chunked_array(chunks, pa.string()))


def _intersect(history: Sequence[pa.Table], places: Sequence[Ints], studies: int, hierarchy: Hierarchy) -> Cells:
    """The common interval of each study's cells; a study whose cells contradict each other stands alone."""
    found = [_cells(release, hierarchy) for release in history]
    steps = ladder(hierarchy, (), sorted({text for _, texts in found for text in texts}))
    index = {text: label for label, text in enumerate(steps.texts)}
    low, high = np.zeros(studies, np.int64), np.full(studies, steps.high[0])
    cell = np.zeros(studies, np.int32)
    for (rows, texts), place in zip(found, places, strict=True):
        label = np.array([*(index[text] for text in texts), 0], np.int32)[rows]
        narrower = steps.high[label] - steps.low[label] < steps.high[cell[place]] - steps.low[cell[place]]
        cell[place] = np.where(narrower, label, cell[place])
        low[place] = np.maximum(low[place], steps.low[label])
        high[place] = np.minimum(high[place], steps.high[label])
    apart = np.flatnonzero(low >= high)
    low[apart] = high[apart] = steps.high[0] + 1 + apart
    span, count = dense([factorize(low)[0], factorize(high)[0]], studies)
    spans = np.zeros((count, 2), np.int64)
    spans[span] = np.stack([low, high], axis=1)
    return Cells(span.astype(np.int32), spans, cell, steps.texts)


def _cells(release: pa.Table, hierarchy: Hierarchy) -> tuple[Ints, list[str]]:
    """Each row's index among the distinct texts, -1 for null, and these."""
    if hierarchy.column not in release.column_names:
        return np.full(release.num_rows, -1, np.int64), []
    rows, texts = ranks(pc.cast(release[hierarchy.column], pa.string()))
    return rows, texts.to_pylist()


def _owners(history: Sequence[pa.Table], places: Sequence[Ints], study: pa.Array) -> tuple[pa.Array, Ints]:
    """The donor and the part of each study.

    Raises:
        InputError: a study changed its donor.
    """
    row, part = np.full(len(study), -1, np.int64), np.zeros(len(study), np.int64)
    donors = [chunk for release in history for chunk in pc.cast(release[DONOR], pa.string()).chunks]
    encoded = pc.dictionary_encode(pa.chunked_array(donors, pa.string())).combine_chunks()
    owner, start = encoded.indices.to_numpy(zero_copy_only=False), 0
    for release, place in zip(history, places, strict=True):
        mine = owner[start : start + release.num_rows]
        if (row[place] >= 0).any() and (row[place] != mine)[row[place] >= 0].any():
            raise InputError("A study has another donor than in an earlier release", hint="Correct the table.")
        row[place] = mine
        if PART in release.column_names:
            part[place] = release[PART].to_numpy()
        start += release.num_rows
    return encoded.dictionary.take(pa.array(row)), part
