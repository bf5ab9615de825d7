"""What a hub knows that the archive does not: detects an archive that was rolled back, which may not publish.

An archive that was restored from a backup has forgotten withdrawals. Its hubs have not: each version's checkpoint
is signed over the log and the ledger of its time, and its revocations tell what is gone.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate import contract, hub
from curate.archive.release_folders import recorded_digests
from curate.archive.repository import Archive
from curate.attestation import release_attestations
from curate.attestation.release_attestations import CHECKPOINT, FOLDER, KEYS, Statement
from curate.core import versions
from curate.core.errors import AbsentError, HubError, RefusedError, quoted
from curate.hub.protocol import Target
from curate.transparency import commitments, merkle, signed_note, signing_keys
from curate.transparency.signed_note import Checkpoint

ADOPTED = "adopted"


@dataclass(frozen=True, slots=True)
class HubCheckpoint:
    """What a version on a hub states by a checkpoint that this archive's key, or its heir, has signed."""

    version: str
    point: Checkpoint
    said: Statement


def hub_checkpoints(archive: Archive, target: Target) -> tuple[HubCheckpoint, ...]:
    """The checkpoints of all versions that a target holds, oldest first; none where there is no such place yet.

    Raises:
        HubError: the hub cannot be read.
        RefusedError: a version there is not this archive's.
    """
    try:
        found = target.versions()
    except AbsentError:
        return ()
    return tuple(_stated(archive, target, version) for version in sorted(found, key=versions.parse))


def _stated(archive: Archive, target: Target, version: str) -> HubCheckpoint:
    note = target.read(version, f"{FOLDER}/{CHECKPOINT}").decode("utf-8", "replace")
    held = signing_keys.read(archive.log_key)
    text = _signed(note, signing_keys.related([held.public], held.rotations))
    if text is None:  # by a key that took over since this state of the archive
        listed = release_attestations.keys_of(target.read(version, f"{FOLDER}/{KEYS}"))
        rotations = listed[1] if listed else ()
        text = _signed(note, signing_keys.related([held.public], [*held.rotations, *rotations]))
    point = signed_note.checkpoint(text) if text else None
    said = release_attestations.statement(point) if point else None
    if point is None or said is None or said.version != version:
        raise RefusedError(
            f"{versions.tag(version)} at {target.url} does not bear the signature of this archive.",
            hint=f"Publish to a place of its own; or restore {signing_keys.LOG_KEY}. "
            f"See: curate audit {quoted(target.url)}",
        )
    return HubCheckpoint(version, point, said)


def _signed(note: str, known: Iterable[signed_note.PublicKey]) -> str | None:
    return next((text for key in known if (text := signed_note.verified(note, [key])) is not None), None)


def revoked(archive: Archive, target: Target, seen: Iterable[HubCheckpoint]) -> frozenset[bytes]:
    """The hashed digests that a target's versions revoke, as far as the archive did not cut these versions itself.

    Raises:
        HubError: the hub cannot be read.
    """
    own, found = recorded_digests(archive), set[bytes]()
    for one in seen:
        if own.get(one.version) != one.said.release:
            found |= revocations_of(target, one.version)
    return frozenset(found)


def revocations_of(target: Target, version: str) -> set[bytes]:
    """The hashed digests that one version on a target revokes.

    Raises:
        HubError: it cannot be read.
    """
    data = target.read(version, "manifest/revocations.parquet")
    try:
        return set(pq.read_table(io.BytesIO(data), columns=["sha256_of_sha256"]).column(0).to_pylist())
    except (pa.ArrowException, OSError, ValueError, LookupError):
        raise HubError(
            f"The revocations of {versions.tag(version)} at {target.url} cannot be read.", hint="Run it again."
        ) from None


def versions_at(archive: Archive, url: str) -> dict[str, str]:
    """The versions that a target holds by the ledger, each with the digest that was sent last."""
    found: dict[str, str] = {}
    events = [*archive.ledger.events("published"), *archive.ledger.events("purged")]
    for event in sorted(events, key=lambda event: event.seq):
        if event.payload["target"] == url:
            found[event.subject] = event.payload["digest"]
            if event.payload.get("dropped"):
                del found[event.subject]
    return found


def used_targets(archive: Archive) -> set[str]:
    """The targets that hold a version by the ledger."""
    urls = {str(event.payload["target"]) for event in archive.ledger.events("published")}
    return {url for url in urls if versions_at(archive, url)}


def hubs_of(archive: Archive, target: Target) -> list[Target]:
    """The target, and every other one that the archive published to, or names as its own."""
    known = used_targets(archive)
    urls = sorted({*known, archive.config.hub_target} - {target.url})
    return [target, *(other for url in urls if (other := hub.open_target(url)).can_erase and other.url != target.url)]


def refuse_behind(archive: Archive, hubs: Iterable[Target]) -> None:
    """Refuse to go on where a hub knows a later state: its log does not begin this one (RFC 6962, 2.1.2).

    Raises:
        RefusedError: which hub, and the way out.
        HubError: a hub that the archive published to cannot be read.
    """
    known = used_targets(archive)
    for number, target in enumerate(hubs):
        try:
            seen = hub_checkpoints(archive, target)
        except HubError:
            if number and target.url not in known:  # never used: it knows nothing
                continue
            raise
        if ahead := unknown(archive, seen):
            raise _behind(archive, target, f"its {', '.join(one.version for one in ahead)} is of a later state")


def unknown(archive: Archive, seen: Collection[HubCheckpoint]) -> list[HubCheckpoint]:
    """What was signed over a log or a ledger that this archive's do not begin with."""
    if not seen:
        return []
    heads = {head.hex() for _, head in archive.ledger.heads()} | accepted_heads(archive)
    tree = merkle.levels(commitments.leaf_hash(kind, made) for kind, made in archive.ledger.log.leaves())
    return [one for one in seen if one.said.ledger not in heads or not is_prefix(tree, one.point)]


def is_prefix(tree: merkle.Levels, point: Checkpoint) -> bool:
    """Whether a log begins with the one of a checkpoint."""
    size = len(tree[0])
    return merkle.extends(point.root, point.size, merkle.root(tree), size, merkle.consistency(tree, point.size))


def accepted_heads(archive: Archive) -> set[str]:
    """The states of a ledger that was lost, which `adopt` took over."""
    return {str(head) for event in archive.ledger.events(ADOPTED) for head in event.payload["heads"]}


def refuse_revived(archive: Archive, target: Target, folders: Iterable[Path]) -> None:
    """Refuse to put anything on a target that it, or the archive, knows as withdrawn.

    Raises:
        RefusedError: what, and the way out.
        HubError: the hub cannot be read.
    """
    gone = revoked(archive, target, hub_checkpoints(archive, target)) | {d for d, _ in archive.ledger.revocations()}
    for folder in folders if gone else ():
        count = sum(hashlib.sha256(digest).digest() in gone for digest in _digests(folder))
        if count:
            raise _behind(archive, target, f"{count:,} instances of {folder.name} are known as withdrawn")


def _digests(folder: Path) -> Iterable[bytes]:
    for batch in contract.read_batches(folder / "manifest" / "instances.parquet", ["sha256"]):
        yield from batch.column(0).to_pylist()


def _behind(archive: Archive, target: Target, why: str) -> RefusedError:
    return RefusedError(
        f"The archive is older than {target.url}: {why}. Was it restored from a backup?",
        hint=f"Take over what it has forgotten: curate adopt {quoted(archive.root)} {quoted(target.url)}",
    )
