"""`attestations/` of a release: the log's checkpoint, leaves and openings, the keys, and what reviewers signed.

It lies outside `release.json`, whose digest it signs. The checkpoint names every other file of it with its digest,
and is written last: so each of them is what the archive's key signed for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curate import contract
from curate.archive.config import ApprovalPolicy
from curate.core import durable
from curate.core.digests import canonical_json, sha256_file
from curate.core.errors import DamagedError, InputError
from curate.transparency import signed_note
from curate.transparency.log import Opening
from curate.transparency.signed_note import Checkpoint, PublicKey, Signer
from curate.transparency.signing_keys import KeyFile
from curate.untrusted import foreign_files
from curate.untrusted.foreign_files import UnsafeFileError

FOLDER = "attestations"
CHECKPOINT, LEAVES, OPENINGS = "checkpoint.txt", "leaves.parquet", "openings.parquet"
KEYS, APPROVALS = "keys.json", "approvals.json"
_KEYS_FORMAT, _APPROVALS_FORMAT = "curate/keys/v1", "curate/approvals/v1"
_NAME = re.compile(r"[a-z]+\.(json|parquet)|(sheets|decisions)/[0-9a-f]{64}\.json")
_BATCH = 50_000
LARGEST = 64 << 20  # bytes of a file that is no table


@dataclass(frozen=True, slots=True)
class Statement:
    """What a checkpoint says beside the tree's head.

    `release` is the SHA-256 of `release.json`, in hex; `ledger` that of the archive's private events up to then;
    `approval` what the archive's policy asked for when it cut the release; `files` the digest of each other file
    in `attestations/`.
    """

    version: str
    release: str
    ledger: str
    approval: ApprovalPolicy
    files: Mapping[str, str]

    def lines(self) -> tuple[str, ...]:
        """As lines of the checkpoint."""
        return (
            f"release {self.version} {self.release}",
            f"ledger {self.ledger}",
            f"approvals {self.approval.required}",
            *(["four-eyes"] if self.approval.four_eyes else []),
            *(["sheet"] if self.approval.sheet else []),
            *(f"reviewer {key}" for key in self.approval.reviewers),
            *(f"file {name} {digest}" for name, digest in sorted(self.files.items())),
        )


@dataclass(frozen=True, slots=True)
class Approved:
    """A reviewer's signed note, and by which key."""

    note: str
    public: PublicKey
    rotations: tuple[str, ...] = ()


def statement(point: Checkpoint) -> Statement | None:
    """What a checkpoint says; None where it is not exactly that."""
    words = [line.split(" ") for line in point.lines]
    try:
        (_, version, release), (_, ledger), (_, required) = words[:3]
        flags = {word[0] for word in words if len(word) == 1}
        reviewers = tuple(word[1] for word in words if word[0] == "reviewer")
        files = {word[1]: word[2] for word in words if word[0] == "file"}
        asked = ApprovalPolicy(int(required), "four-eyes" in flags, reviewers, "sheet" in flags)
    except (ValueError, IndexError):
        return None
    said = Statement(version, release, ledger, asked, files)
    return said if said.lines() == point.lines and all(map(_NAME.fullmatch, files)) else None


def read_checkpoint(folder: Path) -> tuple[Checkpoint, Statement]:
    """The checkpoint of a release of the archive's own, whose signature is not looked at.

    Raises:
        DamagedError: there is none, or it is not what `curate release` wrote.
    """
    path = folder / FOLDER / CHECKPOINT
    try:
        text = foreign_files.read(folder, f"{FOLDER}/{CHECKPOINT}", LARGEST).decode()
        point = signed_note.checkpoint(text.partition("\n\n")[0] + "\n")
    except (UnsafeFileError, OSError, UnicodeDecodeError):
        point = None
    said = statement(point) if point else None
    if point is None or said is None:
        raise DamagedError(f"{path} is not a checkpoint.", hint="Restore it from your backup or the hub.")
    return point, said


def write_checkpoint(folder: Path, point: Checkpoint, said: Statement, signer: Signer) -> None:
    """Sign for the release, and for every other file that `attestations/` holds now; this file comes last."""
    text = replace(point, lines=replace(said, files=beside(folder)).lines()).text()
    durable.write_bytes(folder / FOLDER / CHECKPOINT, signed_note.sign(text, [signer]).encode())


def beside(folder: Path) -> dict[str, str]:
    """The digest of each file of `attestations/` that a checkpoint names."""
    inside = folder / FOLDER
    names = {path.relative_to(inside).as_posix(): path for path in inside.rglob("*") if path.is_file()}
    return {name: sha256_file(path) for name, path in sorted(names.items()) if _NAME.fullmatch(name)}


