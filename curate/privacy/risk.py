"""How many donors share what is published about one: of a table, and of all releases together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.core.errors import InputError
from curate.core.findings import Finding
from curate.privacy.equivalence_classes import Ints, dense, persons, signatures

DONOR, STUDY, PART = "donor_id", "study_id", "part"


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of one way of counting: by single studies, or by donors with all their studies.

    `k` is the number of donors in the smallest class (0 for no rows); `alone` counts donors whom nobody
    resembles; `l_distinct` and `l_entropy` are the smallest of any class, None where nothing is sensitive.
    """

    k: int
    classes: int
    donors_below: int
    studies_below: int
    alone: int
    average_risk: float
    l_distinct: int | None = None
    l_entropy: float | None = None

    @property
    def highest_risk(self) -> float:
        """The chance of naming the right donor in the smallest class."""
        return 1 / self.k if self.k else 0.0


@dataclass(frozen=True, slots=True)
class Risk:
    """The disclosure risk of a table, measured against `k`."""

    k: int
    quasi_identifiers: tuple[str, ...]
    studies: int
    donors: int
    by_study: Classes
    by_donor: Classes

    @property
    def reached(self) -> bool:
        """Whether no donor stands in a class below k, by any study or by all together."""
        return not (self.by_study.donors_below or self.by_donor.donors_below)

    def findings(self, place: str = "studies") -> tuple[Finding, ...]:
        """What is wrong with it."""
        below = max(self.by_study.donors_below, self.by_donor.donors_below)
        single = [Finding("PRIVACY_LOW_DIVERSITY", place)] if self.by_study.l_distinct == 1 else []
        return (*([Finding("PRIVACY_BELOW_K", place, count=below)] if below else []), *single)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self) | {"reached": self.reached}


@dataclass(frozen=True, slots=True)
class Rows:
    """Who the rows of a table are of: person (donor) and unit (published id) as 0, 1, 2, ..."""

    person: Ints
    unit: Ints
    units: int
    unit_person: Ints


def risk(
    table: pa.Table,
    quasi_identifiers: Sequence[str],
    k: int,
    *,
    sensitive: str | None = None,
    same: Sequence[str] = (),
) -> Risk:
    """What somebody who knows a donor's quasi-identifiers learns from `table` (one row a study).

    Needs `donor_id` and the columns named; `part` (0 where absent) tells a donor's further published
    ids apart. l-diversity is that of `sensitive` within classes over all other quasi-identifiers, those apart that
    say the `same` in other words; a class in which it is null for all tells nothing, and is left out.

    Raises:
        InputError: a column is missing.
    """
    rows = rows_of(table)
    columns = {name: codes(table, name) for name in dict.fromkeys(quasi_identifiers)}
    secret = codes(table, sensitive) if sensitive else None
    others = [column for name, column in columns.items() if name != sensitive and name not in same]
    row, _ = dense(list(columns.values()), table.num_rows)
    return Risk(
        k=k,
        quasi_identifiers=tuple(columns),
        studies=table.num_rows,
        donors=int(rows.person.max(initial=-1)) + 1,
        by_study=_by_study(rows, row, k, others, secret),
        by_donor=_by_donor(rows, row, k, others, secret),
    )


def class_sizes(table: pa.Table, quasi_identifiers: Sequence[str]) -> pa.Table:
    """For each row of `table`: how many donors have such a study, and such studies altogether."""
    rows = rows_of(table)
    row, found = dense([codes(table, name) for name in quasi_identifiers], table.num_rows)
    whole, classes = signatures(rows.unit, rows.units, row)
    return pa.table(
        {
            STUDY: table[STUDY],
            "donors_like_study": persons(row, found, rows.person)[row],
            "donors_like_donor": persons(whole, classes, rows.unit_person)[whole][rows.unit],
        }
    )


def codes(table: pa.Table, name: str) -> Ints:
    """A column as whole numbers from 0, null being 0.

    Raises:
        InputError: no such column.
    """
    if name not in table.column_names:
        raise InputError(f"The table has no column {name}", hint="Name the columns that it has.")
    indices = pc.fill_null(pc.dictionary_encode(table[name]).combine_chunks().indices, -1)
    return np.asarray(indices.to_numpy(zero_copy_only=False), np.int64) + 1


def rows_of(table: pa.Table) -> Rows:
    """Who the rows are of."""
    person = codes(table, DONOR) - 1
    if person.min(initial=0) < 0:
        raise InputError(f"Column {DONOR} has nulls", hint="Each study needs its donor.")
    part = table[PART].to_numpy().astype(np.int64) if PART in table.column_names else np.zeros_like(person)
    if not part.any():
        people = int(person.max(initial=-1)) + 1
        return Rows(person, person, people, np.arange(people))
    unit, units = dense([person, part], len(person))
    unit_person = np.zeros(units, np.int64)
    unit_person[unit] = person
    return Rows(person, unit, units, unit_person)


def _by_study(rows: Rows, row: Ints, k: int, others: list[Ints], secret: Ints | None) -> Classes:
    group, groups = dense([row], len(row))
    size = persons(group, groups, rows.person)
    below = size[group] < k
    diversity: _Diversity = (None, None)
    if secret is not None and len(row):
        diversity = _diversity(dense(others, len(row))[0], secret, secret > 0)
    return Classes(
        k=int(size.min()) if groups else 0,
        classes=groups,
        donors_below=_count(rows.person[below]),
        studies_below=int(below.sum()),
        alone=_count(rows.person[size[group] == 1]),
        average_risk=float(np.mean(1 / size[group])) if groups else 0.0,
        l_distinct=diversity[0],
        l_entropy=diversity[1],
    )


def _by_donor(rows: Rows, row: Ints, k: int, others: list[Ints], secret: Ints | None) -> Classes:
    group, groups = signatures(rows.unit, rows.units, row)
    size = persons(group, groups, rows.unit_person)
    below = size[group] < k
    diversity: _Diversity = (None, None)
    if secret is not None and len(row):
        without, _ = signatures(rows.unit, rows.units, dense(others, len(row))[0])
        stated = np.bincount(rows.unit, weights=secret > 0, minlength=rows.units) > 0
        diversity = _diversity(without, signatures(rows.unit, rows.units, secret)[0], stated)
    return Classes(
        k=int(size.min()) if groups else 0,
        classes=groups,
        donors_below=_count(rows.unit_person[below]),
        studies_below=int(below[rows.unit].sum()),
        alone=_count(rows.unit_person[size[group] == 1]),
        average_risk=float(np.mean(1 / size[group])) if groups else 0.0,
        l_distinct=diversity[0],
        l_entropy=diversity[1],
    )


def _count(person: Ints) -> int:
    """How many different persons."""
    return int(np.count_nonzero(np.bincount(person)))


_Diversity = tuple[int | None, float | None]


def _diversity(group: Ints, secret: Ints, stated: npt.NDArray[np.bool_]) -> _Diversity:
    """The least number of different values in any group, and the least exponential of their entropy.

    A group in which nothing is `stated` tells nobody anything; None where all are such.
    """
    telling = np.bincount(group, weights=stated) > 0
    rows = telling[group]
    if not rows.any():
        return None, None
    group, _ = dense([group[rows]], int(rows.sum()))
    secret = secret[rows]
    pairs, found = dense([group, secret], len(group))
    owner = np.zeros(found, np.int64)
    owner[pairs] = group
    share = np.bincount(pairs, minlength=found) / np.bincount(group)[owner]
    entropy = np.bincount(owner, weights=-share * np.log(share))
    return int(np.bincount(owner).min()), float(np.exp(entropy.min()))
