"""The coordinator at the hospital: gathers, gates, fixes dates, sends files to workers, writes the table last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path

from curate import clock, durable, parallel
from curate.archive import receipts, sealed_log
from curate.dicom import identifiers
from curate.dicom.hierarchy import StudyGroup, day_of, rebased
from curate.dicom.sources import SourceFile
from curate.dicom.types import Policy
from curate.donation import policy as policies
from curate.donation.coding import code_study
from curate.donation.gate import RowIndex, judge
from curate.donation.gather import Donation, count_kinds, gather
from curate.errors import InputError
from curate.findings import Finding, has_errors, merge
from curate.metadata import table
from curate.metadata.table import StudyRow
from curate.progress import Progress, silent
from curate.records import Row
from curate.steps.deidentify import beside as private
from curate.steps.deidentify import coded_table
from curate.steps.deidentify.beside import Beside
from curate.steps.deidentify.work import PARTIAL, Batch, File, Look, Outcome, Seen, clean, look

_BATCH = 64


@dataclass(slots=True)
class DeidentifyReport:
    """What became of every file: `files` = written + refused + not instances.

    `unchanged_instances` are those of the written ones that an earlier run had written. `table` is the table
    for intake, `receipts` and `refused` the private files beside the key; None where there was no need.
    """

    files: int = 0
    written_instances: int = 0
    unchanged_instances: int = 0
    refused_instances: int = 0
    not_instances: int = 0
    written_studies: int = 0
    refused_studies: int = 0
    size_bytes: int = 0
    other: tuple[tuple[str, str], ...] = ()
    kinds: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    key: Path | None = None
    table: Path | None = None
    receipts: Path | None = None
    refused: Path | None = None

    @property
    def codes(self) -> dict[str, int]:
        """How often each rule was found, over all files."""
        counts: Counter[str] = Counter()
        for finding in self.findings:
            counts[finding.rule] += finding.count
        return dict(sorted(counts.items()))


@dataclass(frozen=True, slots=True, repr=False)
class _Plan:
    """One study: its new ids, its row, what the table for intake says of it, where it lies in the donor's time."""

    study: StudyGroup[SourceFile]
    study_id: str
    donor_id: str
    findings: tuple[Finding, ...]
    names: frozenset[str] = frozenset()
    row: StudyRow | None = None
    coded: Row | None = None
    shift_us: int | None = None
    study_date: str = ""


def deidentify(
    sources: list[Path],
    dest: Path,
    *,
    key: Path | None = None,
    studies: Path | None = None,
    mapping: Path | None = None,
    profile: Path | None = None,
    under_passphrase: bool = False,
    workers: int | None = None,
    progress: Progress = silent,
) -> DeidentifyReport:
    """Write the clean form of every instance below DEST, under new ids; refuse by rule what cannot be made safe.

    A second run does what is not done yet. With `studies`, only studies with a row and a donor's consent are
    written, and beside them the table that intake takes; receipts are on the disk before that table.

    Raises:
        InputError: sources, table, key or places cannot be used at all.
        LockedError, StorageError, DamagedError: as their messages say; what was written stays.
    """
    policy = policies.of_file(profile)
    key = key or private.default_key(dest)
    private.refuse_overlap(sources, dest, [key, *([mapping] if mapping else [])])
    listed = table.open_table(studies) if studies else None
    count = workers or parallel.default_workers()
    with private.opened(key, under_passphrase=under_passphrase) as beside, _partial(dest):
        donation = gather(sources, beside.temporary, beside.keys, count, progress)
        if not donation.files:
            raise InputError("The sources hold no file.", hint="Check the paths of the sources.")
        run = _Run(beside, dest, policy, donation, listed, count, progress)
        run.clean_all(mapping)
        return run.report()


