"""`curate ledger`: what happened in an archive, who did it, and whether the record is whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from curate.archive import repository
from curate.archive.ledger_records import Event
from curate.archive.release_folders import release_folders
from curate.archive.repository import Archive
from curate.attestation import release_attestations
from curate.core.errors import DamagedError, InputError
from curate.core.findings import Finding


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """An event; `remark` is the free text of a rejection, if it was not erased."""

    event: Event
    remark: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """Events as a stream, what is wrong with the record, and the versions whose checkpoints are signed over it."""

    lines: Iterator[LedgerLine]
    findings: tuple[Finding, ...]
    anchored: tuple[str, ...]


@contextmanager
def ledger(root: Path, *, since: str = "", study: str = "") -> Iterator[History]:
    """The events of an archive, in their order: from a day (YYYY-MM-DD) on, of one study.

    They hold ids, codes, counts and digests, never a patient's value. Each one's digest covers all before it, and
    each release's checkpoint is signed over the last one of its time: what was changed since shows.

    Raises:
        InputError: `since` is no day, or the ledger knows no such study; and as `repository.opened` says.
        DamagedError: as `curate.archive.repository.opened` says.
    """
    if since:
        _day(since)
    with repository.opened(root, write=False) as archive:
        if study and next(iter(archive.ledger.events(subject=study)), None) is None:
            hint = "Name it by its published id (2.25...), as the events do; without --study all are shown."
            raise InputError("The ledger has no event of the study given.", hint=hint)
        findings, anchored = _verified(archive)
        events = archive.ledger.events(subject=study or None)
        lines = (LedgerLine(event, _remark(archive, event)) for event in events if event.at >= since)
        yield History(lines, findings, anchored)


def _day(text: str) -> None:
    try:
        known = date.fromisoformat(text).isoformat() == text
    except ValueError:
        known = False
    if not known:
        raise InputError(f"{text!r} is no day.", hint="Write it as YYYY-MM-DD, such as 2026-01-31.")


def _remark(archive: Archive, event: Event) -> str:
    digest = event.payload.get("remark", "")
    return archive.ledger.remark(bytes.fromhex(digest)) if digest else ""


def _verified(archive: Archive) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    findings, anchored = [], []
    if (broken := archive.ledger.broken_chain()) is not None:
        findings.append(Finding("LEDGER_CHAIN", f"event {broken}"))
    heads = {head.hex() for _, head in archive.ledger.heads()}
    for folder in release_folders(archive):
        try:
            said = release_attestations.read_checkpoint(folder)[1]
        except DamagedError:
            findings.append(Finding("ATTESTATION_FILE_INVALID", folder.name, release_attestations.CHECKPOINT))
            continue
        if said.ledger in heads:
            anchored.append(folder.name)
        else:
            findings.append(Finding("LEDGER_NOT_ANCHORED", folder.name))
    return tuple(findings), tuple(anchored)
