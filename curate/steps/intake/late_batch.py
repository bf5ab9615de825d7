"""A further batch of a study that is admitted already: what it brings joins the study, as if all had come at once.

What is there lies clean in its packs, and is written with the new instances into new ones, in one order; the record
that holds them all takes the place of the old one. Where the batch says otherwise than the first one what all rests
on (an earlier first acquisition, another row or profile, a face, which only a whole study shows), the study is taken
anew if the batch holds all of it; if not, what is new waits. A study that a release shows stays as it is.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from curate.archive import arrow_ipc
from curate.archive.ledger_records import StudyRecord
from curate.core import durable
from curate.core.errors import CurateError
from curate.core.findings import Finding, defect, has_errors, merge
from curate.core.remote import TooLargeError, ahead, whole
from curate.deid import profile, pseudonyms
from curate.deid.dates import NOON_US
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.donation import faces
from curate.donation.series_grouping import has_time
from curate.keys.derivation import Keys
from curate.policies import Policy
from curate.steps.intake import admit, quarantine_store
from curate.steps.intake.admit import StudyRefusedError
from curate.steps.intake.batch_merge import merged_study
from curate.steps.intake.batch_state import Notes, row_mark, with_notes, word_marks
from curate.steps.intake.tasks import SourceInstance, StudyResult, StudyTask
from curate.steps.intake.work import Work

_LATE, _RELEASED, _CONFLICT = "STUDY_ALREADY_ADMITTED", "STUDY_RELEASED", "INSTANCE_UID_CONFLICT"


@dataclass(slots=True, repr=False)
class _Batch:
    """A batch beside what is there: its new files, those set aside, and the mark of each file by its place."""

    record: StudyRecord
    notes: Notes | None
    known: frozenset[bytes]
    marks: dict[str, bytes] = field(default_factory=dict)
    already: int = 0
    late: list[SourceInstance] = field(default_factory=list)
    aside: list[SourceInstance] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        """Whether every instance that is there came again."""
        return self.known <= set(self.marks.values())

    @property
    def missing(self) -> frozenset[str]:
        """Marks of what earlier batches brought in vain, and this one has not."""
        refused = self.notes.refused if self.notes else frozenset()
        return refused - {mark.hex() for mark in self.marks.values()}


def process(task: StudyTask, keys: Keys) -> StudyResult:
    """Admit a study, or what a further batch brings of one that is there; what may not enter is kept.

    Raises:
        DamagedError: a pack does not hold what the ledger says.
    """
    if task.admitted is None or has_errors(task.findings):
        return admit.process(task, keys)
    with durable.storage_errors("use the store of packs"), task.packs.scratch() as scratch:
        batch = _looked_at(task, task.admitted, keys)
        if not batch.late:
            return _result(task, keys, batch, [], [])
        try:
            return _taken_in(task, keys, batch, scratch)
        except (CurateError, OSError):
            raise
        except Exception:  # a defect of our own, met at odd data, must not stop the batch either
            return _result(task, keys, batch, batch.late, [defect(batch.late[0].place)])


def refuse(task: StudyTask, keys: Keys, rule: str) -> StudyResult:
    """What a batch brings is kept by a rule, and nothing of it is read but its bytes; what is there stays."""
    place = task.instances[0].place if task.instances else ""
    if task.admitted is None or has_errors(task.findings):
        return quarantine_store.refuse(task, keys, (*task.findings, Finding(rule, place)))
    batch = _looked_at(task, task.admitted, keys)
    found = [Finding(rule, batch.late[0].place)] if batch.late else []
    return _result(task, keys, batch, batch.late, found)


def _looked_at(task: StudyTask, record: StudyRecord, keys: Keys) -> _Batch:
    """Which files are there already, by their bytes; a new one under the UID of one that is there never joins."""
    batch = _Batch(record, Notes.read(record.notes), record.sources)
    own = set(arrow_ipc.columns_of_ipc(record.instances, ("SOPInstanceUID",))["SOPInstanceUID"].to_pylist())
    for instance, read in zip(task.instances, ahead(i.path for i in task.instances), strict=True):
        rule = ""
        try:
            batch.marks[instance.place] = mark = pseudonyms.source_mark(keys, read())
            if mark in batch.known:
                batch.already += 1
                continue
            ours = pseudonyms.new_uid(keys, instance.instance_uid) in own
            rule = _CONFLICT if ours else instance.conflict
        except OSError as error:
            rule = "INSTANCE_TOO_LARGE" if isinstance(error, TooLargeError) else "FILE_UNREADABLE"
        if rule:
            batch.aside.append(instance)
            batch.findings.append(Finding(rule, instance.place))
        else:
            batch.late.append(instance)
    return batch


def _taken_in(task: StudyTask, keys: Keys, batch: _Batch, scratch: Path) -> StudyResult:
    """What is new joins what is there; or the study is taken anew; or what is new waits."""
    why = _why_not(task, keys, batch)
    part = replace(task if why else _in_time(task, batch), instances=tuple(batch.late), whole=False)
    fresh, found = _cleaned(part, keys, None if why else batch.notes, scratch / "late")
    if fresh is not None and not fresh.rows:
        return _result(task, keys, batch, fresh.refused, found)
    if fresh is not None and (_may_show_a_face(task, batch, fresh) or _is_renumbered(batch, fresh)):
        why = why or _LATE
    if fresh is not None and not why and _starts_as_before(task, batch):
        return _together(part, keys, batch, fresh, scratch / "all")
    if why != _RELEASED and batch.is_whole and task.donor_id == batch.record.donor_id:
        anew, prevents = _anew(task, keys, batch, scratch / "anew")
        if anew is not None:
            return anew
        found += prevents
    if fresh is not None and not why:
        return _together(part, keys, batch, fresh, scratch / "all")
    refused = {instance.place for instance in (batch.late if fresh is None else fresh.refused)}
    found += [Finding(why, one.place) for one in batch.late if one.place not in refused]
    return _result(task, keys, batch, batch.late, found)


def _why_not(task: StudyTask, keys: Keys, batch: _Batch) -> str:
    """The rule by which nothing can join what is there as it is; empty where it can."""
    if task.released:
        return _RELEASED
    record, notes = batch.record, batch.notes
    evidence = record.payload["evidence"]
    by = "archive" if task.deidentify else "hospital"
    as_before = (
        notes is not None
        and notes.row == row_mark(keys, task.row)
        and task.donor_id == record.donor_id
        and "further" not in record.payload
        and evidence["profile"] == asdict(Policy.from_mapping(task.profile))
        and evidence["deidentified_by"] == by
    )
    return "" if as_before else _LATE


def _may_show_a_face(task: StudyTask, batch: _Batch, fresh: Work) -> bool:
    """Whether heads are looked for, and what is new would have to be judged with the volumes that are there."""
    if Policy.from_mapping(task.profile).head == "allow":
        return False
    cut = "faces" in batch.record.payload["evidence"]
    return any(row["frames"] and (cut or faces.is_judged(row["SOPClassUID"])) for row in fresh.rows)


def _is_renumbered(batch: _Batch, fresh: Work) -> bool:
    """Whether numbers that order would have to be given anew over what is there and what is new together."""
    return fresh.renumbered or (batch.notes is not None and batch.notes.renumbered)


def _starts_as_before(task: StudyTask, batch: _Batch) -> bool:
    """Whether the study's dates would move as they did, had all come at once."""
    if batch.notes is None or Policy.from_mapping(task.profile).dates == "remove":
        return True
    moments = [moment for moment in (batch.notes.moment, task.moment) if moment is not None]
    first = min([moment for moment in moments if has_time(moment)] or moments, default=None)
    return first == batch.notes.moment


