"""What earlier versions changed, out of the ledger: the entries of a changelog below its first."""

from __future__ import annotations

from datetime import date

from curate.archive.repository import Archive
from curate.core import versions
from curate.core.records import Changes, VersionChange


def history_before(archive: Archive, version: str) -> tuple[VersionChange, ...]:
    """What the published versions before this one changed, newest first."""
    published = {event.subject for event in archive.ledger.events("published")}
    cuts = {event.subject: event.payload for event in archive.ledger.events("release_opened")}
    return tuple(
        VersionChange(
            before,
            date.fromisoformat(cut["date"]),
            cut["added"],
            cut["removed"],
            notes=tuple(cut.get("notices", ())),
            changes=changes_of(archive, before),
        )
        for before, cut in reversed(cuts.items())
        if before in published and versions.parse(before) < versions.parse(version)
    )


def changes_of(archive: Archive, version: str) -> Changes | None:
    """How a version that was cut differs from the one before it; None for the first."""
    cuts = [event.payload for event in archive.ledger.events("released", version)]
    said = cuts[-1].get("changes") if cuts else None
    return Changes.of(said) if said else None
