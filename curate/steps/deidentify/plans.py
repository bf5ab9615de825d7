"""What is to be done with each study at the hospital: may it leave, under which ids, at which place in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from functools import partial
from pathlib import Path

from curate.core import clock
from curate.core.findings import Finding, defect, has_errors
from curate.core.records import Row
from curate.deid import pseudonyms
from curate.donation import faces
from curate.donation.deface_plan import DefacePlan
from curate.donation.eligibility import RowIndex, judge
from curate.donation.scan_index import StoredStudy
from curate.donation.series_grouping import SERIES_CONFLICT, date_shift, day_of, patients
from curate.donation.study_metadata import code_study
from curate.keys import encrypted_log
from curate.keys.derivation import Keys
from curate.metadata.table import StudyRow
from curate.parallel import Pool
from curate.policies import Policy
from curate.steps.deidentify import coded_table
from curate.steps.deidentify.key_files import KeyFiles
from curate.steps.deidentify.work import Look, Seen, Volumes, look, unjudged, unseen
from curate.steps.deidentify.work import judge as judge_heads

_DIED = "WORKER_DIED"
_TRIED = 4  # files of a series, until one can be read
_FEW = 32  # studies, which are looked at sooner than processes start


@dataclass(frozen=True, slots=True, repr=False)
class StudyPlan:
    """One study: its new ids, what forbids it, its row as coded, where it lies in the donor's time."""

    study: StoredStudy
    study_id: str
    donor_id: str
    findings: tuple[Finding, ...]
    names: frozenset[str] = frozenset()
    row: StudyRow | None = None
    coded: Row | None = None
    shift_us: int | None = None
    study_date: str = ""
    heads: DefacePlan = field(default_factory=DefacePlan)

    @property
    def refused(self) -> bool:
        """Whether nothing of the study may leave."""
        return bool(self.reason)

    @property
    def reason(self) -> str:
        """The rule that forbids it; at the hospital nobody decides about a head that waits at an archive."""
        errors = (f.rule for f in self.findings if has_errors([f]))
        return next(errors, (self.heads.failed or faces.UNSURE) if self.heads.held else "")


def plans(keys: Keys, studies: tuple[StoredStudy, ...], rows: RowIndex | None, pool: Pool[Keys]) -> Iterator[StudyPlan]:
    """A plan for each study, after a look at its series' first headers; without rows, nobody is asked for consent."""
    looks = [
        Look(
            study.study_uid,
            tuple(tuple(m.place.on_disk for m in series.members[:_TRIED]) for series in study.series),
            tuple(tuple(m.place.on_disk for m in same) for same in study.doubles),
        )
        for study in studies
    ]
    done = (pool if len(looks) > _FEW else pool.here()).map(look, looks, partial(unseen, rule=_DIED))
    seen = {task.study_uid: found for task, found in done}
    for study in studies:
        try:
            plan = _plan(keys, study, rows, seen[study.study_uid])
        except Exception:  # a defect of our own, met at odd data, keeps this study here; the others go on
            plan = StudyPlan(study, pseudonyms.new_uid(keys, study.study_uid), "", (defect(study.place),))
        yield plan


def _plan(keys: Keys, study: StoredStudy, rows: RowIndex | None, seen: Seen) -> StudyPlan:
    place = study.place
    study_id = pseudonyms.new_uid(keys, study.study_uid)
    findings = [Finding(f.rule, place, f.tag) for f in study.findings]
    if seen.failed:
        findings.append(Finding(seen.failed, place))
    if seen.conflict:
        findings.append(Finding("INSTANCE_UID_CONFLICT", place))
    if rows is None:
        return StudyPlan(study, study_id, pseudonyms.donor_id(keys, _patient(study)), tuple(findings), seen.names)
    found = rows.of_study(study)
    if len(found) != 1:
        findings.append(Finding("STUDY_NOT_IN_TABLE" if not found else "STUDY_ROWS_CONFLICT", place))
        return StudyPlan(study, study_id, "", tuple(findings))
    row = found[0]
    coded, gaps = code_study(row, seen.header)
    findings += _judged(row)
    findings += [Finding(f.rule, f"row {row.row}", f.tag) for f in gaps]
    donor = pseudonyms.donor_id(keys, row.donor) if row.donor.strip() else ""
    return StudyPlan(study, study_id, donor, tuple(findings), seen.names, row, coded)


