"""The pipeline of disclosure control: generalize, suppress, hold back, so that k donors look alike in every version.

Two things hold in the result. Alone: within the release's own rows. Together: within the intersection of
everything ever published, studies withdrawn since included. A study's cells are fixed when it is first
published; a later release repeats them or, where withdrawals shrink a class, says null. To refine them
later can't help: `first_release` is public, so the study's class would be those of that release alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.core.errors import RefusedError
from curate.core.findings import Finding
from curate.policies import PrivacyPolicy
from curate.privacy.cross_release_risk import FIRST, Audit, audit
from curate.privacy.encoding import Prepared, apart, new_batch, old_batch, prepare, studies
from curate.privacy.equivalence_classes import Ints
from curate.privacy.generalization_ladder import Hierarchy
from curate.privacy.lattice_search import Choice, search
from curate.privacy.local_suppression import Batch, HoldReason, Mask, nulled, sizes, suppress_or_hold, trim
from curate.privacy.risk import DONOR, PART, STUDY
from curate.privacy.sequential_release import protect


@dataclass(frozen=True, slots=True)
class Recoding:
    """The outcome of `recode`.

    `table`: one row a study to publish (`study_id, donor_id, part, first_release` and the columns as text,
    null where suppressed), sorted by study; `held`: `study_id, donor_id, reason, more_donors`, the last
    being how many donors of the same kind are missing. `levels` are those of the studies new in this release.
    """

    policy: PrivacyPolicy
    levels: tuple[tuple[str, str], ...]
    table: pa.Table
    held: pa.Table
    suppressed: tuple[tuple[str, int], ...]
    studies_suppressed: int
    choice: Choice
    audit: Audit | None

    def findings(self) -> tuple[Finding, ...]:
        """What the release's report says of it."""
        if self.audit is None:
            return (Finding("PRIVACY_EXEMPT", "studies", "population", self.table.num_rows),)
        cells = [Finding("PRIVACY_SUPPRESSED", "studies", name, count) for name, count in self.suppressed if count]
        held = [Finding("PRIVACY_HELD", "studies", STUDY, self.held.num_rows)] if self.held.num_rows else []
        low = [Finding("PRIVACY_LOW_K", "archive.toml", "k")] if self.policy.below_recommended else []
        return (*cells, *held, *low, *self.audit.findings())


def recode(
    table: pa.Table,
    hierarchies: Sequence[Hierarchy],
    policy: PrivacyPolicy,
    history: Sequence[pa.Table] = (),
) -> Recoding:
    """Recode all studies that are to be in the next release, so that it is safe alone and together.

    `table`: one row a study, raw values (`donor_id, study_id` and the hierarchies' columns), those of
    earlier releases that were not withdrawn included; `history`: the tables of all earlier releases, oldest
    first. A null where an earlier release had a value withdraws that value. The order of rows is nothing.
    Where the policy lets later studies have a further id, such a study counts as its id's first, on day 0, unless
    a column `bound` says that something else in it names its donor's other studies.

    Raises:
        InputError: a missing column, a value outside its hierarchy, a study twice.
        RefusedError: no result was safe; a defect, since holding everything is.
    """
    data = prepare(table, hierarchies, history)
    if policy.exempt:
        return _exempt(data, hierarchies, policy)
    names = [hierarchy.column for hierarchy in hierarchies]
    weights = policy.weights(names)
    share = policy.largest_suppressed_share
    data, hopeless = hopeless_rows(data, policy)
    choice = search(studies(data, hopeless), data.ladders, [weights[name] for name in names], policy.k, share)
    order = [names.index(name) for name in policy.order(names) if hierarchies[names.index(name)].nullable]
    new = _settled_new(data, policy, choice, order)
    old = _settled_old(data, policy.k, order, new.batch)
    result = _result(data, hierarchies, policy, choice, (new, old))
    counted = audit(history, result.table, hierarchies, policy.k)
    if not counted.reached:
        raise RefusedError("The recoding left donors below k", hint="Report this; nothing was released.")
    return replace(result, audit=counted)


def hopeless_rows(data: Prepared, policy: PrivacyPolicy) -> tuple[Prepared, Mask]:
    """The new rows that wait even if all others say as little as they can: they must not make all coarser.

    Where such a row may have a further id instead, the data comes back with it.
    """
    batch = new_batch(data, tuple(len(steps.labels) - 1 for steps in data.ladders))
    split = policy.later_studies == "split"
    suppress_or_hold(batch, policy.k, (), reason=HoldReason.TOO_FEW_ALIKE, split=split)
    return (apart(data, batch) if split else data), ~batch.alive


@dataclass(frozen=True, slots=True)
class _Settled:
    """Rows after suppression and holding: where they stand in the table, as they were, who is lacking."""

    batch: Batch
    rows: Ints
    before: npt.NDArray[np.int32]
    lacking: Ints


