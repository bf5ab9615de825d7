"""The DOI of a version, reserved before it is cut, so that the sealed texts bear it; asked for once a version."""

from __future__ import annotations

from datetime import date

from curate.archive.ledger_records import Event
from curate.archive.repository import Archive
from curate.core import clock
from curate.core.actor import TOOL, who
from curate.core.versions import parse
from curate.hub.zenodo import api
from curate.hub.zenodo.records import Description, reserve

RESERVED = "doi_reserved"


def reserved(archive: Archive, version: str) -> str | None:
    """The DOI that a version bears."""
    events = list(archive.ledger.events(RESERVED, version))
    return str(events[-1].payload["doi"]) if events else None


def reserve_for(archive: Archive, opened: Event) -> str:
    """The DOI of the version that is about to be cut, reserved where it was not yet.

    Raises:
        HubError: Zenodo refuses or fails; the same command goes on.
    """
    version = opened.subject
    if (known := reserved(archive, version)) is not None:
        return known
    info = archive.config.info
    said = Description(
        title=info.title,
        creators=(info.publisher,),
        publisher=info.publisher,
        description=info.description or info.title,
        released=date.fromisoformat(opened.payload["date"]),
        version=version,
        licenses=(info.license,),
        urls=(info.homepage,) if info.homepage else (),
    )
    draft = reserve(said, previous=_previous(archive))
    payload = {"endpoint": api.endpoint(), "id": draft.id, "doi": draft.doi}
    with archive.ledger.transaction():
        archive.ledger.append(clock.stamp(), RESERVED, version, payload, who=who(), tool=TOOL)
    return draft.doi


def _previous(archive: Archive) -> str:
    """The record of the newest version that was deposited, so that all share one concept DOI."""
    ids = {event.subject: str(event.payload["id"]) for event in archive.ledger.events(RESERVED)}
    done = [e.subject for e in archive.ledger.events("published") if e.payload["target"].startswith("zenodo:")]
    return ids.get(max(done, key=parse), "") if done else ""
