"""What the ledger says of recalls that are not finished: which targets are closed, which cut corrects."""

from __future__ import annotations

from curate.archive.layout import Archive

CLOSED, CUT, REOPENED = "recall_closed", "recall_cut", "recall_reopened"


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
