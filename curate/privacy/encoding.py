"""From tables to numbers: rows in one order whatever theirs was, and what is known of each donor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.core.errors import InputError
from curate.privacy.cross_release_risk import EverPublished, ever
from curate.privacy.equivalence_classes import Ints, dense, signatures
from curate.privacy.generalization_ladder import Hierarchy, Ladder, ladder, ranks, values_of
from curate.privacy.lattice_search import Node, Studies, Words, combine, mix, words
from curate.privacy.local_suppression import Batch, Mask
from curate.privacy.risk import DONOR, STUDY

BOUND = "bound"
_DAYS, _FIRST_DAY = "days_from_first", "0"


@dataclass(frozen=True, slots=True)
class Prepared:
    """All rows of the release to be, sorted by donor, day and study; all units, its own and earlier ones.

    `values[column][row]` indexes a ladder's values; `first` is the release in which the study came first,
    this one being `release`; `bound` rows can't get a further id. A unit is one published id: units 0, 1, 2, ...
    are the donors' own in the order of `donors`, then their further ones. What all earlier releases say together
    of a unit is a number, `signature` (-1 for nothing), and a word, `known` (0 for nothing).
    """

    release: int
    study: pa.Array
    donors: pa.Array
    unit: Ints
    first: Ints
    values: tuple[Ints, ...]
    ladders: tuple[Ladder, ...]
    unit_person: Ints
    unit_part: Ints
    signature: Ints
    known: Words
    bound: Mask

    @property
    def new(self) -> Ints:
        """The rows never published before."""
        return np.flatnonzero(self.first == self.release)


def prepare(table: pa.Table, hierarchies: Sequence[Hierarchy], history: Sequence[pa.Table]) -> Prepared:
    """Read the tables of `recode`.

    Raises:
        InputError: a missing column, a null id, a study twice, or of another donor than before.
    """
    past = ever(history, hierarchies)
    for name in (STUDY, DONOR, *(hierarchy.column for hierarchy in hierarchies)):
        if name not in table.column_names:
            raise InputError(f"The table has no column {name}", hint="Give every quasi-identifier as a column.")
    donors, person, past_person = _people(table, past)
    table, person = _sorted(table, person)
    place = pc.fill_null(pc.index_in(table[STUDY], past.study), -1).to_numpy().astype(np.int64)
    first = np.where(place < 0, len(history), past.first[place]) if len(past.study) else place + 1 + len(history)
    if (past_person[place[place >= 0]] != person[place >= 0]).any():
        raise InputError("A study has another donor than in an earlier release", hint="Correct the table.")
    unit, past_unit, unit_person, unit_part = _units(person, place, past_person, past.part, len(donors))
    columns = [
        _column(table, hierarchy, past, index, place, person, past_person)
        for index, hierarchy in enumerate(hierarchies)
    ]
    signature, known = _signature(past, past_unit, len(unit_person))
    return Prepared(
        release=len(history),
        study=table[STUDY].combine_chunks(),
        donors=donors,
        unit=unit,
        first=first,
        values=tuple(values for values, _ in columns),
        ladders=tuple(steps for _, steps in columns),
        unit_person=unit_person,
        unit_part=unit_part,
        signature=signature,
        known=known,
        bound=_bound(table),
    )


def apart(data: Prepared, batch: Batch) -> Prepared:
    """The data with those rows under further ids that `batch`, of all new rows, gave one."""
    rows, moved = data.new, batch.unit >= len(data.unit_person)
    unit, values = data.unit.copy(), [column.copy() for column in data.values]
    unit[rows] = batch.unit
    for column, steps in enumerate(data.ladders):
        first = _anew(steps)
        if first:
            at = np.flatnonzero(steps.labels[0] == first)[0]
            told = moved & (values[column][rows] != steps.labels.shape[1] - 1)
            values[column][rows[told]] = at
    return replace(
        data,
        unit=unit,
        values=tuple(values),
        unit_person=batch.person,
        unit_part=batch.part,
        known=batch.known,
        signature=np.concatenate([data.signature, np.full(len(batch.person) - len(data.signature), -1)]),
    )


def _anew(steps: Ladder) -> int:
    """The label of day 0 in the column that counts days; 0 in others."""
    return steps.texts.index(_FIRST_DAY) if steps.hierarchy.column == _DAYS and _FIRST_DAY in steps.texts else 0


def _bound(table: pa.Table) -> Mask:
    if BOUND not in table.column_names:
        return np.zeros(table.num_rows, bool)
    return np.asarray(table[BOUND].to_numpy(), bool)


def studies(data: Prepared, hopeless: Mask) -> Studies:
    """The new rows, as the search takes them, without those that no level saves."""
    rows = data.new[~hopeless]
    rows = rows[np.argsort(data.unit[rows], kind="stable")]
    lengths = np.bincount(data.unit[rows], minlength=len(data.unit_person))
    units = np.flatnonzero(lengths)
    values = tuple(column[rows] for column in data.values)
    return Studies(values, lengths[units], data.known[units], np.ones(len(units), np.int64))


def new_batch(data: Prepared, levels: Node) -> Batch:
    """The new rows with their labels at the chosen levels, beside what is known of their units."""
    rows = data.new
    labels = np.empty((len(levels), len(rows)), np.int32)
    for column, (steps, level) in enumerate(zip(data.ladders, levels, strict=True)):
        labels[column] = steps.labels[level][data.values[column][rows]]
    return _batch(data, labels, rows, [words(steps, column) for column, steps in enumerate(data.ladders)])


def old_batch(data: Prepared, units: Mask) -> tuple[Batch, Ints]:
    """The rows of `units` as published before, the first release as last column; and where they are."""
    rows = np.flatnonzero(units[data.unit] & (data.first < data.release))
    labels = np.empty((len(data.ladders) + 1, len(rows)), np.int32)
    for column, steps in enumerate(data.ladders):
        labels[column] = steps.labels[0][data.values[column][rows]]
    labels[-1] = data.first[rows] + 1
    salts = [words(steps, column) for column, steps in enumerate(data.ladders)]
    batch = _batch(data, labels, rows, [*salts, mix(np.arange(data.release + 1, dtype=np.uint64))])
    batch.known = np.zeros_like(batch.known)
    return batch, rows


def _batch(data: Prepared, labels: npt.NDArray[np.int32], rows: Ints, salts: Sequence[Words]) -> Batch:
    return Batch(
        labels,
        salts,
        unit=data.unit[rows],
        held=np.zeros(len(rows), np.int64),
        person=data.unit_person,
        known=data.known,
        part=data.unit_part,
        anew=tuple(_anew(steps) for steps in data.ladders),
        bound=data.bound[rows],
    )


def _people(table: pa.Table, past: EverPublished) -> tuple[pa.Array, Ints, Ints]:
    """All donors, sorted; that of each row; that of each study ever published."""
    here = pc.cast(table[DONOR], pa.string()).combine_chunks()
    if here.null_count or table[STUDY].null_count:
        raise InputError("A row has no donor_id or no study_id", hint="Each study needs both.")
    index, names = ranks(pa.chunked_array([here, past.donor], pa.string()))
    return names, index[: len(here)], index[len(here) :]


def _sorted(table: pa.Table, person: Ints) -> tuple[pa.Table, Ints]:
    """Rows by donor, day and study id.

    Raises:
        InputError: a study twice.
    """
    study, found = ranks(pc.cast(table[STUDY], pa.string()))
    if len(found) < len(study):
        raise InputError("The table holds a study twice", hint="Give one row for each study.")
    day = ranks(table[_DAYS])[0] if _DAYS in table.column_names else np.zeros_like(study)
    order = np.lexsort((study, day, person))
    return table.take(pa.array(order)), person[order]


def _units(person: Ints, place: Ints, past_person: Ints, past_part: Ints, people: int) -> tuple[Ints, Ints, Ints, Ints]:
    """The unit of each row and of each study ever published; the person and the part of each unit."""
    further = np.flatnonzero(past_part > 0)
    found = np.unique(np.stack([past_person[further], past_part[further]], axis=1), axis=0)
    index = {(int(a), int(b)): people + number for number, (a, b) in enumerate(found)}
    past_unit = past_person.copy()
    for row in further:
        past_unit[row] = index[int(past_person[row]), int(past_part[row])]
    unit = np.where(place < 0, person, past_unit[place]) if len(past_unit) else person
    unit_person = np.concatenate([np.arange(people), found[:, 0]])
    return unit, past_unit, unit_person, np.concatenate([np.zeros(people, np.int64), found[:, 1]])


def _signature(past: EverPublished, past_unit: Ints, units: int) -> tuple[Ints, Words]:
    """What all earlier releases say together of each unit, as a number and as a word."""
    row, _ = dense([past.first, *(cells.span.astype(np.int64) for cells in past.columns)], len(past.first))
    signature, _ = signatures(past_unit, units, row)
    word = mix(past.first.astype(np.uint64))
    for column, cells in enumerate(past.columns):
        ends = cells.spans.astype(np.uint64) + np.uint64((column + 1) << 48)
        word += mix(ends[:, 0] + mix(ends[:, 1]))[cells.span]
    order = np.argsort(past_unit, kind="stable")
    lengths = np.bincount(past_unit, minlength=units)
    known = np.zeros(units, np.uint64)
    known[lengths > 0] = mix(combine(word[order], lengths[lengths > 0]))
    return np.where(lengths > 0, signature, -1), known


def _column(
    table: pa.Table,
    hierarchy: Hierarchy,
    past: EverPublished,
    index: int,
    place: Ints,
    person: Ints,
    past_person: Ints,
) -> tuple[Ints, Ladder]:
    """Each row's value: of new rows their own, of old ones the cell published or, if wrong, null."""
    raw, found = ranks(values_of(hierarchy, table[hierarchy.column]))
    cells = past.columns[index]
    steps = ladder(hierarchy, found.to_pylist(), [text for text in cells.texts if text is not None])
    published = np.where(cells.cell > 0, len(found) + cells.cell - 1, steps.labels.shape[1] - 1)
    null = steps.labels.shape[1] - 1
    old, raw = place >= 0, np.where(raw < 0, null, raw)
    further = past.part[place[old]] > 0  # the first of its id: its day is the published one
    values = _of_first(raw, person, past, past_person, published) if hierarchy.per_donor else raw.copy()
    cell = published[place[old]]
    right = (raw[old] != null) if hierarchy.per_donor else _within(steps, raw[old], cell)
    values[old] = np.where(right | (further & (hierarchy.column == _DAYS)), cell, null)
    return values, steps


def _within(steps: Ladder, raw: Ints, cell: Ints) -> Mask:
    """Whether the value known now lies in the cell published before."""
    inner, outer = steps.labels[0][raw], steps.labels[0][cell]
    inside: Mask = (steps.low[inner] >= steps.low[outer]) & (steps.high[inner] <= steps.high[outer])
    return inside


def _of_first(raw: Ints, person: Ints, past: EverPublished, past_person: Ints, published: Ints) -> Ints:
    """The value of each donor's first study: as first published, or, for a new donor, of the first row."""
    people = int(max(person.max(initial=-1), past_person.max(initial=-1))) + 1
    value, earliest = np.full(people, -1, np.int64), np.lexsort((np.arange(len(person)), person))[::-1]
    value[person[earliest]] = raw[earliest]
    order = np.lexsort((pc.rank(past.study).to_numpy(), past.first))[::-1]
    value[past_person[order]] = published[order]
    return value[person]
