"""Recalls: the closed list of their reasons, and the public notice that cards bear of them."""

from __future__ import annotations

from collections.abc import Iterator

from curate.archive.ledger_records import Event
from curate.archive.repository import Archive

OPENED = "recall_opened"
REASONS = {
    "CONSENT": "consent was missing, or did not cover this publication",
    "FACE": "a face could be reconstructed from the images",
    "HEADER": "the images' headers held something that can identify a person",
    "PIXELS": "text in the images could identify a person",
    "REIDENTIFIED": "a person was recognised, or could be",
    "RIGHTS": "the licence was given by somebody who could not give it",
    "UNSTATED": "the reason is known to the archive and cannot be made public",
    "WRONG": "images and data did not belong together",
}


def notice(event: Event) -> str:
    """What the public is told of a recall."""
    reason, count = event.payload["reason"], len(event.payload["studies"])
    versions = ", ".join(event.payload["versions"])
    them = ("study was", "It is", "it is") if count == 1 else ("studies were", "They are", "they are")
    return (
        f"On {event.at[:10]}, {count:,} {them[0]} recalled from version {versions}. Reason {reason}: {REASONS[reason]}."
        f" {them[1]} in no version any more; delete every copy, which manifest/revocations.parquet tells"
        " (curate verify-copy compares)."
    )


def pending(archive: Archive, previous: str | None) -> tuple[str, ...]:
    """The notices that the next version bears: of recalls since the last published version was begun."""
    begun = [event.seq for event in archive.ledger.events("release_opened", previous)] if previous else []
    since = begun[-1] if begun else 0
    return tuple(notice(event) for event in archive.ledger.events(OPENED) if event.seq > since)


def of_version(archive: Archive, version: str) -> Iterator[str]:
    """The notices that a version bears once it is cut again without what was recalled from it."""
    for event in archive.ledger.events(OPENED):
        if version in event.payload["versions"]:
            yield notice(event)
