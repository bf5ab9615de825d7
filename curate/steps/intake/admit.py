"""What one worker does with one study: rewrite, verify, pack; or keep it, encrypted, for a person to decide."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from curate.archive import packs
from curate.archive.ledger_records import StudyRecord
from curate.core import durable
from curate.core.errors import CurateError
from curate.core.findings import Finding, Severity, defect, has_errors, merge
from curate.core.records import Row
from curate.core.remote import TooLargeError, ahead, whole
from curate.deid import profile, pseudonyms
from curate.deid.records import Rewritten, StudyContext
from curate.deid.renumbering import of_study
from curate.deid.verify import verify_rewritten
from curate.dicom import series_references
from curate.dicom.attributes import facts_of
from curate.dicom.geometry.volume_parts import part_of
from curate.dicom.io.reader import parse
from curate.dicom.keyword_view import Header
from curate.dicom.model import Item, MalformedError
from curate.dicom.series_rows import GRID, contradictions, keywords
from curate.donation import burned_in_annotation, faces
from curate.donation import coded_pixels as coded
from curate.donation.study_metadata import HEADER_KEYWORDS, code_study, joined
from curate.keys.derivation import Keys
from curate.policies import Policy
from curate.steps.intake import quarantine_store, study_record
from curate.steps.intake.lossless import stored
from curate.steps.intake.packing import Packer
from curate.steps.intake.tasks import SourceInstance, StudyResult, StudyTask
from curate.steps.intake.work import Work

Clean = tuple[packs.Ids, tuple[packs.Bytes, ...]]


class StudyRefusedError(Exception):
    """The study as a whole goes to quarantine; the findings say why."""


def process(task: StudyTask, keys: Keys) -> StudyResult:
    """Admit a study, or as much of it as the rules allow; what they refuse is kept for a person to decide."""
    findings = task.findings
    if not has_errors(findings):
        conflicts = dict.fromkeys(instance.conflict for instance in task.instances if instance.conflict)
        findings += tuple(Finding(rule, task.instances[0].place) for rule in conflicts)
    if has_errors(findings):
        return quarantine_store.refuse(task, keys, findings)
    with durable.storage_errors("use the store of packs"), task.packs.scratch() as scratch:
        work = Work(keys, scratch)
        try:
            return _finished(task, work, taken(task, work))
        except StudyRefusedError:
            return quarantine_store.refuse(task, keys, (*task.findings, *work.findings))
        except (CurateError, OSError):
            raise
        except Exception:  # a defect of our own, met at odd data, must not stop the batch either
            place = task.instances[0].place if task.instances else ""
            return quarantine_store.refuse(task, keys, (*task.findings, *work.findings, defect(place)))


def taken(task: StudyTask, work: Work) -> StudyRecord | None:
    """Rewrite, verify and pack a study; its record, or None where no instance of it may enter.

    Raises:
        StudyRefusedError: it may not enter as a whole; `work` has the findings.
    """
    pack_all(task, work, clean_rows(task, work))
    return made(task, work, study_record.evidence(task, work)) if work.rows else None


def pack_all(task: StudyTask, work: Work, clean: Iterable[Clean]) -> None:
    """Pack one clean instance after the other; only the packs' temporary files grow."""
    packer = Packer(work.scratch, task.target_pack_bytes)
    try:
        with durable.storage_errors("write a pack"):
            for ids, pieces in clean:
                packer.add(ids, pieces)
            packer.close()
    finally:
        packer.abandon()
    work.packs = packer.packs


