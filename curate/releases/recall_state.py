"""What the ledger says of recalls: which targets are closed, which cut corrects, which are done."""

from __future__ import annotations

from collections.abc import Collection

from curate.archive.ledger_records import Event
from curate.archive.repository import Archive
from curate.releases.recall_notices import OPENED

CLOSED, CUT, REOPENED, DONE = "recall_closed", "recall_cut", "recall_reopened", "recall_done"


def is_closed(archive: Archive, url: str) -> bool:
    """Whether a recall closed a target to readers and has not opened it again."""
    found = [
        (event.seq, kind)
        for kind in (CLOSED, REOPENED)
        for event in archive.ledger.events(kind)
        if event.payload["target"] == url
    ]
    return bool(found) and max(found)[1] == CLOSED


def is_cut_of(archive: Archive, version: str, digest: str) -> bool:
    """Whether a recall cut exactly these bytes: they only remove, so nobody need approve them."""
    return any(event.payload["digest"] == digest for event in archive.ledger.events(CUT, version))


def finished(archive: Archive, names: Collection[str]) -> tuple[Event, Event] | None:
    """How the last recall that is done began and ended, of those of a version or study with one of these names."""
    ended = {(e.subject, e.payload["number"]): e for e in archive.ledger.events(DONE)}
    found = [
        (event, ended[key])
        for event in archive.ledger.events(OPENED)
        if (key := (event.subject, event.payload["number"])) in ended
        and not {event.subject, *event.payload["studies"]}.isdisjoint(names)
    ]
    return found[-1] if found else None
