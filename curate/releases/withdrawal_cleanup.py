"""Second half of a withdrawal: removes from releases, quarantine and receipts what the ledger no longer holds.

The ledger's transaction makes a withdrawal effective; what follows here is found by looking, and can be
repeated: `withdraw`, `release` and `publish` all begin with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from curate.archive import disclosure_history, receipts, repository
from curate.archive.ledger_records import Event
from curate.archive.pack_consolidation import remove_unused
from curate.archive.release_folders import holds_any_of, recorded_digests, release_folders
from curate.archive.repository import Archive
from curate.core import clock, durable, versions
from curate.core.actor import TOOL, who
from curate.core.digests import sha256_file
from curate.core.errors import CurateError, DamagedError
from curate.keys import encrypted_log
from curate.keys.derivation import Keys
from curate.releases.recut import recut, revoked, revoked_since


@dataclass(frozen=True, slots=True)
class Erased:
    """Versions that were cut again, unpublished cuts that were dropped, and versions too `damaged` to be cut again.

    A damaged one may still hold what was withdrawn: the next run tries again, and a purge does not wait for it.
    """

    recut: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


def finish_withdrawals(archive: Archive, *, again: bool = False) -> Erased:
    """Erase what earlier withdrawals left, if a kill left anything; `again` looks for all that was ever withdrawn.

    Raises:
        StorageError: the disk is full or fails; the next run goes on.
    """
    pending = list(archive.ledger.events("withdrawn")) if again else _pending(archive)
    if not pending:
        return Erased()
    gone = frozenset(event.subject for event in pending)
    with durable.storage_errors("erase what was withdrawn"):
        _vaults(archive, pending)
        _receipts(archive, gone)
        dropped, damaged = _releases(archive, gone, max(event.at for event in pending)[:10])
        disclosure_history.prune(archive)
        remove_unused(archive)
        changed = _changed(archive)
    done = set() if damaged else {event.subject for event in _pending(archive)}
    with archive.ledger.transaction():
        for version, digest in changed.items():
            archive.ledger.append(clock.stamp(), "recut", version, {"digest": digest}, who=who(), tool=TOOL)
        for study in sorted(done):
            archive.ledger.append(clock.stamp(), "erased", study, {}, who=who(), tool=TOOL)
    archive.ledger.truncate()
    return Erased(tuple(changed), dropped, damaged)


def state_revocations(archive: Archive, named: Iterable[str]) -> None:
    """Tell in versions that were cut again which later version is the first without what they lost.

    A withdrawal comes before the release that is without the study, so that release's number comes later.
    """
    known = revoked_since(archive).keys()
    for version in named:
        folder = archive.releases / version
        try:
            stated = revoked(folder).keys()
            day = json.loads((folder / "release.json").read_bytes()).get("recut", {}).get("date", clock.stamp()[:10])
        except (OSError, ValueError, LookupError, pa.ArrowException) as error:
            told = f"Release {version} is not what was released."
            raise DamagedError(told, hint="Run `curate doctor` on the archive.") from error
        if known <= stated:
            continue
        with durable.storage_errors("cut a release again"):
            out = archive.temporary / f"recut-{version}"
            recut(archive, version, frozenset(), day, out)
            repository.put_release(archive.root, out, version)
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
            archive.quarantine.remove(repository.vault_name(name))


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
    with encrypted_log.appending(temporary, key) as log:
        log.append(receipts.record(receipt) for receipt in records if receipt.study_id not in gone)
    durable.rename(temporary, path)


def _releases(archive: Archive, gone: frozenset[str], day: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cut published versions again in place; drop cuts that nobody saw, the next one takes their number.

    Gives those dropped, and those that cannot be cut again, since what they are made of is damaged.
    """
    published = {event.subject for event in archive.ledger.events("published")}
    dropped, damaged = [], []
    for folder in _folders(archive, published):
        found = holding(folder, gone)
        if found is False:
            continue
        if folder.name not in published:
            durable.remove(folder)
            dropped.append(folder.name)
            continue
        out = archive.temporary / f"recut-{folder.name}"
        try:
            recut(archive, folder.name, gone, day, out)
        except DamagedError:
            durable.remove(out)
            damaged.append(folder.name)
            continue
        repository.put_release(archive.root, out, folder.name)
    return tuple(dropped), tuple(damaged)


def _folders(archive: Archive, published: Iterable[str]) -> list[Path]:
    """Every version that is there, or should be."""
    known = {path.name: path for path in release_folders(archive)} | {v: archive.releases / v for v in published}
    return [known[version] for version in sorted(known, key=versions.parse)]


def holding(folder: Path, studies: frozenset[str]) -> bool | None:
    """Whether a release has a row of one of these studies; None where it is too damaged to tell."""
    try:
        return holds_any_of(folder, studies)
    except (OSError, ValueError, LookupError, pa.ArrowException, CurateError):  # the answer is that there is none
        return None


def _changed(archive: Archive) -> dict[str, str]:
    """Versions that were cut again since the ledger knew their seal, with its digest now; a damaged seal is none."""
    known, found = recorded_digests(archive), {}
    for folder in release_folders(archive):
        digest, before = sha256_file(folder / "release.json"), known.get(folder.name)
        if before not in (None, digest) and before in _replaces(folder):
            found[folder.name] = digest
    return found


def _replaces(folder: Path) -> list[str]:
    """The digests that a version had before it was cut again, by its own seal."""
    try:
        found = json.loads((folder / "release.json").read_bytes())["recut"]["replaces"]
    except (OSError, ValueError, LookupError, TypeError):  # damaged, or never cut again
        return []
    return list(found) if isinstance(found, list) else []
