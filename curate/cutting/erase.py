"""Finish a withdrawal: what the ledger no longer knows leaves packs, releases, quarantine and receipts.

The ledger's transaction makes a withdrawal effective; what follows here is found by looking, and can be
repeated: `withdraw`, `release` and `publish` all begin with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from curate import clock, durable
from curate.archive import layout, receipts, sealed_log, shown
from curate.archive.consolidate import remove_unused
from curate.archive.cuts import cuts, holds
from curate.archive.layout import Archive
from curate.archive.ledger import Event
from curate.cutting.recut import recut, revoked, revoked_since
from curate.dicom.types import Keys
from curate.digests import sha256_file
from curate.identity import TOOL, who


@dataclass(frozen=True, slots=True)
class Erased:
    """Versions that were cut again, and unpublished cuts that were dropped."""

    recut: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def settle(archive: Archive) -> Erased:
    """Erase what earlier withdrawals left, if a kill left anything.

    Raises:
        StorageError: the disk is full or fails; the next run goes on.
    """
    pending = _pending(archive)
    if not pending:
        return Erased()
    gone = frozenset(event.subject for event in pending)
    with durable.storage_errors("erase what was withdrawn"):
        _vaults(archive, pending)
        _receipts(archive, gone)
        dropped = _releases(archive, gone, max(event.at for event in pending)[:10])
        shown.prune(archive)
        remove_unused(archive)
        again = _changed(archive)
    with archive.ledger.transaction():
        for version, digest in again.items():
            archive.ledger.append(clock.stamp(), "recut", version, {"digest": digest}, who=who(), tool=TOOL)
        for study in sorted(gone):
            archive.ledger.append(clock.stamp(), "erased", study, {}, who=who(), tool=TOOL)
    archive.ledger.truncate()
    return Erased(tuple(again), dropped)


def name_revocations(archive: Archive, versions: Iterable[str]) -> None:
    """Tell in versions that were cut again which later version is the first without what they lost.

    A withdrawal comes before the release that is without the study, so that release's number comes later.
    """
    known = revoked_since(archive).keys()
    for version in versions:
        folder = archive.releases / version
        if known <= revoked(folder).keys():
            continue
        with durable.storage_errors("cut a release again"):
            day = json.loads((folder / "release.json").read_bytes())["recut"]["date"]
            out = archive.temporary / f"recut-{version}"
            recut(archive, version, frozenset(), day, out)
            layout.put_release(archive.root, out, version)
    with archive.ledger.transaction():
        for version, digest in _changed(archive).items():
            archive.ledger.append(clock.stamp(), "recut", version, {"digest": digest}, who=who(), tool=TOOL)


def _pending(archive: Archive) -> list[Event]:
    """Withdrawals whose traces were not all erased yet."""
    done = {event.subject: event.seq for event in archive.ledger.events("erased")}
    return [event for event in archive.ledger.events("withdrawn") if done.get(event.subject, 0) < event.seq]


def _vaults(archive: Archive, pending: Iterable[Event]) -> None:
    waiting = {entry.id for entry in archive.ledger.quarantined()}
    for event in pending:
        for name in sorted(set(event.payload["entries"]) - waiting):
            archive.quarantine.remove(layout.vault_name(name))


def _receipts(archive: Archive, gone: frozenset[str]) -> None:
    """Write the sealed list of codes again without those of withdrawn studies."""
    path = archive.root / receipts.NAME
    if not path.exists():
        return
    key = Keys.from_secret(archive.secret).storage
    records = list(receipts.read(path, key))
    if not any(receipt.study_id in gone for receipt in records):
        return
    temporary = archive.temporary / receipts.NAME
    temporary.unlink(missing_ok=True)
    with sealed_log.appending(temporary, key) as log:
        log.append(receipts.record(receipt) for receipt in records if receipt.study_id not in gone)
    durable.rename(temporary, path)


def _releases(archive: Archive, gone: frozenset[str], day: str) -> tuple[str, ...]:
    """Cut published versions again in place; drop cuts that nobody saw, the next one takes their number."""
    published = {event.subject for event in archive.ledger.events("published")}
    dropped = []
    for folder in cuts(archive):
        if not holds(folder, gone):
            continue
        if folder.name in published:
            out = archive.temporary / f"recut-{folder.name}"
            recut(archive, folder.name, gone, day, out)
            layout.put_release(archive.root, out, folder.name)
        else:
            durable.remove(folder)
            dropped.append(folder.name)
    return tuple(dropped)


def _changed(archive: Archive) -> dict[str, str]:
    """Versions whose seal is not the one that the ledger knows, with its digest."""
    known = recorded(archive)
    found = {folder.name: sha256_file(folder / "release.json") for folder in cuts(archive)}
    return {version: digest for version, digest in found.items() if known.get(version, digest) != digest}


def recorded(archive: Archive) -> dict[str, str]:
    """The digest of each version's `release.json` as it was cut, or cut again, last."""
    events = [*archive.ledger.events("released"), *archive.ledger.events("recut")]
    return {event.subject: event.payload["digest"] for event in sorted(events, key=lambda event: event.seq)}