def write_leaves(folder: Path, leaves: Iterable[tuple[str, bytes]]) -> None:
    """Write the leaves of the log."""
    rows = ({"index": at, "kind": kind, "commitment": c} for at, (kind, c) in enumerate(leaves))
    _write_table(folder, LEAVES, rows)


def write_openings(folder: Path, openings: Iterable[Opening]) -> None:
    """Write what opens leaves, in their order."""
    rows = ({"index": o.index, "salt": o.salt, "opening": o.text} for o in openings)
    _write_table(folder, OPENINGS, rows)


def _write_table(folder: Path, name: str, rows: Iterable[dict[str, Any]]) -> None:
    table, path = name.removesuffix(".parquet"), folder / FOLDER / name
    path.parent.mkdir(exist_ok=True)
    durable.step("write", path)
    contract.write_table(table, path, (contract.to_arrow(table, part) for part in _parts(rows)))
    durable.fsync_file(path)


def _parts(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    held: list[dict[str, Any]] = []
    for row in rows:
        held.append(row)
        if len(held) == _BATCH:
            yield held
            held = []
    yield held


def read_openings(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of `openings.parquet`, as a stream."""
    with pq.ParquetFile(folder / FOLDER / OPENINGS) as file:
        for batch in file.iter_batches(batch_size=_BATCH):
            yield from batch.to_pylist()


def write_keys(folder: Path, held: KeyFile) -> None:
    """Write the archive's public key, and how it took over from those before."""
    _write_json(folder, KEYS, _key_json(held.public, held.rotations) | {"format": _KEYS_FORMAT})


def write_approvals(folder: Path, approvals: Iterable[Approved]) -> None:
    """Write what reviewers signed, sorted."""
    entries = [_key_json(a.public, a.rotations) | {"note": a.note} for a in approvals]
    entries.sort(key=lambda entry: str(entry["note"]))
    _write_json(folder, APPROVALS, {"format": _APPROVALS_FORMAT, "approvals": entries})


def write_record(folder: Path, kind: str, data: bytes, digest: str) -> None:
    """Write a sheet or decisions under their digest."""
    path = folder / FOLDER / kind / f"{digest}.json"
    path.parent.mkdir(exist_ok=True)
    durable.write_bytes(path, data)


def _key_json(public: PublicKey, rotations: Iterable[str]) -> dict[str, Any]:
    return {"public": str(public), "rotations": list(rotations)}


def _write_json(folder: Path, name: str, content: dict[str, Any]) -> None:
    (folder / FOLDER).mkdir(exist_ok=True)
    durable.write_bytes(folder / FOLDER / name, (canonical_json(content) + "\n").encode())


def read_keys(folder: Path) -> tuple[PublicKey, tuple[str, ...]] | None:
    """The archive's public key and its rotations; None where the file is not exactly one."""
    return keys_of(_small(folder, KEYS))


def keys_of(data: bytes | None) -> tuple[PublicKey, tuple[str, ...]] | None:
    """The same of the file's bytes."""
    found = _parsed(data, _KEYS_FORMAT)
    return _key_of(found) if found is not None and found.keys() == {"format", "public", "rotations"} else None


def read_approvals(folder: Path) -> list[Approved] | None:
    """What reviewers signed, unverified; None where the file is not exactly one."""
    return approvals_of(_small(folder, APPROVALS))


def approvals_of(data: bytes | None) -> list[Approved] | None:
    """The same of the file's bytes."""
    found = _parsed(data, _APPROVALS_FORMAT)
    if found is None or not isinstance(found.get("approvals"), list):
        return None
    made = []
    for entry in found["approvals"]:
        key = _key_of(entry) if isinstance(entry, dict) else None
        if key is None or not isinstance(entry.get("note"), str):
            return None
        made.append(Approved(entry["note"], *key))
    return made


def _key_of(found: Mapping[str, Any]) -> tuple[PublicKey, tuple[str, ...]] | None:
    rotations = found.get("rotations")
    if not isinstance(rotations, list) or not all(isinstance(note, str) for note in rotations):
        return None
    try:
        return signed_note.public_key(str(found.get("public"))), tuple(rotations)
    except InputError:  # no key at all: the caller tells it as a finding
        return None


def _small(folder: Path, name: str) -> bytes | None:
    try:
        return foreign_files.read(folder, f"{FOLDER}/{name}", LARGEST)
    except (UnsafeFileError, OSError):  # None: the caller tells it as a finding
        return None


def _parsed(data: bytes | None, wanted: str) -> dict[str, Any] | None:
    try:
        text = (data or b"").decode()
        found = json.loads(text)
        same = isinstance(found, dict) and canonical_json(found) + "\n" == text
    except (ValueError, RecursionError):  # no file of ours: the caller tells it as a finding
        return None
    return found if same and found.get("format") == wanted else None
