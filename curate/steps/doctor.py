"""`curate doctor`: hold ledger, packs, quarantine and releases against each other; mend what can be mended."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from curate import decoding, hub
from curate.archive import receipts, repository
from curate.archive.pack_consolidation import remove_unused, unused
from curate.archive.release_folders import recorded_digests
from curate.archive.repository import Archive
from curate.archive.stores import Store
from curate.core import durable
from curate.core.digests import sha256_stream
from curate.core.errors import CurateError
from curate.core.findings import Finding
from curate.core.progress import Progress, silent
from curate.keys import file_encryption
from curate.keys.derivation import Keys
from curate.releases import archive_soundness, hub_state, purge
from curate.releases.file_repair import Spare, bad_files
from curate.releases.withdrawal_cleanup import finish_withdrawals


@dataclass(slots=True)
class Health:
    """What was looked at, what is damaged and could not be mended, and what was (or, looking only, could be)."""

    looked_at: Counter[str] = field(default_factory=Counter)
    damaged: list[Finding] = field(default_factory=list)
    repaired: list[Finding] = field(default_factory=list)

    def tell(self, rule: str, place: str, mended: bool) -> None:
        """Note damage."""
        (self.repaired if mended else self.damaged).append(Finding(rule, place))


def doctor(root: Path, *, dry_run: bool = False, progress: Progress = silent) -> Health:
    """Verify an archive, every byte of it, and mend what remains elsewhere: in its releases, or on its hub.

    Raises:
        DamagedError: configuration, key or ledger cannot be opened at all.
        LockedError, StorageError: as their messages say.
    """
    health = Health()
    with repository.opened(root, write=not dry_run) as archive:
        if not archive.ledger.verify():
            health.tell("LEDGER_DAMAGED", "ledger.db", mended=False)
            return health
        for fault in archive_soundness.faults(archive):
            health.damaged.append(fault)
        for study in archive.ledger.unsound():
            health.tell("LEDGER_STUDY", study, mended=False)
        if not dry_run:
            finish_withdrawals(archive)
        _machine(health)
        _hubs(archive, health)
        spare = Spare(archive)
        with durable.storage_errors("mend the archive"):
            _stored(archive, spare, health, dry_run, progress)
            _quarantine(archive, health)
            _receipts(archive, health)
            _releases(archive, spare, health, dry_run, progress)
            _unused(archive, health, dry_run)
    return health


def _machine(health: Health) -> None:
    """What this machine does for the process that decodes what strangers coded."""
    try:
        confined = decoding.confinement().is_whole
    except decoding.UndecodableError:  # there is no such process, so nothing coded is decoded either
        confined = False
    if not confined:
        health.tell("DECODER_NOT_CONFINED", "this machine", mended=False)


def _hubs(archive: Archive, health: Health) -> None:
    """No hub knows a later state of the archive, and none serves what was withdrawn."""
    for url in sorted(hub_state.used_targets(archive)):
        target = hub.open_target(url)
        if not target.can_erase:
            continue
        health.looked_at["hubs"] += 1
        try:
            seen = hub_state.hub_checkpoints(archive, target)
            gone = hub_state.revoked(archive, target, seen) - dict(archive.ledger.revocations()).keys()
        except CurateError:
            health.tell("HUB_UNREAD", url, mended=False)
            continue
        if hub_state.unknown(archive, seen) or gone:
            health.tell("HUB_AHEAD", url, mended=False)
        elif purge.stale_versions(archive, url):
            health.tell("HUB_NOT_PURGED", url, mended=False)


def _mend_stored(store: Store, name: str, data: bytes | None, dry_run: bool) -> bool:
    if data is not None and not dry_run:
        with store.scratch() as folder:
            durable.write_bytes(folder / "copy", data)
            store.put(folder / "copy", name, replace=True)  # a release that shares the bytes keeps its own
    return data is not None


def _stored(archive: Archive, spare: Spare, health: Health, dry_run: bool, progress: Progress) -> None:
    """Every pack and preview shard that a study needs is there, and has the digest that is its name."""
    health.looked_at["studies"] = len(archive.ledger.study_ids())
    needed = {path for path, _ in archive.ledger.stored()}
    for path in progress.over(sorted(needed), "packs", len(needed)):
        health.looked_at["packs"] += 1
        store, sha256 = archive.store_of(path), Path(path).stem
        try:
            with store.open(path) as file:
                rule = "PACK_DAMAGED" if sha256_stream(file) != sha256 else ""
        except FileNotFoundError:
            rule = "PACK_MISSING"
        if rule:
            health.tell(rule, path, _mend_stored(store, path, spare.find(path, sha256), dry_run))


def _quarantine(archive: Archive, health: Health) -> None:
    """Every entry has its file, which opens to its end."""
    key = Keys.from_secret(archive.secret).quarantine
    for entry in archive.ledger.quarantined():
        health.looked_at["quarantined"] += 1
        try:
            with file_encryption.opening(archive.quarantine.open(repository.vault_name(entry.id)), key) as file:
                while file.read(1 << 20):
                    pass
        except (OSError, CurateError):
            health.tell("QUARANTINE_DAMAGED", entry.id, mended=False)


def _receipts(archive: Archive, health: Health) -> None:
    path = archive.root / receipts.NAME
    try:
        for _ in receipts.read(path, Keys.from_secret(archive.secret).storage) if path.exists() else ():
            health.looked_at["receipts"] += 1
    except CurateError:
        health.tell("RECEIPTS_DAMAGED", receipts.NAME, mended=False)


def _releases(archive: Archive, spare: Spare, health: Health, dry_run: bool, progress: Progress) -> None:
    """Every version that was cut is there as the ledger knows it; one that nobody saw may be cut anew."""
    published = {event.subject for event in archive.ledger.events("published")}
    known = recorded_digests(archive)
    for version in progress.over(sorted(known), "releases", len(known)):
        folder = archive.releases / version
        if version not in published and not folder.exists():
            continue  # a cut that was dropped: the next release takes its number
        health.looked_at["releases"] += 1
        bad = list(bad_files(folder, known[version], spare, version, dry_run))
        mended = [path for path, found in bad if found]
        lost = [path for path, found in bad if not found]
        if lost and version not in published:
            if not dry_run:
                durable.remove(folder)
            health.tell("RELEASE_TO_CUT_AGAIN", f"releases/{version}", mended=True)
            continue
        for path in mended:
            health.tell("RELEASE_FILE_DAMAGED", f"releases/{version}/{path}", mended=True)
        for path in lost:
            health.tell("RELEASE_FILE_DAMAGED", f"releases/{version}/{path}", mended=False)


def _unused(archive: Archive, health: Health, dry_run: bool) -> None:
    """Files that nothing refers to: what a killed step wrote and no later one needed."""
    waiting = {repository.vault_name(entry.id) for entry in archive.ledger.quarantined()}
    loose = [name for name in archive.quarantine.names("quarantine") if name not in waiting]
    for name in [*(name for _, name in unused(archive)), *loose]:
        health.tell("FILE_UNUSED", name, mended=True)
    if not dry_run:
        remove_unused(archive)
        for name in loose:
            archive.quarantine.remove(name)
