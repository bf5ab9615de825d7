"""What one worker does at the hospital: look at a study's first header; write clean files."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.core import durable
from curate.core.findings import Finding, Severity, defect, merge
from curate.core.remote import TooLargeError, whole
from curate.deid import profile
from curate.deid.records import Rewritten, StudyContext
from curate.deid.renumbering import Numbering
from curate.deid.verify import verify
from curate.dicom import tags
from curate.dicom.attributes import facts_of
from curate.dicom.io.reader import parse
from curate.dicom.model import Item, MalformedError
from curate.donation import burned_in_annotation, coded_pixels, faces
from curate.donation.deface_plan import DefacePlan
from curate.donation.study_metadata import HEADER_KEYWORDS, joined
from curate.keys.derivation import Keys
from curate.policies import Policy

PARTIAL = ".partial"


@dataclass(frozen=True, slots=True, repr=False)
class Look:
    """A study to look at: some files of each series, and those that bear one SOPInstanceUID."""

    study_uid: str
    series: tuple[tuple[Path, ...], ...]
    doubles: tuple[tuple[Path, ...], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Seen:
    """What the first readable header of each series says; whether files of one UID differ.

    `failed` is the rule by which it could not be looked at.
    """

    header: Mapping[str, Any]
    names: frozenset[str]
    conflict: bool
    failed: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Volumes:
    """A study whose heads are to be judged: the SOPInstanceUIDs of all its files."""

    study_id: str
    files: tuple[tuple[str, Path], ...]
    policy: Policy


@dataclass(frozen=True, slots=True, repr=False)
class File:
    """A file to clean: its safe place, its path, where it came from, its path in DEST by its UIDs, its own series."""

    place: str
    path: Path
    origin: str
    target: str = ""
    series: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Batch:
    """Files of one study, to be written below `dest`; `since` as `key_files.since`, the rest as in `StudyContext`."""

    dest: Path
    study_id: str
    files: tuple[File, ...]
    donor_id: str
    shift_us: int | None
    study_date: str
    names: frozenset[str]
    numbering: Numbering | None
    policy: Policy
    heads: DefacePlan
    since: int


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """What became of a batch: `unchanged` are among the written; `refused` are files by rule."""

    written: int
    unchanged: int
    size_bytes: int
    refused: tuple[tuple[File, str], ...]
    findings: tuple[Finding, ...]


def look(task: Look, keys: Keys) -> Seen:
    """The first readable header of each series, and whether the study's doubles are copies."""
    del keys  # what is looked at here needs none
    try:
        return _look(task)
    except Exception:  # a defect of our own keeps this study here; the others go on
        return unseen(task, defect().rule)


def unseen(task: Look, rule: str) -> Seen:
    """What is known of a study that could not be looked at."""
    return Seen({}, frozenset(), False, rule)


def _look(task: Look) -> Seen:
    conflict = any(len({_digest(path) for path in same}) > 1 for same in task.doubles)
    headers: list[Mapping[str, Any]] = []
    names: set[str] = set()
    for paths in task.series:
        if (dataset := _first(paths)) is not None:
            headers.append(facts_of(dataset, HEADER_KEYWORDS))
            names |= profile.identifying_words(dataset)
    return Seen(joined(headers), frozenset(names), conflict)


def _first(paths: tuple[Path, ...]) -> Item | None:
    for path in paths:
        try:
            return parse(whole(path)).dataset
        except (OSError, MalformedError):  # refused when it is cleaned; another says the same of the study
            continue
    return None


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:  # told when it is read to be cleaned
        return b""


def judge(task: Volumes, keys: Keys) -> DefacePlan:
    """What the study's volumes show, as intake judges them."""
    del keys  # what is judged here needs none
    try:
        return faces.plan(task.files, task.policy)
    except Exception:  # a defect of our own keeps this study here; the others go on
        return unjudged(task, defect().rule)


def unjudged(task: Volumes, rule: str) -> DefacePlan:
    """What is known of a study whose heads could not be judged: it does not leave."""
    return DefacePlan(held=True, failed=rule)


def refuse(batch: Batch, rule: str) -> Outcome:
    """A batch that is left where it was, by a rule; nothing of it stays in DEST."""
    for file in batch.files:
        _drop(batch.dest / file.target)
    refused = tuple((file, rule) for file in batch.files)
    return Outcome(0, 0, 0, refused, tuple(Finding(rule, file.place) for file in batch.files))


