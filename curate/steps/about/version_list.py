"""`curate versions`: which versions are published, and what each changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curate.core.records import VersionChange
from curate.core.versions import parse
from curate.describe.changelog_read import read_changes
from curate.steps.about.open_release import opened

_CHANGELOG = "CHANGELOG.md"


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One version, as the newest one's CHANGELOG.md tells it.

    `released` is an ISO 8601 date, None where the changelog does not name the version; `available`: it can be read
    there. Counts are of studies: `studies` in it, where told; `changed` is None where the number is not published.
    """

    version: str
    released: str | None
    available: bool
    studies: int | None
    added: int
    removed: int
    changed: int | None
    notices: tuple[str, ...] = ()


def versions(reference: str | Path, *, key: str = "") -> tuple[VersionInfo, ...]:
    """The versions of a release, newest first, those that are not to be had any more included.

    References as `info` takes them; of a release's own folder, the versions up to that one.

    Raises:
        InputError: no release there.
        HubError: the hub cannot be read, or is gated.
        DamagedError: CHANGELOG.md is not what was released.
        UntrustedError: the newest is not signed by the key that is pinned for its archive, or given.
    """
    newest = opened(reference, None, key)
    told = {change.version: change for change in read_changes(newest.text(_CHANGELOG))}
    every = sorted({*told, *newest.versions}, key=parse, reverse=True)
    return tuple(_version(one, told.get(one), one in newest.versions) for one in every)


def _version(version: str, change: VersionChange | None, available: bool) -> VersionInfo:
    if change is None:
        return VersionInfo(version, None, available, None, 0, 0, None)
    told = change.changes
    studies = told.rows.get("studies") if told else None
    changed = told.changed if told else change.changed
    return VersionInfo(
        version,
        change.released.isoformat(),
        available,
        studies,
        change.added,
        change.removed,
        changed,
        change.notes,
    )
