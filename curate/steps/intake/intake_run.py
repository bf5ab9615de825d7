"""The coordinator of an intake: gathers, gates, sends each study to a worker, alone writes the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date
from functools import cached_property, partial
from operator import attrgetter
from pathlib import Path

from curate import parallel
from curate.archive import repository
from curate.archive.ledger_records import QuarantineEntry
from curate.archive.pack_consolidation import remove_unused, rewrite_without
from curate.archive.release_folders import release_folders, studies_in
from curate.archive.repository import Archive
from curate.core import clock, durable, remote
from curate.core.actor import TOOL, who
from curate.core.errors import CurateError, InputError
from curate.core.findings import Finding, defect, has_errors, merge
from curate.core.progress import Progress, silent
from curate.deid import pseudonyms
from curate.deid.renumbering import numbers
from curate.dicom.io.scan_record import Scan
from curate.donation.eligibility import RowIndex, judge
from curate.donation.gather import Donation, count_kinds, gather
from curate.donation.scan_index import StoredStudy
from curate.donation.series_grouping import (
    INSTANCE_CONFLICT,
    SERIES_CONFLICT,
    StudyGroup,
    date_shift,
    day_of,
    first_day,
    slice_order,
)
from curate.donation.sources import SourceFile
from curate.keys.derivation import Keys
from curate.metadata import table
from curate.parallel import Workers
from curate.pixels import optional_deps
from curate.policies import Policy
from curate.steps.intake import late_batch, receipts, uid_conflicts, unchanged_cache
from curate.steps.intake.batch_state import Order
from curate.steps.intake.late_batch import process
from curate.steps.intake.quarantine_store import quarantine_id
from curate.steps.intake.report import IntakeReport
from curate.steps.intake.revocation_filter import RevocationFilter
from curate.steps.intake.tasks import SourceInstance, StudyResult, StudyTask


def intake(
    root: Path,
    sources: Sequence[Path | str],
    studies: Path,
    *,
    deidentify: bool = False,
    workers: Workers = None,
    progress: Progress = silent,
) -> IntakeReport:
    """Take a donation in: admit each study whose row, consent and bytes allow it, keep the rest encrypted.

    A source is a path or an fsspec URL. `workers` is a count of processes, or the address of a Dask scheduler
    whose workers share the sources and the stores. Taking in the same again changes nothing; a killed run is
    finished by the next one.

    Raises:
        InputError: a source, the table or the workers cannot be used at all.
        LockedError, StorageError, DamagedError: as their messages say; what was admitted stays.
    """
    with repository.opened(root, write=True) as archive, _unpacking(archive) as folder, ExitStack() as stack:
        policy = Policy.from_mapping(archive.config.profile)
        keys = Keys.from_secret(archive.secret)
        look = unchanged_cache.look(archive, keys.source, sources, studies, deidentify, optional_deps.installed())
        if look is not None and (known := unchanged_cache.recall(archive, look)) is not None:
            return IntakeReport.from_plain(known)
        listed = table.open_table(studies)
        shared = _shared(archive, sources) if isinstance(workers, str) else []
        away = archive.packs.is_remote or archive.quarantine.is_remote or any(map(remote.is_url, map(str, sources)))
        pool = stack.enter_context(parallel.opened(workers, keys.of_worker(), shared, remote=away))
        donation = gather(sources, folder, pool, progress)
        if isinstance(workers, str) and archive.quarantine.is_remote and folder.exists():
            hint = "Unpack it beside the source, and take in the folder."
            raise InputError("A source holds a .zip or .tar, which the workers cannot reach.", hint=hint)
        if not donation.files:
            raise InputError("The sources hold no file.", hint="Check the paths of the sources.")
        rows = RowIndex.of(listed.rows(), donation.studies, sources)
        run = _Run(archive, keys, policy, deidentify, rows, [*listed.findings, *donation.findings])
        tasks = list(run.tasks(donation))
        run.anchor(tasks)
        run.receipts(tasks)
        done = pool.map(
            process, run.placed(tasks), partial(late_batch.refuse, keys=keys.of_worker(), rule="WORKER_DIED")
        )
        withdrawn = RevocationFilter(archive, keys)
        for task, result in progress.over(done, "studies", len(tasks)):
            if (refused := withdrawn.refused(task, result)) is not None:
                run.leftovers, result = True, refused
            run.record(task, result)
            progress.add(instances=result.admitted, size_bytes=result.size_bytes)
        if run.leftovers:
            remove_unused(archive)
        report = run.report(donation)
        if look is not None:
            unchanged_cache.remember(archive, look, report.unchanged(), waiting=report.quarantined_instances > 0)
        return report


@contextmanager
def _unpacking(archive: Archive) -> Iterator[Path]:
    """Where containers are unpacked: identified data, so in the archive, and gone when the intake ends."""
    folder = Path(archive.quarantine.unfinished or archive.temporary) / repository.UNPACKED
    try:
        yield folder
    finally:
        with durable.storage_errors("remove what was unpacked"):
            durable.remove(folder)


def _shared(archive: Archive, sources: Sequence[Path | str]) -> list[Path]:
    """What workers on other machines must see under the same path."""
    local = [Path(source) for source in sources if not remote.is_url(str(source))]
    return [*local, *(path for store in {archive.packs, archive.quarantine} for path in store.witness())]


class _Run:
    """One intake: what it was given, and what it has found so far."""

    def __init__(
        self,
        archive: Archive,
        keys: Keys,
        policy: Policy,
        deidentify: bool,
        rows: RowIndex,
        findings: list[Finding],
    ) -> None:
        self.archive, self.keys, self.policy = archive, keys, policy
        self.deidentify, self.rows, self.findings = deidentify, rows, dict.fromkeys(findings)
        self.totals = IntakeReport()
        self.earliest: dict[str, int] = {}
        self.studies: dict[str, StoredStudy] = {}
        self.given = receipts.Given(archive.ledger)
        self.made: dict[str, bytes] = {}
        self.leftovers = False  # packs of studies that were joined may still be there

    def tasks(self, donation: Donation) -> Iterator[StudyTask]:
        """A task for each study, and one for all instances that belong to none."""
        for study in donation.studies:
            try:
                task = self._task(study)
            except (CurateError, OSError):
                raise
            except Exception:  # a defect of our own, met at odd data: this study waits, the others go on
                study_id = pseudonyms.new_uid(self.keys, study.study_uid)
                self.studies[study_id] = study
                task = self._new(study.study_uid, study_id, "", (), [defect(study.place)])
            yield task
        for file, finding in donation.loose:
            yield self._loose(file, finding)

    def _task(self, study: StoredStudy) -> StudyTask:
        study_id = pseudonyms.new_uid(self.keys, study.study_uid)
        place = study.place
        findings = [Finding(f.rule, place, f.tag) for f in study.findings]
        if self.archive.ledger.has_study(study_id):  # what is there stays; of the new instances each is asked
            findings = [f for f in findings if f.rule not in (SERIES_CONFLICT, INSTANCE_CONFLICT)]
        rows = self.rows.of_study(study)
        donor, spdx, row = "", self.archive.config.info.license, None
        if self.archive.ledger.tombstoned(pseudonyms.tombstone(self.keys, study_id)):
            findings.append(Finding("STUDY_WITHDRAWN", place))
        elif len(rows) == 1:
            row = rows[0]
            judged, spdx = judge(row, clock.today(), self.archive.config.cooling_off_days, spdx)
            findings += judged + self.given.check(row, study_id)
            donor = pseudonyms.donor_id(self.keys, row.donor) if row.donor.strip() else ""
        else:
            findings.append(Finding("STUDY_NOT_IN_TABLE" if not rows else "STUDY_ROWS_CONFLICT", place))
        if study.earliest is not None and donor:
            self.earliest[study_id] = study.earliest
        self.studies[study_id] = study
        task = self._new(study.study_uid, study_id, donor, (), findings)
        said = self._decisions(study_id)
        text, heads = said.get("text", ""), said.get("face", "")
        return replace(task, license=spdx, row=row, decision=text, heads=heads)

    def _decisions(self, study_id: str) -> dict[str, str]:
        """What a person decided last of text in waiting pixels, or of a face; of what is in already no more."""
        decided: dict[str, str] = {}
        for event in self.archive.ledger.events(subject=study_id):
            if event.kind in ("admitted", "joined"):
                self.leftovers = self.leftovers or event.kind == "joined"
                decided.clear()
            elif event.kind == "decided":
                about = event.payload.get("about", ["text"])
                decided |= dict.fromkeys(map(str, about), str(event.payload["decision"]))
        return decided

    def _loose(self, file: SourceFile, finding: Finding) -> StudyTask:
        """A file that belongs to no study waits by itself, under a name of its content's place."""
        uid = f"loose {file.path}"
        instance = SourceInstance(file.place, file.path, "", "", origin=file.origin)
        return self._new(uid, pseudonyms.new_uid(self.keys, uid), "", (instance,), [finding])

    def _whole(self, task: StudyTask) -> StudyTask:
        """A task with the files of its study, and with what the archive holds of it: just before it is sent."""
        study = self.studies.get(task.study_id)
        if study is None:
            return task
        known = self.archive.ledger.study(task.study_id)
        group = study.group
        instances = uid_conflicts.found(self.archive.ledger.claims, group, task.study_id, self._instances(group))
        task = replace(task, instances=instances)
        if known is None:
            return task
        return replace(task, admitted=replace(known, previews=None), released=task.study_id in self.released)

    @cached_property
    def released(self) -> frozenset[str]:
        """The studies of this donation that a release shows, be it published or not; all, where one is missing."""
        ours, folders = frozenset(self.studies), release_folders(self.archive)
        published = {event.subject for event in self.archive.ledger.events("published")}
        if published - {folder.name for folder in folders}:
            return ours
        return frozenset[str]().union(*(studies_in(folder, ours) for folder in folders))

    def _instances(self, study: StudyGroup[SourceFile]) -> tuple[SourceInstance, ...]:
        """The study's files in the order of the manifest, in which a later batch finds its place too."""
        doubled: dict[str, int] = defaultdict(int)
        for same in study.doubles:
            doubled[same[0].scan.sop_instance_uid] = len(same)
        found = (
            SourceInstance(
                member.place.place,
                member.place.path,
                series.series_uid,
                member.scan.sop_instance_uid,
                doubled[member.scan.sop_instance_uid] > 1,
                member.place.origin,
                self._order(new_uid, member.scan),
                numbers(member.scan),
            )
            for series in study.series
            for new_uid in (pseudonyms.new_uid(self.keys, series.series_uid),)
            for member in series.members
        )
        return tuple(sorted(found, key=attrgetter("order")))

    def _order(self, series: str, scan: Scan) -> Order:
        position, time, number, _ = slice_order(scan)
        return Order(series, position, time, number, pseudonyms.new_uid(self.keys, scan.sop_instance_uid))

    def _new(
        self,
        uid: str,
        study_id: str,
        donor: str,
        instances: tuple[SourceInstance, ...],
        findings: list[Finding],
    ) -> StudyTask:
        return StudyTask(
            packs=self.archive.packs,
            quarantine=self.archive.quarantine,
            study_uid=uid,
            study_id=study_id,
            donor_id=donor,
            instances=instances,
            findings=tuple(findings),
            profile=dict(self.archive.config.profile),
            deidentify=self.deidentify,
            target_pack_bytes=self.archive.config.target_pack_bytes,
            pixels=self.archive.config.pixels,
            at=clock.stamp(),
            tool=TOOL,
            license="",
            fold=pseudonyms.fold(self.keys, donor) if donor else 0,
        )

    def anchor(self, tasks: list[StudyTask]) -> None:
        """Fix each donor's first day before any of its studies is rewritten: it can never change."""
        first: dict[str, int] = {}
        for task in tasks:
            if task.study_id in self.earliest and not has_errors(task.findings):
                moment = self.earliest[task.study_id]
                first[task.donor_id] = min(moment, first.get(task.donor_id, moment))
        with self.archive.ledger.transaction():
            self.archive.ledger.claims.ensure()  # of an archive that an earlier version made
            for donor, moment in sorted(first.items()):
                self.archive.ledger.put_anchor(donor, day_of(moment).isoformat())

    def receipts(self, tasks: list[StudyTask]) -> None:
        """See to a receipt for each donation before the ledger hears of it."""
        self.made = receipts.make_missing(self.archive, self.keys.storage, tasks, self.given)
        if self.made:
            self.totals.new_receipts, self.totals.receipts = len(self.made), receipts.path_of(self.archive)

    def placed(self, tasks: list[StudyTask]) -> Iterator[StudyTask]:
        """The tasks with their files and their place in the donor's time."""
        for task in map(self._whole, tasks):
            try:
                yield self._in_time(task)
            except (ArithmeticError, ValueError):  # no calendar has the day: this study waits, the others go on
                yield replace(task, findings=(*task.findings, defect(task.instances[0].place)))

    def _in_time(self, task: StudyTask) -> StudyTask:
        """A task with its place in the donor's time."""
        anchor = self.archive.ledger.anchor(task.donor_id)
        moment = self.earliest.get(task.study_id)
        task = replace(task, moment=moment)
        if anchor is None or moment is None or self.policy.dates == "remove":
            return task
        shift, day = date_shift(moment, date.fromisoformat(anchor))
        return replace(task, shift_us=shift, study_date=day, day=first_day(day))

    def record(self, task: StudyTask, result: StudyResult) -> None:
        """Write what became of a study; the ledger comes last, in one transaction."""
        ledger = self.archive.ledger
        gone = self._resolved(task, result)
        receipt = self.made.get(task.study_id) or self.given.of(task.study_id)
        before = ledger.study(task.study_id) if result.joined else None
        moved = rewrite_without(self.archive, [before] if before else [], frozenset({task.study_id}))
        with ledger.transaction():
            if receipt is not None:
                ledger.put_receipt(receipt, task.study_id)
            if result.record is not None:
                for record in (*moved, result.record):
                    ledger.put_study(record)
                facts = result.record.payload["facts"]
                payload = {key: facts[key] for key in ("instance_count", "series_count", "size_bytes", "sha256")}
                payload |= {"joined": result.joined} if result.joined else {}
                kind = "joined" if result.joined else "admitted"
                ledger.append(clock.stamp(), kind, task.study_id, payload, who=who(), tool=TOOL)
            if result.entry is not None and self._new_entry(result.entry):
                ledger.put_quarantine(result.entry)
                payload = {"codes": result.entry.codes, "files": result.entry.files}
                ledger.append(clock.stamp(), "quarantined", task.study_id, payload, who=who(), tool=TOOL)
            for name in gone:
                ledger.delete_quarantine(name)
        for name in gone:
            self.archive.quarantine.remove(repository.vault_name(name))
        self._count(task, result)

    def _new_entry(self, entry: QuarantineEntry) -> bool:
        known = self.archive.ledger.waits(entry.id)
        return known is None or (known.codes, known.files) != (entry.codes, entry.files)

    def _resolved(self, task: StudyTask, result: StudyResult) -> list[str]:
        """Entries that a study no longer needs: it was admitted since, or in parts where it was refused."""
        if result.entry is None and not result.admitted:
            return []
        kept = result.entry.id if result.entry else ""
        kinds = ("study", "late") if result.open else ("study", "part", "late")
        ours = {quarantine_id(self.keys, task, kind) for kind in kinds} - {kept}
        return sorted(name for name in ours if self.archive.ledger.waits(name) is not None)

    def _count(self, task: StudyTask, result: StudyResult) -> None:
        totals = self.totals
        totals.admitted_instances += result.admitted
        totals.copies += result.copies
        totals.quarantined_instances += result.quarantined
        totals.size_bytes += result.size_bytes
        self.leftovers |= result.joined > 0
        totals.joined_instances += result.joined
        totals.joined_studies += result.joined > 0
        totals.admitted_studies += result.record is not None and not result.joined
        totals.unchanged_studies += result.record is None and result.admitted > 0
        totals.quarantined_studies += bool(result.entry and not result.admitted and task.instances[0].instance_uid)
        self.findings |= dict.fromkeys(result.findings)

    def report(self, donation: Donation) -> IntakeReport:
        """The whole account."""
        totals = self.totals
        totals.files = donation.files
        totals.not_instances = len(donation.other)
        totals.other, totals.kinds = donation.other, count_kinds(donation.other)
        totals.findings = merge([*self.findings, *self.rows.unmatched])
        return totals
