"""Who approved which bytes: what `approve` writes and `publish` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curate import version as versions
from curate.archive.layout import Archive
from curate.errors import InputError


@dataclass(frozen=True, slots=True)
class Approval:
    """One reviewer's word on one release: it holds for these bytes only."""

    version: str
    digest: str
    reviewer: str


def approvals(archive: Archive, version: str) -> list[Approval]:
    """All approvals of a version, whatever bytes they were for."""
    return [
        Approval(event.subject, event.payload["digest"], event.payload["reviewer"])
        for event in archive.ledger.events("approved", version)
    ]


def release_folder(archive: Archive, version: str) -> Path:
    """The folder of a version that was cut.

    Raises:
        InputError: there is no such version.
    """
    folder = archive.releases / versions.normal(version)
    if not (folder / "release.json").is_file():
        known = sorted((p.name for p in archive.releases.glob("*.*.*")), key=versions.parse)
        cut = f"Cut so far: {', '.join(known)}." if known else f"Cut one: curate release {archive.root}"
        raise InputError(f"There is no release {versions.normal(version)} in this archive.", hint=cut)
    return folder