def clean(batch: Batch, keys: Keys) -> Outcome:
    """Write the clean form of each file; one that cannot be made safe is refused and left where it was.

    Files get their names together, once all are on the disk: a folder is synced once a batch.
    """
    context = StudyContext(keys, batch.donor_id, batch.shift_us, batch.study_date, batch.names, batch.numbering)
    finished: dict[Path, Path] = {}
    refused: list[tuple[File, str]] = []
    findings: list[Finding] = []
    written = unchanged = size = 0
    for file in batch.files:
        if batch.heads.leaves(file.series) and _is_done(batch, file):
            unchanged += 1
            continue
        try:
            rewritten, found = _safe(whole(file.path), context, batch)
        except Exception as error:
            findings.append(_reason(error, file.place))
            refused.append((file, findings[-1].rule))
            _drop(batch.dest / file.target)
            continue
        findings += [Finding(f.rule, file.place, f.tag, f.count) for f in found]
        path = batch.dest / target(rewritten)
        written += 1
        if path not in finished:  # else a copy of a file of this batch
            finished[path] = _write(batch, rewritten, path)
            size += rewritten.size
    _give_names(finished)
    return Outcome(written + unchanged, unchanged, size, tuple(refused), merge(findings))


def _safe(data: bytes, context: StudyContext, batch: Batch) -> tuple[Rewritten, tuple[Finding, ...]]:
    """The clean form of a file that the checker passes, with what a person should know of it.

    Raises:
        MalformedError: the rule by which it is refused.
    """
    policy, parsed = batch.policy, parse(data)
    rewritten, _ = faces.clean(parsed, coded_pixels.rewritten(parsed, context, policy), batch.heads, policy)
    rewritten = burned_in_annotation.clean(rewritten, policy, burned_in_annotation.Tally())
    for finding in rewritten.findings:
        if finding.severity is Severity.ERROR or _waits(finding.rule, policy):
            raise MalformedError(finding.rule, finding.tag)
    for finding in verify(b"".join(rewritten.chunks), policy):
        if finding.severity is Severity.ERROR:
            raise MalformedError("REWRITE_NOT_CLEAN", finding.tag)
    return rewritten, rewritten.findings


def _waits(rule: str, policy: Policy) -> bool:
    """Whether a person would decide, who is not here."""
    return burned_in_annotation.waits(rule, policy) or (policy.head != "allow" and rule in faces.WAITS)


def _reason(error: Exception, place: str) -> Finding:
    """Why a file is refused; a defect of our own must not stop the batch either."""
    if isinstance(error, MalformedError):
        return Finding(error.rule, place, error.tag)
    if isinstance(error, TooLargeError):
        return Finding("INSTANCE_TOO_LARGE", place)
    if isinstance(error, OSError):
        return Finding("FILE_UNREADABLE", place)
    return defect(place)


def target(rewritten: Rewritten) -> str:
    """Where an instance lies in DEST: by its new ids only."""
    return f"{rewritten.study_uid}/{rewritten.series_uid}/{rewritten.sop_instance_uid}.dcm"


def _write(batch: Batch, rewritten: Rewritten, path: Path) -> Path:
    """The bytes of a file that shall be `path`, unfinished but on the disk."""
    temporary = batch.dest / PARTIAL / uuid.uuid4().hex
    with durable.storage_errors("write to DEST"):
        durable.step("write", path)
        with temporary.open("wb") as out:
            for chunk in rewritten.chunks:
                out.write(chunk)
        durable.fsync_file(temporary)
    return temporary


def _give_names(finished: Mapping[Path, Path]) -> None:
    with durable.storage_errors("write to DEST"):
        for path, temporary in finished.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            durable.step("rename", path)
            temporary.replace(path)
        for folder in sorted({path.parent for path in finished}):
            durable.fsync_folder(folder)


def _is_done(batch: Batch, file: File) -> bool:
    """Whether an output is there, whole, newer than its source and this profile, under this donor."""
    path = batch.dest / file.target
    try:
        made = path.stat().st_mtime_ns
        if made <= batch.since or made < file.path.stat().st_mtime_ns:
            return False
        dataset = parse(whole(path)).dataset
    except (OSError, MalformedError):
        return False
    return (
        dataset.text(tags.SOPInstanceUID) == Path(file.target).stem and dataset.text(tags.PatientID) == batch.donor_id
    )


def _drop(path: Path) -> None:
    """An output whose source is refused now does not stay."""
    with durable.storage_errors("remove a refused file from DEST"):
        if path.exists():
            durable.remove(path)