def _in_time(task: StudyTask, batch: _Batch) -> StudyTask:
    """The task with dates moved as they were; or as an earlier first acquisition wants it, if by less than 12 hours.

    Further than that a date without a time would not follow, for it stands for noon.
    """
    notes = batch.notes
    if notes is None:
        return task
    known = task.shift_us is not None and notes.shift_us is not None
    by_us = (task.shift_us or 0) - (notes.shift_us or 0)
    if known and abs(by_us) < NOON_US and not _starts_as_before(task, batch):
        return task
    return replace(
        task,
        day=batch.record.payload["day"],
        moment=notes.moment,
        shift_us=notes.shift_us,
        study_date=notes.study_date,
    )


def _cleaned(part: StudyTask, keys: Keys, notes: Notes | None, folder: Path) -> tuple[Work | None, list[Finding]]:
    """The new instances alone, clean, in packs of their own for now; None where they may not enter together."""
    folder.mkdir()
    work = Work(keys, folder)
    if notes is not None and part.deidentify:
        work.names = _repeated(part, keys, notes)
    try:
        admit.pack_all(part, work, admit.clean_rows(part, work))
    except StudyRefusedError:
        return None, list(work.findings)
    return work, list(work.findings)


def _repeated(part: StudyTask, keys: Keys, notes: Notes) -> frozenset[str]:
    """The words of the person that only earlier headers had, as far as the texts of the new instances repeat them."""
    wanted = notes.words - word_marks(keys, admit.names_of(part)).keys()
    words: set[str] = set()
    for instance in part.instances if wanted else ():
        with suppress(OSError, MalformedError):  # set aside, with its finding, when it is rewritten
            words |= profile.words_in(parse(whole(instance.path)).dataset)
    return frozenset(word for mark, word in word_marks(keys, words).items() if mark in wanted)