def clean_rows(task: StudyTask, work: Work) -> Iterator[Clean]:
    """The clean instances of a study, one after the other; what a rule refuses is set aside."""
    policy = Policy.from_mapping(task.profile)
    _plan_faces(task, work, policy)
    work.names |= names_of(task) if task.deidentify else frozenset()
    numbering = of_study((instance.numbers for instance in task.instances), work.names)
    work.renumbered = numbering is not None
    context = StudyContext(work.keys, task.donor_id, task.shift_us, task.study_date, work.names, numbering)
    for instance, read in zip(task.instances, ahead(i.path for i in task.instances), strict=True):
        try:
            data = read()
        except OSError as error:
            rule = "INSTANCE_TOO_LARGE" if isinstance(error, TooLargeError) else "FILE_UNREADABLE"
            _set_aside(work, instance, Finding(rule, instance.place))
            continue
        digest = pseudonyms.source_mark(work.keys, data)
        if instance.duplicate and work.digests.get(instance.instance_uid) not in (None, digest):
            work.findings.append(Finding("INSTANCE_UID_CONFLICT", instance.place))
            raise StudyRefusedError
        if digest in work.sources:
            work.already += 1
            continue
        if digest in work.refused_sources:
            work.refused.append(instance)
            continue
        work.digests[instance.instance_uid] = digest
        row = _clean(task, work, instance, data, context, policy)
        (work.refused_sources if row is None else work.sources).add(digest)
        if row is not None:
            work.order.append(instance.order)
            yield row


def _plan_faces(task: StudyTask, work: Work, policy: Policy) -> None:
    """Judge the study's volumes as a whole, before the first instance of it is cut."""
    if policy.head == "allow" or task.heads == "admit" or not task.whole:
        return
    work.faces = faces.plan(((i.instance_uid, i.path) for i in task.instances), policy)
    if work.faces.failed:
        work.findings.append(Finding(work.faces.failed, task.instances[0].place, "PixelData"))
    if work.faces.held:
        work.findings.append(Finding(faces.UNSURE, task.instances[0].place, "PixelData"))
        raise StudyRefusedError


def names_of(task: StudyTask) -> frozenset[str]:
    """The words and numbers of the person's identifiers, by the first header of each series that can be read."""
    names: set[str] = set()
    seen: set[str] = set()
    for instance in task.instances:
        if instance.series_uid in seen:
            continue
        with contextlib.suppress(OSError, MalformedError):  # set aside, with its finding, when it is rewritten
            names |= profile.identifying_words(parse(whole(instance.path)).dataset)
            seen.add(instance.series_uid)
    return frozenset(names)


def _set_aside(work: Work, instance: SourceInstance, finding: Finding) -> None:
    work.findings.append(finding)
    work.refused.append(instance)


def _clean(
    task: StudyTask,
    work: Work,
    instance: SourceInstance,
    data: bytes,
    context: StudyContext,
    policy: Policy,
) -> Clean | None:
    """One clean instance; None where a rule refuses it."""
    try:
        parsed = parse(data)
        if not task.deidentify and (direct := profile.direct_identifiers(parsed.dataset)):
            work.findings += [Finding(f.rule, instance.place, f.tag) for f in direct]
            raise StudyRefusedError
        if instance.series_uid not in work.headers:
            facts = facts_of(parsed.dataset, HEADER_KEYWORDS)
            work.headers[instance.series_uid] = instance.order, facts
        rewritten = coded.rewritten(parsed, context, policy)
        rewritten, voxels = faces.clean(parsed, rewritten, work.faces, policy)
        if instance.series_uid in work.faces.planes:
            work.faceless.update(instances=1, voxels=voxels)
        rewritten = burned_in_annotation.clean(rewritten, policy, work.looked, task.decision)
        rewritten = stored(rewritten, task.pixels)
        if policy.site_and_scanner and rewritten.series_uid not in work.places:
            work.places[rewritten.series_uid] = _place_ids(work.keys, facts_of(parsed.dataset, _PLACE))
        verified = verify_rewritten(rewritten, policy)
        verdict = [f for f in verified.findings if f.severity is Severity.ERROR]
    except MalformedError as error:
        _set_aside(work, instance, Finding(error.rule, instance.place, error.tag))
        return None
    if verdict:
        _set_aside(work, instance, Finding("REWRITE_NOT_CLEAN", instance.place, verdict[0].tag))
        return None
    found = [Finding(f.rule, instance.place, f.tag, f.count) for f in rewritten.findings]
    work.findings += found
    work.came[rewritten.sop_instance_uid] = instance.place
    if has_errors(found) or any(_held(f.rule, policy, task) for f in found):
        raise StudyRefusedError
    return taken_row(task, work, rewritten, verified.dataset)


