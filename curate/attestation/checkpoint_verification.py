"""What an archive has signed for a release, out of the few small files that prove it; nothing else is read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from curate.attestation import approvals as reviews
from curate.attestation import release_attestations
from curate.attestation.release_attestations import APPROVALS, CHECKPOINT, FOLDER, KEYS, Approved, Statement
from curate.core.digests import sha256_file
from curate.transparency import signed_note, signing_keys
from curate.transparency.signed_note import Checkpoint, PublicKey

Reader = Callable[[str], Path | None]
"""The local place of a file of a release, by its path in it; None where the release has none that may be read."""


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """The checkpoint of a release with the key that signed it, and how many approvals it lacks."""

    point: Checkpoint
    said: Statement
    key: PublicKey
    rotations: tuple[str, ...]
    lacking: int


def verified_checkpoint(version: str, digests: Collection[str], read: Reader) -> VerifiedCheckpoint | str:
    """What is signed for a version, or the rule that says why nothing is; empty where no checkpoint is there.

    `digests` are the SHA-256 of its `release.json`, first as it is now, then as it was before it was cut again.
    """
    note = _bytes(read, CHECKPOINT)
    if note is None:
        return ""
    held = release_attestations.keys_of(_bytes(read, KEYS))
    if held is None:
        return "ATTESTATION_FILE_INVALID"
    key, rotations = held
    try:
        text = signed_note.verified(note.decode(), [key])
    except UnicodeDecodeError:
        return "ATTESTATION_SIGNATURE"
    point = signed_note.checkpoint(text) if text else None
    said = release_attestations.statement(point) if point else None
    if point is None or said is None or point.origin != key.name:
        return "ATTESTATION_SIGNATURE"
    if len(signing_keys.related([key], rotations)) != len(rotations) + 1:
        return "ATTESTATION_KEY_SUCCESSION"
    if (said.version, said.release) != (version, next(iter(digests))):
        return "ATTESTATION_OTHER_RELEASE"
    approvals = _approvals(said, read)
    if approvals is None:
        return "ATTESTATION_FILE_CHANGED"
    lacking = said.approval.required - len(reviews.counted(approvals, said.approval, list(digests)))
    return VerifiedCheckpoint(point, said, key, rotations, max(0, lacking))


def _approvals(said: Statement, read: Reader) -> list[Approved] | None:
    """The reviewers' notes that the checkpoint names; None where others lie there."""
    path = read(f"{FOLDER}/{APPROVALS}")
    if path is None or sha256_file(path) != said.files.get(APPROVALS):
        return None
    return release_attestations.approvals_of(_bytes(read, APPROVALS))


def _bytes(read: Reader, name: str) -> bytes | None:
    path = read(f"{FOLDER}/{name}")
    if path is None or path.stat().st_size > release_attestations.LARGEST:
        return None
    return path.read_bytes()
