"""One study of what is admitted already and of what is new: the same bytes, and the same record, as of one batch."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from curate.archive import arrow_ipc, packs
from curate.archive.ledger_records import StudyRecord
from curate.core.errors import DamagedError
from curate.core.findings import Finding, has_errors
from curate.core.records import Row
from curate.deid import profile
from curate.deid.records import Rewritten, StudyContext
from curate.deid.rewrite import rewrite_parsed
from curate.deid.verify import released_context, same, verify_rewritten
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.io.reader import parse
from curate.dicom.model import Item, MalformedError
from curate.policies import Policy
from curate.steps.intake import admit, study_record
from curate.steps.intake.admit import Clean, StudyRefusedError
from curate.steps.intake.batch_state import Notes, Order, with_notes, word_marks
from curate.steps.intake.tasks import StudyTask
from curate.steps.intake.work import Work

_COUNTED = ("applied", "warnings", "refused_instances", "pixels", "faces")
_Entry = tuple[Order, Row, Path, int, bool]


def merged_study(
    task: StudyTask, work: Work, record: StudyRecord, notes: Notes, fresh: Work, again: Collection[str]
) -> StudyRecord:
    """Pack all instances in one order; the record of them, which takes the place of the one that is there.

    `fresh` has the new instances, clean; `again` are the places of files that were refused before, too.

    Raises:
        StudyRefusedError: together they contradict themselves, or today's rules; `work` has the findings.
        DamagedError: a pack does not hold what the ledger says.
    """
    evidence = _evidence(task, record.payload["evidence"], fresh, again)
    work.headers = _headers(notes, fresh)
    work.sources = fresh.sources | record.sources
    work.refused_sources, work.names, work.already = fresh.refused_sources, fresh.names, fresh.already
    work.places = _places(record, fresh) if fresh.places else {}
    with ExitStack() as stack:
        entries = sorted(_entries(task, record, notes, fresh, stack), key=itemgetter(0))
        admit.pack_all(task, work, _clean_rows(task, work, record, notes, entries))
    return with_notes(admit.made(task, work, evidence), words=notes.words, refused=notes.refused)


def _places(record: StudyRecord, fresh: Work) -> dict[str, Row]:
    """Site and scanner of each series."""
    names = ("SeriesInstanceUID", "site_id", "scanner_id")
    rows = arrow_ipc.columns_of_ipc(record.series, names).to_pylist()
    return fresh.places | {row.pop("SeriesInstanceUID"): row for row in rows}


def _entries(task: StudyTask, record: StudyRecord, notes: Notes, fresh: Work, stack: ExitStack) -> Iterator[_Entry]:
    """All instances with their places in the study, and where each lies; the last says that it was there."""
    rows = arrow_ipc.from_ipc(record.instances).to_pylist()
    paths = {row["pack"]: stack.enter_context(task.packs.local(row["pack"])) for row in rows}
    for row, place in zip(rows, notes.order, strict=True):
        order = Order(row["SeriesInstanceUID"], *place, row["SOPInstanceUID"])
        yield order, row, paths[row["pack"]], row["offset_bytes"], True
    places = ((path, offset) for path, packed in fresh.packs for offset, _ in packed.places)
    for row, order, (path, offset) in zip(fresh.rows, fresh.order, places, strict=True):
        yield order, row, path, offset, False


def _clean_rows(
    task: StudyTask, work: Work, record: StudyRecord, notes: Notes, entries: list[_Entry]
) -> Iterator[Clean]:
    """All instances in their order, each verified by its digest as it is read."""
    policy, before = Policy.from_mapping(task.profile), record.payload["evidence"]
    names = frozenset(word for mark, word in word_marks(work.keys, work.names).items() if mark not in notes.words)
    moved = (task.shift_us or 0) - (notes.shift_us or 0)
    judged = (before["table"]["sha256"], before["tool"]) == (profile.rules_digest(), task.tool)
    for order, row, path, offset, was_there in entries:
        data = packs.read_instance(path, offset, row["size_bytes"])
        if hashlib.sha256(data).digest() != row["sha256"]:
            raise DamagedError(
                f"A pack of study {task.study_id} does not hold what the ledger says.",
                hint="Run `curate doctor` on the archive.",
            )
        parsed = parse(data)
        clean = _as_it_is(task, row, data), parsed.dataset
        if was_there and (names or moved or not judged):
            context = replace(released_context(parsed.dataset, policy), names=names)
            if moved and context.shift_us is not None:
                context = replace(context, shift_us=moved, study_date=task.study_date)
            clean = _judged_again(work, parsed, clean, context, policy)
        work.order.append(order)
        yield admit.taken_row(task, work, *clean)


def _as_it_is(task: StudyTask, row: Row, data: bytes) -> Rewritten:
    return Rewritten(
        chunks=(data,),
        size=len(data),
        study_uid=task.study_id,
        series_uid=row["SeriesInstanceUID"],
        sop_instance_uid=row["SOPInstanceUID"],
        sop_class_uid=row["SOPClassUID"],
        transfer_syntax=row["transfer_syntax"],
        frames=row["frames"],
        applied={},
        findings=(),
    )


def _judged_again(
    work: Work, parsed: Parsed, clean: tuple[Rewritten, Item], context: StudyContext, policy: Policy
) -> tuple[Rewritten, Item]:
    """An instance that is there under today's rules: without words of the person, and with dates, as all now want it.

    Raises:
        StudyRefusedError: it is not clean under today's rules.
    """
    with suppress(MalformedError):  # not clean any more: refused below
        again = rewrite_parsed(parsed, context, policy)
        if same(again.chunks, bytes(clean[0].chunks[0])):
            return clean
        verified = verify_rewritten(again, policy)
        if (context.names or context.shift_us) and not has_errors(verified.findings):
            return again, verified.dataset
    work.findings.append(Finding("STUDY_ALREADY_ADMITTED"))
    raise StudyRefusedError


def _headers(notes: Notes, fresh: Work) -> dict[str, tuple[Order, dict[str, Any]]]:
    """The first header of each series, by its new UID, of what is there and what is new."""
    found = {uid: (order, dict(told)) for uid, (order, told) in notes.headers.items()}
    for order, told in fresh.headers.values():
        if order.series not in found or order < found[order.series][0]:
            found[order.series] = order, told
    return found


def _evidence(task: StudyTask, before: Row, fresh: Work, again: Collection[str]) -> Row:
    """What is said of the study's images: counts added up; of what was refused again, nothing twice."""
    new = replace(
        fresh,
        refused=[instance for instance in fresh.refused if instance.place not in again],
        findings=[finding for finding in fresh.findings if finding.place not in again],
    )
    kept = {key: before[key] for key in _COUNTED if key in before}
    added: Row = _added(kept, study_record.evidence(task, new))
    return added


def _added(before: Any, new: Any) -> Any:
    """Numbers added up, at any depth; of all else the new."""
    if isinstance(before, dict) and isinstance(new, dict):
        common = before.keys() & new.keys()
        return before | new | {key: _added(before[key], new[key]) for key in common}
    return before + new if isinstance(before, int) and isinstance(new, int) else new