def _partial(dest: Path) -> ExitStack:
    """A folder in DEST for unfinished clean files, which goes with the run."""
    folder = dest / PARTIAL
    with durable.storage_errors("use DEST"):
        durable.remove(folder)
        folder.mkdir(parents=True, mode=0o700)
    stack = ExitStack()
    stack.callback(durable.remove, folder)
    return stack


class _Run:
    """One run: what it was given, and what it has found so far."""

    def __init__(
        self,
        beside: Beside,
        dest: Path,
        policy: Policy,
        donation: Donation,
        listed: table.StudiesTable | None,
        workers: int,
        progress: Progress,
    ) -> None:
        self.beside, self.dest, self.policy, self.donation = beside, dest, policy, donation
        self.workers, self.progress = workers, progress
        self.findings: list[Finding] = [*donation.findings, *(listed.findings if listed else ())]
        self.rows = RowIndex.of(listed.rows(), donation.grouped.studies) if listed else None
        self.totals = DeidentifyReport(key=beside.path)
        self.written: Counter[str] = Counter()
        self.refusals: list[tuple[File, str]] = []

    def clean_all(self, mapping: Path | None) -> None:
        """Every study: planned, its dates fixed, its files written, its line in the table."""
        plans = self._anchored(list(self._plans()))
        good = [plan for plan in plans if not has_errors(plan.findings)]
        if mapping:
            self._map(mapping, good)
        for plan in plans:
            self.findings += plan.findings
            if has_errors(plan.findings):
                self._refuse_study(plan)
        for file, finding in self.donation.loose:
            self.findings.append(finding)
            self._refuse(File(file.place, file.path, ""), finding.rule)
        total = sum(len(plan.study.members) for plan in good)
        done = parallel.map_unordered(clean, self._batches(good), self.workers)
        for batch, outcome in self.progress.over(done, "batches", -(-total // _BATCH)):
            self._count(batch, outcome)
        if self.rows is not None:
            self._write_table(good)
        self._write_refused()

    def _plans(self) -> Iterator[_Plan]:
        """What is to be done with each study, after a look at its first header."""
        studies = {study.study_uid: study for study in self.donation.grouped.studies}
        looks = [
            Look(
                study.study_uid,
                tuple(member.place.path for member in study.members[:8]),
                tuple(tuple(m.place.path for m in same) for same in study.doubles),
            )
            for study in studies.values()
        ]
        seen = {task.study_uid: found for task, found in parallel.map_unordered(look, looks, self.workers)}
        for uid, study in studies.items():
            yield self._plan(study, seen[uid])

    def _plan(self, study: StudyGroup[SourceFile], seen: Seen) -> _Plan:
        keys = self.beside.keys
        place = study.members[0].place.place
        findings = [Finding(f.rule, place, f.tag) for f in study.findings]
        if seen.conflict:
            findings.append(Finding("INSTANCE_UID_CONFLICT", place))
        study_id = identifiers.new_uid(keys, study.study_uid)
        if self.rows is None:
            donor = identifiers.donor_id(keys, _patient(study))
            return _Plan(study, study_id, donor, tuple(findings), seen.names)
        rows = self.rows.of_study(study)
        if len(rows) != 1:
            findings.append(Finding("STUDY_NOT_IN_TABLE" if not rows else "STUDY_ROWS_CONFLICT", place))
            return _Plan(study, study_id, "", tuple(findings))
        row = rows[0]
        judged, _ = judge(row, clock.now().date(), 0, "")
        coded, found = code_study(row, seen.header)
        findings += [f for f in judged if f.rule != "LICENSE_NOT_CHOSEN"]
        findings += coded_table.license_findings(row)
        findings += [Finding(f.rule, f"row {row.row}", f.tag) for f in found]
        donor = identifiers.donor_id(keys, row.donor) if row.donor.strip() else ""
        return _Plan(study, study_id, donor, tuple(findings), seen.names, row, coded)

    def _anchored(self, plans: list[_Plan]) -> list[_Plan]:
        """Fix each donor's first day and each study's first moment, on disk, before any file rests on them."""
        if self.policy.dates == "remove":
            return plans
        good = [p for p in plans if p.study.earliest is not None and not has_errors(p.findings)]
        days, moments = self._remembered({p.donor_id for p in good}, {p.study_id for p in good})
        new: list[dict[str, object]] = []
        for plan in good:
            if plan.study_id not in moments and plan.study.earliest is not None:
                moments[plan.study_id] = plan.study.earliest
                new.append({"study": plan.study_id, "earliest": plan.study.earliest})
        for donor in sorted({p.donor_id for p in good} - days.keys()):
            first = min(day_of(moments[p.study_id]) for p in good if p.donor_id == donor)
            days[donor] = first.isoformat()
            new.append({"donor": donor, "anchor": days[donor]})
        with sealed_log.appending(self.beside.state, self.beside.keys.storage) as state:
            state.append(new)
        return [_placed(plan, moments.get(plan.study_id), days.get(plan.donor_id)) for plan in plans]

    def _remembered(self, donors: set[str], studies: set[str]) -> tuple[dict[str, str], dict[str, int]]:
        """Days of donors and moments of studies that earlier batches fixed; the first one holds."""
        days: dict[str, str] = {}
        moments: dict[str, int] = {}
        if self.beside.state.exists():
            for record in sealed_log.read(self.beside.state, self.beside.keys.storage):
                if record.get("donor") in donors:
                    days.setdefault(record["donor"], record["anchor"])
                elif record.get("study") in studies:
                    moments.setdefault(record["study"], record["earliest"])
        return days, moments

    def _batches(self, plans: list[_Plan]) -> Iterator[Batch]:
        keys = self.beside.keys
        for plan in plans:
            files = [
                File(
                    m.place.place,
                    m.place.path,
                    f"{plan.study_id}/{identifiers.new_uid(keys, m.scan.series_uid)}/"
                    f"{identifiers.new_uid(keys, m.scan.sop_instance_uid)}.dcm",
                )
                for m in plan.study.members
            ]
            rest = (keys, plan.donor_id, plan.shift_us, plan.study_date, plan.names, self.policy)
            for start in range(0, len(files), _BATCH):
                yield Batch(self.dest, plan.study_id, tuple(files[start : start + _BATCH]), *rest)

    def _count(self, batch: Batch, outcome: Outcome) -> None:
        totals = self.totals
        totals.written_instances += outcome.written
        totals.unchanged_instances += outcome.unchanged
        totals.size_bytes += outcome.size_bytes
        self.written[batch.study_id] += outcome.written
        self.findings += outcome.findings
        for file, rule in outcome.refused:
            self._refuse(file, rule)
        self.progress.add(instances=outcome.written, size_bytes=outcome.size_bytes)

    def _refuse_study(self, plan: _Plan) -> None:
        """Nothing of a refused study stays in DEST, whatever an earlier run thought of it."""
        rule = next(f.rule for f in plan.findings if has_errors([f]))
        self.totals.refused_studies += 1
        for member in plan.study.members:
            self._refuse(File(member.place.place, member.place.path, ""), rule)
        with durable.storage_errors("remove a refused study from DEST"):
            if (self.dest / plan.study_id).exists():
                durable.remove(self.dest / plan.study_id)

    def _refuse(self, file: File, rule: str) -> None:
        self.totals.refused_instances += 1
        self.refusals.append((file, rule))

    def _write_table(self, plans: list[_Plan]) -> None:
        """The receipts, synced; then the table that names their digests."""
        path = self.dest / coded_table.NAME
        given = [plan for plan in plans if self.written[plan.study_id] and plan.row and plan.coded]
        codes = self._receipts(given)
        lines = coded_table.earlier(path)
        for study in self.donation.grouped.studies:
            lines.pop(identifiers.new_uid(self.beside.keys, study.study_uid), None)
        for plan in given:
            if plan.row and plan.coded:
                receipt = receipts.digest(codes[plan.study_id])
                line, found = coded_table.coded_row(
                    self.beside.keys, plan.study_id, plan.donor_id, plan.row, plan.coded, receipt
                )
                lines[plan.study_id] = line
                self.findings += found
        coded_table.write(path, lines.values())
        self.totals.table = path
        self.totals.receipts = self.beside.receipts if self.beside.receipts.exists() else None

    def _receipts(self, plans: list[_Plan]) -> dict[str, str]:
        """A code for each donation: the one it has, or a new one, on the disk before it is used."""
        wanted = {plan.study_id for plan in plans}
        storage = self.beside.keys.storage
        codes: dict[str, str] = {}
        if self.beside.receipts.exists():
            for receipt in receipts.read(self.beside.receipts, storage):
                if receipt.study_id in wanted:
                    codes.setdefault(receipt.study_id, receipt.code)
        new = [
            receipts.Receipt(receipts.new_code(), plan.study_id, plan.row.study, plan.row.donor)
            for plan in plans
            if plan.row and plan.study_id not in codes
        ]
        if new:
            with sealed_log.appending(self.beside.receipts, storage) as log:
                log.append(receipts.record(receipt) for receipt in new)
        return codes | {receipt.study_id: receipt.code for receipt in new}

    def _map(self, path: Path, plans: list[_Plan]) -> None:
        """Old ids beside new ones, encrypted, one record a study, before its files are written."""
        keys = self.beside.keys
        known = set()
        if path.exists():
            known = {str(record) for record in sealed_log.read(path, keys.storage)}
        records = (record for plan in plans if str(record := self._mapped(plan)) not in known)
        with sealed_log.appending(path, keys.storage) as log:
            log.append(records)

    def _mapped(self, plan: _Plan) -> dict[str, object]:
        keys = self.beside.keys
        uids = sorted({m.scan.series_uid for m in plan.study.members})
        uids += sorted({m.scan.sop_instance_uid for m in plan.study.members})
        return {
            "donor": plan.row.donor if plan.row else "",
            "donor_id": plan.donor_id,
            "study": plan.study.study_uid,
            "study_id": plan.study_id,
            "uids": [[uid, identifiers.new_uid(keys, uid)] for uid in uids],
        }

    def _write_refused(self) -> None:
        """Where what was refused lies, for its owner's eyes: places in reports do not say it."""
        path = self.beside.refused
        with durable.storage_errors("write the list of refused files"):
            durable.remove(path)
        if self.refusals:
            with sealed_log.appending(path, self.beside.keys.storage) as log:
                log.append({"place": f.place, "path": str(f.path), "rule": rule} for f, rule in self.refusals)
            self.totals.refused = path

    def report(self) -> DeidentifyReport:
        """The whole account."""
        totals, donation = self.totals, self.donation
        totals.files, totals.not_instances = donation.files, len(donation.other)
        totals.other, totals.kinds = donation.other, count_kinds(donation.other)
        totals.written_studies = sum(1 for count in self.written.values() if count)
        others = self.rows.others if self.rows else 0
        unmatched = [Finding("ROW_WITHOUT_STUDY", "table", count=others)] if others else []
        totals.findings = merge([*self.findings, *unmatched])
        return totals


def _patient(study: StudyGroup[SourceFile]) -> str:
    """Who a study is of where no table says it: by the patient's mark, else the study stands alone."""
    marks = sorted({member.scan.patient.hex() for member in study.members} - {""})
    return f"patient {marks[0]}" if marks else f"study {study.study_uid}"


def _placed(plan: _Plan, moment: int | None, day: str | None) -> _Plan:
    if moment is None or day is None:
        return plan
    shift, study_date = rebased(moment, date.fromisoformat(day))
    return replace(plan, shift_us=shift, study_date=study_date)