def beside_others(keys: Keys, dest: Path, planned: list[StudyPlan]) -> list[StudyPlan]:
    """The plans, refused where a series of theirs lies in DEST already as another study's.

    The run's own studies are held against each other by what they state.
    """
    ours = {plan.study_id for plan in planned}
    there = {
        series.name
        for study in (dest.iterdir() if dest.is_dir() else ())
        if study.name not in ours and pseudonyms.is_new_uid(study.name)
        for series in study.iterdir()
    }
    return [_beside(keys, plan, there) for plan in planned] if there else planned


def _beside(keys: Keys, plan: StudyPlan, there: set[str]) -> StudyPlan:
    series = {pseudonyms.new_uid(keys, one.series_uid) for one in plan.study.series}
    if plan.refused or series.isdisjoint(there):
        return plan
    return replace(plan, findings=(*plan.findings, Finding(SERIES_CONFLICT, plan.study.place)))


def with_heads(planned: list[StudyPlan], policy: Policy, pool: Pool[Keys]) -> list[StudyPlan]:
    """The plans with what each study's volumes show, where the policy asks for heads."""
    if policy.head == "allow":
        return planned
    tasks = (_volumes(plan, policy) for plan in planned if not plan.refused)
    found = {task.study_id: heads for task, heads in pool.map(judge_heads, tasks, partial(unjudged, rule=_DIED))}
    return [_with(plan, found[plan.study_id]) if plan.study_id in found else plan for plan in planned]


def _volumes(plan: StudyPlan, policy: Policy) -> Volumes:
    files = tuple((member.scan.sop_instance_uid, member.place.on_disk) for member in plan.study.members)
    return Volumes(plan.study_id, files, policy)


def _with(plan: StudyPlan, heads: DefacePlan) -> StudyPlan:
    rule = heads.failed or faces.UNSURE
    unsure = (Finding(rule, plan.study.place, "PixelData"),) if heads.held else ()
    return replace(plan, heads=heads, findings=(*plan.findings, *unsure))


def _judged(row: StudyRow) -> list[Finding]:
    """What the row forbids here: the archive alone knows its cooling-off time and its licence."""
    judged, _ = judge(row, clock.today(), 0, "")
    return [f for f in judged if f.rule != "LICENSE_NOT_CHOSEN"] + coded_table.license_findings(row)


def _patient(study: StoredStudy) -> str:
    """Who a study is of where no table says it: by the patient's mark, else the study stands alone."""
    marks = patients({member.scan.patient for member in study.members})
    return f"patient {marks[0].hex()}" if marks else f"study {study.study_uid}"


def anchored(beside: KeyFiles, planned: list[StudyPlan]) -> list[StudyPlan]:
    """The plans with their place in time: each donor's first day and each study's first moment are fixed once.

    They are on the disk before any file rests on them, so that a later batch of the same donor, or of the same
    study, moves by the same.
    """
    good = [p for p in planned if p.study.earliest is not None and not p.refused]
    days, moments = _remembered(beside, {p.donor_id for p in good}, {p.study_id for p in good})
    new: list[dict[str, object]] = []
    for plan in good:
        if plan.study_id not in moments and plan.study.earliest is not None:
            moments[plan.study_id] = plan.study.earliest
            new.append({"study": plan.study_id, "earliest": plan.study.earliest})
    first: dict[str, date] = {}
    for plan in good:
        day = day_of(moments[plan.study_id])
        first[plan.donor_id] = min(day, first.get(plan.donor_id, day))
    for donor in sorted(first.keys() - days.keys()):
        days[donor] = first[donor].isoformat()
        new.append({"donor": donor, "anchor": days[donor]})
    if new:
        with encrypted_log.appending(beside.state, beside.keys.storage) as state:
            state.append(new)
    return [_placed(plan, moments.get(plan.study_id), days.get(plan.donor_id)) for plan in planned]


def _remembered(beside: KeyFiles, donors: set[str], studies: set[str]) -> tuple[dict[str, str], dict[str, int]]:
    """Days of donors and moments of studies that earlier batches fixed; the first one holds."""
    days: dict[str, str] = {}
    moments: dict[str, int] = {}
    if beside.state.exists():
        for record in encrypted_log.read(beside.state, beside.keys.storage):
            if record.get("donor") in donors:
                days.setdefault(record["donor"], record["anchor"])
            elif record.get("study") in studies:
                moments.setdefault(record["study"], record["earliest"])
    return days, moments


def _placed(plan: StudyPlan, moment: int | None, day: str | None) -> StudyPlan:
    if moment is None or day is None:
        return plan
    shift, study_date = date_shift(moment, date.fromisoformat(day))
    return replace(plan, shift_us=shift, study_date=study_date)
