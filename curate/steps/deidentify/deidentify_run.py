"""The coordinator at the hospital: gathers, gates, fixes dates, sends files to workers, writes the table last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from curate import parallel
from curate.core import durable
from curate.core.errors import InputError
from curate.core.findings import Finding, merge
from curate.core.progress import Progress, silent
from curate.deid import pseudonyms
from curate.deid.renumbering import numbers, of_study
from curate.donation import effective_profile as policies
from curate.donation.eligibility import RowIndex
from curate.donation.gather import Donation, count_kinds, gather
from curate.donation.sources import SourceFile
from curate.keys import encrypted_log
from curate.keys.derivation import Keys
from curate.metadata import table
from curate.parallel import Pool, Workers
from curate.policies import Policy
from curate.steps.deidentify import coded_table, handover
from curate.steps.deidentify import key_files as private
from curate.steps.deidentify.key_files import KeyFiles
from curate.steps.deidentify.plans import StudyPlan, anchored, beside_others, plans, with_heads
from curate.steps.deidentify.work import PARTIAL, Batch, File, Outcome, clean, refuse

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


def deidentify(
    sources: list[Path],
    dest: Path,
    *,
    key: Path | None = None,
    studies: Path | None = None,
    mapping: Path | None = None,
    profile: Path | None = None,
    under_passphrase: bool = False,
    workers: Workers = None,
    progress: Progress = silent,
) -> DeidentifyReport:
    """Write the clean form of every instance below DEST, under new ids; refuse by rule what cannot be made safe.

    A second run does what is not done yet, or was done under another profile or by another version of the tool. With
    `studies`, only studies with a row and a donor's consent are written, and beside them the table that intake takes;
    receipts are on the disk before that table.

    Raises:
        InputError: sources, table, key or places cannot be used at all.
        LockedError, StorageError, DamagedError: as their messages say; what was written stays.
    """
    policy = policies.of_file(profile)
    key = key or private.default_key(dest)
    private.refuse_overlap(sources, dest, [path for path in (key, studies, mapping) if path])
    listed = table.open_table(studies) if studies else None
    with (
        private.opened(key, under_passphrase=under_passphrase) as beside,
        _partial(dest),
        parallel.opened(workers, beside.keys.of_worker(), [*sources, dest / PARTIAL]) as pool,
    ):
        donation = gather(sources, beside.temporary, pool, progress)
        if not donation.files:
            raise InputError("The sources hold no file.", hint="Check the paths of the sources.")
        since = private.since(beside, dest, policy, (dest / PARTIAL).stat().st_mtime_ns)
        rows = RowIndex.of(listed.rows(), donation.studies, sources) if listed else None
        run = _Run(beside, dest, policy, donation, rows, pool, progress, since)
        run.findings += listed.findings if listed else ()
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
        beside: KeyFiles,
        dest: Path,
        policy: Policy,
        donation: Donation,
        rows: RowIndex | None,
        pool: Pool[Keys],
        progress: Progress,
        since: int,
    ) -> None:
        self.beside, self.dest, self.policy, self.donation = beside, dest, policy, donation
        self.since = since
        self.pool, self.progress = pool, progress
        self.findings: list[Finding] = [*donation.findings]
        self.rows = rows
        self.totals = DeidentifyReport(key=beside.path)
        self.written: Counter[str] = Counter()
        self.refusals: list[tuple[File, str]] = []

    def clean_all(self, mapping: Path | None) -> None:
        """Every study: planned, its dates fixed, its files written; the table comes last."""
        planned = list(plans(self.beside.keys, self.donation.studies, self.rows, self.pool))
        planned = beside_others(self.beside.keys, self.dest, planned)
        planned = with_heads(planned, self.policy, self.pool)
        if self.policy.dates == "rebase":
            planned = anchored(self.beside, planned)
        good = [plan for plan in planned if not plan.refused]
        if mapping:
            handover.write_mapping(self.beside.keys, mapping, good)
        self._refuse_all(planned)
        total = sum(-(-plan.study.instances // _BATCH) for plan in good)
        pool, lost = self.pool if total > 1 else self.pool.here(), partial(refuse, rule="WORKER_DIED")
        done = pool.map(clean, self._batches(good), lost)
        for batch, outcome in self.progress.over(done, "batches", total):
            self._count(batch, outcome)
        if self.rows is not None:
            self._hand_over(planned)
        self._write_refused()

    def _batches(self, planned: list[StudyPlan]) -> Iterator[Batch]:
        keys = self.beside.keys
        for plan in planned:
            members = plan.study.members
            numbering = of_study((numbers(m.scan) for m in members), plan.names)
            files = [
                File(
                    m.place.place,
                    m.place.on_disk,
                    m.place.origin,
                    f"{plan.study_id}/{pseudonyms.new_uid(keys, m.scan.series_uid)}/"
                    f"{pseudonyms.new_uid(keys, m.scan.sop_instance_uid)}.dcm",
                    m.scan.series_uid,
                )
                for m in members
            ]
            placed = (plan.donor_id, plan.shift_us, plan.study_date, plan.names, numbering)
            rest = (*placed, self.policy, plan.heads, self.since)
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

    def _refuse_all(self, planned: list[StudyPlan]) -> None:
        """What may not leave as a whole; nothing of it stays in DEST, whatever an earlier run thought of it."""
        for plan in planned:
            self.findings += plan.findings
            if plan.refused:
                self.totals.refused_studies += 1
                for member in plan.study.members:
                    self._refuse(_file(member.place), plan.reason)
                with durable.storage_errors("remove a refused study from DEST"):
                    if (self.dest / plan.study_id).exists():
                        durable.remove(self.dest / plan.study_id)
        for file, finding in self.donation.loose:
            self.findings.append(finding)
            self._refuse(_file(file), finding.rule)

    def _refuse(self, file: File, rule: str) -> None:
        self.totals.refused_instances += 1
        self.refusals.append((file, rule))

    def _hand_over(self, planned: list[StudyPlan]) -> None:
        path = self.dest / coded_table.NAME
        given = [plan for plan in planned if self.written[plan.study_id] and not plan.refused]
        gone = [plan.study_id for plan in planned]
        self.findings += handover.write_table(self.beside, path, given, gone)
        self.totals.table = path
        self.totals.receipts = self.beside.receipts if self.beside.receipts.exists() else None

    def _write_refused(self) -> None:
        """Where what was refused lies, for its owner's eyes: places in reports do not say it."""
        path = self.beside.refused
        with durable.storage_errors("write the list of refused files"):
            durable.remove(path)
        if self.refusals:
            with encrypted_log.appending(path, self.beside.keys.storage) as log:
                log.append({"place": f.place, "path": f.origin, "rule": rule} for f, rule in self.refusals)
            self.totals.refused = path

    def report(self) -> DeidentifyReport:
        """The whole account."""
        totals, donation = self.totals, self.donation
        totals.files, totals.not_instances = donation.files, len(donation.other)
        totals.other, totals.kinds = donation.other, count_kinds(donation.other)
        totals.written_studies = sum(1 for count in self.written.values() if count)
        totals.findings = merge([*self.findings, *(self.rows.unmatched if self.rows else ())])
        return totals


def _file(file: SourceFile) -> File:
    return File(file.place, file.on_disk, file.origin)
