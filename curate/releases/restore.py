"""Take a version back from a hub into the archive: as that hub holds it, every file with its digest verified."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from curate.archive import repository
from curate.archive.repository import Archive
from curate.attestation import release_attestations
from curate.attestation.release_attestations import CHECKPOINT, FOLDER
from curate.core import clock, durable
from curate.core.actor import TOOL, who
from curate.core.digests import sha256_file
from curate.core.errors import DamagedError, HubError
from curate.core.progress import Progress, silent
from curate.core.records import FileEntry
from curate.hub.download import copy, download
from curate.hub.protocol import RELEASE_FILE, Target, parse_release


def bring(archive: Archive, target: Target, version: str, progress: Progress = silent) -> str:
    """Put a version's folder in place as a target holds it; gives the digest of its seal. The ledger is not told.

    Raises:
        HubError: the hub fails, or holds something else than its own seal and checkpoint say.
        StorageError: the disk is full or fails.
    """
    out = archive.temporary / f"bring-{version}"
    with durable.storage_errors("take a version back from the hub"):
        durable.remove(out)
        out.mkdir(parents=True)
        sealed = target.read(version, RELEASE_FILE)
        held = set(_linked(archive, out, parse_release(sealed)[1]))
        durable.step("write", out)
        download(target, version, out, progress, wanted=lambda path: path not in held)
        if (out / RELEASE_FILE).read_bytes() != sealed:
            raise HubError(f"{version} at {target.url} changed meanwhile.", hint="Run the same command again.")
        copy(target, version, f"{FOLDER}/{CHECKPOINT}", out)
        _, said = release_attestations.read_checkpoint(out)
        for name, digest in said.files.items():
            copy(target, version, f"{FOLDER}/{name}", out)
            if sha256_file(out / FOLDER / name) != digest:
                raise HubError(f"{FOLDER}/{name} arrived other than it was signed.", hint="Run it again.")
        for path in sorted(path for path in out.rglob("*") if path.is_file()):
            durable.fsync_file(path)
        repository.put_release(archive.root, out, version)
    return hashlib.sha256(sealed).hexdigest()


def _linked(archive: Archive, out: Path, entries: tuple[FileEntry, ...]) -> Iterator[str]:
    """Packs and previews of which the archive holds a sound copy, linked into the folder."""
    for entry in entries:
        if not entry.path.startswith(("packs/", "previews/")):
            continue
        near = [*archive.releases.glob(f"[0-9]*/{entry.path}")]
        if not (store := archive.store_of(entry.path)).is_remote:
            near.append(store.place(entry.path))
        for source in near:
            if source.is_file() and source.stat().st_size == entry.size_bytes and sha256_file(source) == entry.sha256:
                (out / entry.path).parent.mkdir(parents=True, exist_ok=True)
                durable.link(source, out / entry.path)
                yield entry.path
                break


def take_back(archive: Archive, target: Target, version: str, progress: Progress = silent) -> bool:
    """Restore a version that the ledger knows from a target; says whether that went well.

    Raises:
        StorageError: the disk is full or fails.
    """
    known = {
        str(event.payload["digest"])
        for kind in ("released", "recut", "restored", "published", "purged")
        for event in archive.ledger.events(kind, version)
    }
    try:
        if hashlib.sha256(target.read(version, RELEASE_FILE)).hexdigest() not in known:
            return False
        digest = bring(archive, target, version, progress)
    except (HubError, DamagedError):  # the answer is that it holds no sound copy
        return False
    with archive.ledger.transaction():
        archive.ledger.append(clock.stamp(), "restored", version, {"digest": digest}, who=who(), tool=TOOL)
    return True
