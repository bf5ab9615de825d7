"""`curate status`: what became of the donation that a receipt stands for, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from curate.archive import receipts, repository
from curate.archive.release_folders import holds_any_of, release_folders
from curate.archive.repository import Archive
from curate.core.errors import InputError
from curate.core.findings import rule

State = Literal["waiting", "refused", "published", "withdrawn"]


@dataclass(frozen=True, slots=True)
class Status:
    """The answer to a donor: `versions` that hold the study, oldest first; `reasons` why it is kept back.

    A study may be published and have single instances that were refused; then both are there.
    """

    state: State
    versions: tuple[str, ...] = ()
    reasons: tuple[tuple[str, str], ...] = ()


def status(root: Path, receipt: str) -> Status:
    """What became of a donation.

    `waiting`: taken in, or received, and in no published version yet.

    Raises:
        InputError: not a receipt, mistyped, or not one of this archive's.
    """
    digest = receipts.digest(receipt)
    with repository.opened(root, write=False) as archive:
        study = archive.ledger.receipt(digest)
        if study is None:
            raise InputError("This archive did not give out that receipt.", hint="Ask where it was donated.")
        if not study:
            return Status("withdrawn")
        versions, reasons = _versions(archive, study), _reasons(archive, study)
        if archive.ledger.has_study(study):
            return Status("published" if versions else "waiting", versions, reasons)
        return Status("refused" if reasons else "waiting", versions, reasons)


def _versions(archive: Archive, study: str) -> tuple[str, ...]:
    published = {event.subject for event in archive.ledger.events("published")}
    one = frozenset({study})
    return tuple(path.name for path in release_folders(archive) if path.name in published and holds_any_of(path, one))


def _reasons(archive: Archive, study: str) -> tuple[tuple[str, str], ...]:
    codes = {code for entry in archive.ledger.quarantined() if entry.study_id == study for code in entry.codes}
    return tuple((code, rule(code).title) for code in sorted(codes))