def _settled_new(data: Prepared, policy: PrivacyPolicy, choice: Choice, order: Sequence[int]) -> _Settled:
    """The studies new in this release."""
    batch = new_batch(data, choice.levels)
    before, lacking = batch.labels.copy(), _lacking(batch, policy.k)
    share = policy.largest_suppressed_share
    split = policy.later_studies == "split"
    suppress_or_hold(batch, policy.k, order if share else (), reason=HoldReason.TOO_FEW_ALIKE, split=split)
    trim(batch, before, int(share * len(batch.unit)), policy.k)
    protect(data, batch, policy.k)
    return _Settled(batch, data.new, before, lacking)


def _settled_old(data: Prepared, k: int, order: Sequence[int], new: Batch) -> _Settled:
    """The studies of donors who get no new one: what withdrawals left alone becomes null."""
    still = np.bincount(new.unit[new.alive], minlength=len(data.signature))[: len(data.signature)] == 0
    batch, rows = old_batch(data, still)
    before, lacking = batch.labels.copy(), _lacking(batch, k)
    suppress_or_hold(batch, k, [*order, len(data.ladders)], reason=HoldReason.WITHDRAWALS)
    return _Settled(batch, rows, before, lacking)


def _lacking(batch: Batch, k: int) -> Ints:
    """For each row: how many donors like its own are missing, 1 at least."""
    word, present = batch.unit_words()
    return np.maximum(k - sizes(word, batch.person, present), 1)[batch.unit]


def _result(
    data: Prepared,
    hierarchies: Sequence[Hierarchy],
    policy: PrivacyPolicy,
    choice: Choice,
    settled: Sequence[_Settled],
) -> Recoding:
    """Put the rows together again, sorted by study."""
    count = len(data.study)
    labels = np.empty((len(data.ladders) + 1, count), np.int32)
    for column, (steps, values) in enumerate(zip(data.ladders, data.values, strict=True)):
        labels[column] = steps.labels[0][values]
    labels[-1] = data.first + 1
    held, lacking, part = np.zeros(count, np.int64), np.zeros(count, np.int64), data.unit_part[data.unit]
    suppressed, touched = np.zeros(len(labels), np.int64), 0
    for group in settled:
        batch, rows = group.batch, group.rows
        columns = len(batch.labels)
        labels[:columns, rows] = batch.labels
        held[rows], lacking[rows], part[rows] = batch.held, group.lacking, batch.part[batch.unit]
        nulls = nulled(batch, group.before) & batch.alive
        suppressed[:columns] += nulls.sum(axis=1)
        touched += int(nulls.any(axis=0).sum())
    table, waiting = _tables(data, hierarchies, labels, held, lacking, part)
    names = [*(hierarchy.column for hierarchy in hierarchies), FIRST]
    return Recoding(
        policy=policy,
        levels=tuple((h.column, h.names[level]) for h, level in zip(hierarchies, choice.levels, strict=True)),
        table=table,
        held=waiting,
        suppressed=tuple((name, int(number)) for name, number in zip(names, suppressed, strict=True)),
        studies_suppressed=touched,
        choice=choice,
        audit=None,
    )


def _tables(
    data: Prepared,
    hierarchies: Sequence[Hierarchy],
    labels: npt.NDArray[np.int32],
    held: Ints,
    lacking: Ints,
    part: Ints,
) -> tuple[pa.Table, pa.Table]:
    """What is published, and what waits."""
    order = pc.array_sort_indices(data.study).to_numpy()
    go, wait = order[held[order] == HoldReason.NOT], order[held[order] != HoldReason.NOT]
    person = data.unit_person[data.unit]
    columns = {
        hierarchy.column: pa.array(steps.texts, pa.string()).take(pa.array(labels[index, go]))
        for index, (hierarchy, steps) in enumerate(zip(hierarchies, data.ladders, strict=True))
    }
    first = pa.array(labels[-1, go] - 1, pa.int32(), mask=labels[-1, go] == 0)
    reasons = pa.array([reason.name for reason in HoldReason]).take(pa.array(held[wait]))
    return pa.table(
        {
            STUDY: data.study.take(pa.array(go)),
            DONOR: data.donors.take(pa.array(person[go])),
            PART: pa.array(part[go], pa.int16()),
            FIRST: first,
            **columns,
        }
    ), pa.table(
        {
            STUDY: data.study.take(pa.array(wait)),
            DONOR: data.donors.take(pa.array(person[wait])),
            "reason": reasons,
            "more_donors": pa.array(lacking[wait], pa.int32()),
        }
    )


def _exempt(data: Prepared, hierarchies: Sequence[Hierarchy], policy: PrivacyPolicy) -> Recoding:
    """Test material: everything at the finest level, and no audit."""
    choice = Choice((0,) * len(hierarchies), 0.0, 0, 0, True)
    return _result(data, hierarchies, policy, choice, ())
