"""`curate sheet`: what a reviewer fills in and signs, with the tool's evidence."""

from __future__ import annotations

from pathlib import Path

from curate.archive import repository
from curate.attestation import review_sheets
from curate.attestation.evidence import decisions_of, sheet_of
from curate.attestation.review_sheets import Decisions, Sheet
from curate.core import durable
from curate.core.errors import InputError


def sheet(root: Path, version: str, out: Path | None = None, decisions: Path | None = None) -> tuple[Sheet, Decisions]:
    """The sheet and the decisions of a version, unanswered; written to `out` and `decisions` where given.

    Raises:
        InputError: no such version, or a file is there already: answers are never written over.
    """
    with repository.opened(root, write=False) as archive:
        asked, undecided = sheet_of(archive, version), decisions_of(archive, version)
    _write(out, asked)
    _write(decisions, undecided)
    return asked, undecided


def _write(path: Path | None, record: Sheet | Decisions) -> None:
    if path is None:
        return
    if path.exists():
        raise InputError(f"{path} exists already.", hint="Name a new file, or remove it.")
    with durable.storage_errors(f"write {path}"):
        durable.write_bytes(path, review_sheets.to_json(record).encode())