_SITE = ("InstitutionName", "InstitutionAddress")
_SCANNER = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "StationName")
_PLACE = (*_SITE, *_SCANNER)


def _place_ids(keys: Keys, facts: dict[str, Any]) -> Row:
    """Keyed pseudonyms of where a series was acquired; the scanner's rests on its serial number or station."""
    named = {key: value for key, value in facts.items() if isinstance(value, str)}
    scanner = _SCANNER if any(named.get(key) for key in _SCANNER[2:]) else ()
    return {
        "site_id": pseudonyms.place_id(keys, "site", tuple(named.get(key, "") for key in _SITE)),
        "scanner_id": pseudonyms.place_id(keys, "scanner", tuple(named.get(key, "") for key in scanner)),
    }


def _held(rule: str, policy: Policy, task: StudyTask) -> bool:
    """Whether a person has to decide before the study may enter, and has not."""
    if burned_in_annotation.waits(rule, policy):
        return not task.decision
    if rule == faces.LIKELY and policy.head in ("hold", "deface"):
        return task.heads != "admit"
    return rule.startswith("HELD_")


def taken_row(task: StudyTask, work: Work, rewritten: Rewritten, dataset: Item) -> Clean:
    """A clean instance as a pack takes it, with what the record will say of it."""
    series, instance = rewritten.series_uid, rewritten.sop_instance_uid
    facts = facts_of(dataset, keywords())
    facts["TransferSyntaxUID"] = rewritten.transfer_syntax
    facts[GRID] = part_of(Header(dataset))
    work.facts[series].append(facts)
    work.references += series_references.references(dataset, instance)
    work.applied.update(rewritten.applied)
    work.size_bytes += rewritten.size
    digest = hashlib.sha256()
    for piece in rewritten.chunks:
        digest.update(piece)
    work.rows.append(
        {
            "study_id": task.study_id,
            "SeriesInstanceUID": series,
            "SOPInstanceUID": instance,
            "sha256": digest.digest(),
            "size_bytes": rewritten.size,
            "SOPClassUID": rewritten.sop_class_uid,
            "transfer_syntax": rewritten.transfer_syntax,
            "frames": rewritten.frames,
        }
    )
    return packs.Ids(task.study_id, series, instance), rewritten.chunks


def made(task: StudyTask, work: Work, evidence: Row) -> StudyRecord:
    """The record of what was packed.

    `evidence` is of the images alone: what was wrong with the row would tell what a null hides.

    Raises:
        StudyRefusedError: what row and headers say together keeps the study out.
    """
    coded, found = code_study(task.row, joined(told for _, told in work.headers.values()))
    odd = [name for facts in work.facts.values() for name in contradictions(facts)]
    found += [Finding("SERIES_CONTRADICTS", "", name) for name in odd]
    work.findings += [Finding(f.rule, task.instances[0].place, f.tag) for f in found]
    if has_errors(found):
        raise StudyRefusedError
    record = study_record.record(task, work, coded, evidence)
    if any(finding.rule == burned_in_annotation.DIED for finding in work.findings) and not task.decision:
        raise StudyRefusedError  # the preview's decoder died
    return record


def _finished(task: StudyTask, work: Work, record: StudyRecord | None) -> StudyResult:
    """What came of a study: what was refused is kept, and the packs get their place."""
    entry = quarantine_store.keep(task, work.keys, work.refused, work.findings, "part") if work.refused else None
    if record is None:
        return StudyResult(work.already, len(work.refused), merge(work.findings), None, entry)
    place_packs(task, work)
    findings = merge((*task.findings, *work.findings))
    return StudyResult(len(work.rows), len(work.refused), findings, record, entry, work.size_bytes, copies=work.already)


def place_packs(task: StudyTask, work: Work) -> None:
    """Put finished packs into the store."""
    for path, packed in work.packs:
        with durable.storage_errors("store a pack"):
            task.packs.put(path, packs.pack_path(packed.sha256))