def _anew(task: StudyTask, keys: Keys, batch: _Batch, folder: Path) -> tuple[StudyResult | None, list[Finding]]:
    """The study as the batch has it, in place of what is there; None, and why, where that would lose an instance."""
    folder.mkdir()
    work = Work(keys, folder)
    aside = {instance.place for instance in batch.aside}
    part = replace(task, instances=tuple(i for i in task.instances if i.place not in aside))
    record = None
    with suppress(StudyRefusedError):  # what is there stays, and what is new waits
        record = admit.taken(part, work)
    if record is None or not batch.known <= work.sources:
        late = {instance.place for instance in batch.late}
        return None, [finding for finding in work.findings if finding.place not in late]
    record = with_notes(record, refused=batch.missing)
    record.payload["evidence"]["refused_instances"] += len(batch.missing)
    return _result(task, keys, batch, work.refused, work.findings, work, record), []


def _together(part: StudyTask, keys: Keys, batch: _Batch, fresh: Work, folder: Path) -> StudyResult:
    """One study of what is there and what is new; if that contradicts itself, what is new waits."""
    folder.mkdir()
    work, payload, notes = Work(keys, folder), batch.record.payload, batch.notes
    if notes is None:
        raise ValueError("a study without notes")
    part = replace(part, license=payload["license"], fold=payload["fold"])
    again = {i.place for i in fresh.refused if batch.marks[i.place].hex() in notes.refused}
    try:
        record = merged_study(part, work, batch.record, notes, fresh, again)
    except StudyRefusedError:
        return _result(part, keys, batch, batch.late, [*fresh.findings, *work.findings])
    return _result(part, keys, batch, fresh.refused, [*fresh.findings, *work.findings], work, record)


def _copies(task: StudyTask, batch: _Batch, kept: list[SourceInstance]) -> int:
    """How many of the files that are in are exact copies of others of this batch."""
    places = {instance.place for instance in kept}
    marks = [batch.marks[one.place] for one in task.instances if one.place in batch.marks and one.place not in places]
    return len(marks) - len(set(marks))


def _result(
    task: StudyTask,
    keys: Keys,
    batch: _Batch,
    refused: list[SourceInstance],
    found: list[Finding],
    work: Work | None = None,
    record: StudyRecord | None = None,
) -> StudyResult:
    """The account of a batch: packs get their place, and what may not enter is kept."""
    kept, findings = [*batch.aside, *refused], [*batch.findings, *found]
    kind = "late" if batch.missing else "part"
    entry = quarantine_store.keep(task, keys, kept, findings, kind) if kept else None
    joined = size = 0
    if work is not None and record is not None:
        admit.place_packs(task, work)
        joined = len(work.sources - batch.known)
        size = max(work.size_bytes - batch.record.payload["facts"]["size_bytes"], 0)
    copies = _copies(task, batch, kept)
    return StudyResult(
        admitted=batch.already + len(batch.late) + len(batch.aside) - len(kept) - copies,
        copies=copies,
        quarantined=len(kept),
        findings=merge((*task.findings, *findings)),
        record=record,
        entry=entry,
        size_bytes=size,
        joined=joined,
        open=bool(batch.missing),
    )
