"""What one worker does at the hospital: look at a study's first header; write clean files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate import durable
from curate.dicom import profile
from curate.dicom.facts import facts_of
from curate.dicom.reader import parse
from curate.dicom.rewrite import rewrite_parsed
from curate.dicom.types import Bytes, Keys, MalformedError, Policy, Rewritten, StudyContext
from curate.dicom.verify import verify
from curate.donation.coding import HEADER_KEYWORDS
from curate.errors import CurateError
from curate.findings import Finding, Severity, merge

PARTIAL = ".partial"
_DATES_ARE = {"rebase": "MODIFIED", "remove": "REMOVED"}


@dataclass(frozen=True, slots=True, repr=False)
class Look:
    """A study to look at: its files, and those that bear one SOPInstanceUID."""

    study_uid: str
    paths: tuple[Path, ...]
    doubles: tuple[tuple[Path, ...], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Seen:
    """What the first readable header of a study says; whether files of one UID differ."""

    header: Mapping[str, Any]
    names: frozenset[str]
    conflict: bool


@dataclass(frozen=True, slots=True, repr=False)
class File:
    """A file to clean: its safe place, its path, and the path in DEST that its UIDs give it."""

    place: str
    path: Path
    target: str


@dataclass(frozen=True, slots=True, repr=False)
class Batch:
    """Files of one study, to be written below `dest`; the rest places it as in `StudyContext`."""

    dest: Path
    study_id: str
    files: tuple[File, ...]
    keys: Keys
    donor_id: str
    shift_us: int | None
    study_date: str
    names: frozenset[str]
    policy: Policy


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """What became of a batch: `unchanged` are among the written; `refused` are files by rule."""

    written: int
    unchanged: int
    size_bytes: int
    refused: tuple[tuple[File, str], ...]
    findings: tuple[Finding, ...]


def look(task: Look) -> Seen:
    """The header of a study's first readable file, and whether its doubles are copies."""
    conflict = any(len({_digest(path) for path in same}) > 1 for same in task.doubles)
    for path in task.paths:
        try:
            dataset = parse(path.read_bytes()).dataset
        except (OSError, MalformedError):
            continue
        return Seen(facts_of(dataset, HEADER_KEYWORDS), profile.identifying_words(dataset), conflict)
    return Seen({}, frozenset(), conflict)


def _digest(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return b""


def clean(batch: Batch) -> Outcome:
    """Write the clean form of each file; one that cannot be made safe is refused and left where it was."""
    context = StudyContext(batch.keys, batch.donor_id, batch.shift_us, batch.study_date, batch.names)
    written = unchanged = size = 0
    refused: list[tuple[File, str]] = []
    findings: list[Finding] = []
    for file in batch.files:
        if is_done(batch, file):
            unchanged += 1
            continue
        try:
            rewritten, found = safe(file.path.read_bytes(), context, batch.policy)
            findings += [Finding(f.rule, file.place, f.tag, f.count) for f in found]
            _write(batch, rewritten)
        except CurateError:  # the disk's errors stop the run
            raise
        except Exception as error:
            finding = _reason(error, file.place)
            findings.append(finding)
            refused.append((file, finding.rule))
            _drop(batch.dest / file.target)
            continue
        written += 1
        size += rewritten.size
    return Outcome(written + unchanged, unchanged, size, tuple(refused), merge(findings))


def safe(data: bytes, context: StudyContext, policy: Policy) -> tuple[Rewritten, tuple[Finding, ...]]:
    """The clean form of a file that the checker passes, with what a person should know of it.

    Raises:
        MalformedError: the rule by which it is refused.
    """
    rewritten = rewrite_parsed(parse(data), context, policy)
    for finding in rewritten.findings:
        if finding.severity is Severity.ERROR:
            raise MalformedError(finding.rule, finding.tag)
    for finding in verify(b"".join(rewritten.chunks), policy):
        if finding.severity is Severity.ERROR:
            raise MalformedError("REWRITE_NOT_CLEAN", finding.tag)
    return rewritten, rewritten.findings


def _reason(error: Exception, place: str) -> Finding:
    """Why a file is refused; a defect of our own must not stop the batch either."""
    if isinstance(error, MalformedError):
        return Finding(error.rule, place, error.tag)
    if isinstance(error, OSError):
        return Finding("FILE_UNREADABLE", place)
    return Finding("PROGRAM_DEFECT", place)


def target(rewritten: Rewritten) -> str:
    """Where an instance lies in DEST: by its new ids only."""
    return f"{rewritten.study_uid}/{rewritten.series_uid}/{rewritten.sop_instance_uid}.dcm"


def _write(batch: Batch, rewritten: Rewritten) -> None:
    path = batch.dest / target(rewritten)
    temporary = batch.dest / PARTIAL / f"{rewritten.sop_instance_uid}.{os.getpid()}"
    with durable.storage_errors("write to DEST"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with durable.writing(path, temporary) as out:
            _write_all(out, rewritten.chunks)


def _write_all(out: Any, chunks: tuple[Bytes, ...]) -> None:
    for chunk in chunks:
        out.write(chunk)


def is_done(batch: Batch, file: File) -> bool:
    """Whether an output is there, whole, newer than its source, and under this donor and these dates."""
    path = batch.dest / file.target
    try:
        if path.stat().st_mtime_ns < file.path.stat().st_mtime_ns:
            return False
        dataset = parse(path.read_bytes()).dataset
    except (OSError, MalformedError):
        return False
    return (
        dataset.text(0x00080018) == Path(file.target).stem
        and dataset.text(0x00100020) == batch.donor_id
        and dataset.text(0x00280303) == _DATES_ARE[batch.policy.dates]
    )


def _drop(path: Path) -> None:
    """An output whose source is refused now does not stay."""
    with durable.storage_errors("remove a refused file from DEST"):
        if path.exists():
            durable.remove(path)
