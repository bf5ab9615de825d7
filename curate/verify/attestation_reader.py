"""What a release attests, read with distrust: nothing is believed but what its checkpoint's signature covers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate import contract
from curate.attestation import release_attestations
from curate.attestation.release_attestations import APPROVALS, CHECKPOINT, FOLDER, KEYS, LEAVES, OPENINGS, Statement
from curate.core import versions
from curate.core.digests import sha256_stream
from curate.core.errors import InputError
from curate.core.findings import Finding
from curate.transparency import commitments, merkle, signed_note, signing_keys
from curate.transparency.signed_note import Checkpoint, PublicKey
from curate.untrusted import foreign_files
from curate.untrusted.foreign_files import UnsafeFileError
from curate.verify import limits
from curate.verify.checks import seal as sealing
from curate.verify.checks.seal import Seal

TABLES = ("manifest/studies.parquet", "manifest/instances.parquet", "manifest/revocations.parquet")
_ALWAYS = {LEAVES, OPENINGS, KEYS, APPROVALS}


@dataclass(frozen=True, slots=True)
class Attested:
    """One release with its signed checkpoint.

    `tree` holds the hashes of its log, `kinds` and `commitments` its leaves; `digest` is its seal's.
    """

    name: str
    seal: Seal
    digest: str
    point: Checkpoint
    said: Statement
    key: PublicKey
    rotations: tuple[str, ...]
    kinds: Sequence[str]
    commitments: Sequence[bytes]
    tree: merkle.Levels

    @property
    def replaces(self) -> list[str]:
        """Digests of this version before withdrawals changed it."""
        found = self.seal.content.get("recut")
        listed = found.get("replaces") if isinstance(found, dict) else None
        return [str(digest) for digest in listed] if isinstance(listed, list) else []


@dataclass(slots=True)
class Found:
    """Findings by check, and how many items each looked at."""

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    looked_at: dict[str, int] = field(default_factory=dict)

    def tell(self, check: str, rule: str, place: str, tag: str = "", count: int = 1) -> None:
        """Note a finding."""
        self.findings.setdefault(check, []).append(Finding(rule, place, tag, count))

    def count(self, check: str, items: int = 1) -> None:
        """Note that a check looked at items."""
        self.looked_at[check] = self.looked_at.get(check, 0) + items


def read(folder: Path, found: Found) -> Attested | None:
    """A release whose checkpoint, files and tree hold together; None where nothing more can be said of it.

    Raises:
        InputError: the folder is no release at all.
    """
    seal, bad = sealing.read(folder)
    name = seal.version if seal else folder.name
    for finding in bad:
        found.tell("signature", finding.rule, name, finding.tag)
    signed = _signed(folder, name, found) if seal else None
    if seal is None or signed is None:
        return None
    point, said, key, rotations = signed
    digest = seal.digest
    found.count("files")
    if (said.release, said.version) != (digest, seal.version) or not _is_version(seal.version):
        found.tell("files", "ATTESTATION_OTHER_RELEASE", name)
        return None
    if not _files(seal, said, name, found):
        return None
    rows = _leaves(folder, name, found)
    if rows is None:
        return None
    kinds, committed = rows
    tree = merkle.levels(map(commitments.leaf_hash, kinds, committed))
    found.count("tree", len(kinds))
    if (len(kinds), merkle.root(tree)) != (point.size, point.root):
        found.tell("tree", "LOG_ROOT", name)
        return None
    return Attested(name, seal, digest, point, said, key, rotations, kinds, committed, tree)


def _is_version(text: str) -> bool:
    try:
        return versions.normal(text) == text
    except InputError:  # the answer asked for
        return False


def _signed(folder: Path, name: str, found: Found) -> tuple[Checkpoint, Statement, PublicKey, tuple[str, ...]] | None:
    """The checkpoint, if the key that lies beside it has signed it."""
    found.count("signature")
    held = release_attestations.read_keys(folder)
    try:
        note = foreign_files.read(folder, f"{FOLDER}/{CHECKPOINT}", release_attestations.LARGEST).decode()
    except (UnsafeFileError, OSError, UnicodeDecodeError):
        found.tell("signature", "ATTESTATION_FILE_MISSING", name, CHECKPOINT)
        return None
    if held is None:
        found.tell("signature", "ATTESTATION_FILE_INVALID", name, KEYS)
        return None
    key, rotations = held
    text = signed_note.verified(note, [key])
    point = signed_note.checkpoint(text) if text else None
    said = release_attestations.statement(point) if point else None
    if point is None or said is None or point.origin != key.name:
        found.tell("signature", "ATTESTATION_SIGNATURE", name, CHECKPOINT)
        return None
    if len(signing_keys.related([key], rotations)) != len(rotations) + 1:
        found.tell("signature", "ATTESTATION_KEY_SUCCESSION", name, KEYS)
    return point, said, key, rotations


def _files(seal: Seal, said: Statement, name: str, found: Found) -> bool:
    """Every file that is read has the digest that was signed for; none is missing or extra."""
    inside = seal.folder / FOLDER
    wanted = {f"{FOLDER}/{path}": digest for path, digest in said.files.items()}
    wanted |= {path: str(seal.files.get(path, {}).get("sha256", "")) for path in TABLES}
    bad = [("ATTESTATION_FILE_MISSING", f"{FOLDER}/{path}") for path in sorted(_ALWAYS - said.files.keys())]
    for path, digest in wanted.items():
        found.count("files")
        if rule := _fault(seal.folder, path, digest):
            bad.append((rule, path))
    here = (path for path in inside.rglob("*") if path.is_symlink() or not path.is_dir())
    listed = {*said.files, CHECKPOINT}
    extra = [p for p in (path.relative_to(inside).as_posix() for path in here) if p not in listed]
    bad += [("ATTESTATION_FILE_EXTRA", f"{FOLDER}/{path}") for path in sorted(extra)]
    for rule, path in bad:
        found.tell("files", rule, name, path)
    return not any(path.endswith(".parquet") for _, path in bad)


def _fault(folder: Path, path: str, digest: str) -> str:
    """The rule that a file breaks: it is not there, is another, or is a table that must not be read."""
    try:
        with foreign_files.opened(folder, path) as file:
            if sha256_stream(file) != digest:
                return "ATTESTATION_FILE_CHANGED"
    except (UnsafeFileError, OSError):
        return "ATTESTATION_FILE_MISSING"
    found = limits.of_table(folder, path) if path.endswith(".parquet") else []
    return found[0].rule if found else ""


def _leaves(folder: Path, name: str, found: Found) -> tuple[list[str], list[bytes]] | None:
    kinds: list[str] = []
    committed: list[bytes] = []
    try:
        for batch in batches(folder / FOLDER / LEAVES, "leaves"):
            expected = range(len(kinds), len(kinds) + batch.num_rows)
            if batch.column("index").to_pylist() != list(expected) or contract.check_batch("leaves", batch):
                raise ValueError
            kinds += batch.column("kind").to_pylist()
            committed += batch.column("commitment").to_pylist()
    except (ValueError, OSError, pa.ArrowException):
        found.tell("tree", "ATTESTATION_FILE_INVALID", name, LEAVES)
        return None
    return kinds, committed


def batches(path: Path, table: str, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a table of the contract, as a stream.

    Raises:
        ValueError: it is another table.
        OSError, pa.ArrowException: it cannot be read.
    """
    with pq.ParquetFile(path) as file:
        if contract.check_schema(table, file.schema_arrow):
            raise ValueError
        yield from file.iter_batches(batch_size=8_192, columns=list(columns) if columns else None)


def rows(path: Path, table: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """The same, row by row, of some columns."""
    for batch in batches(path, table, columns):
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def trusted(releases: Iterable[Attested], given: PublicKey | None, found: Found) -> None:
    """Every checkpoint's key is the given one, or is tied to it by rotations that both keys signed."""
    listed = list(releases)
    if not listed:
        return
    pairs = {pair for r in listed for note in r.rotations if (pair := signing_keys.succession(note))}
    if len({old for old, _ in pairs}) != len(pairs):
        found.tell("signature", "ATTESTATION_KEY_FORK", listed[-1].name, KEYS)
    notes_held = [note for release in listed for note in release.rotations]
    believed = signing_keys.related([given or listed[-1].key], notes_held)
    if given is None:
        found.tell("signature", "ATTESTATION_KEY_NOT_GIVEN", listed[-1].name, str(listed[-1].key))
    for release in listed:
        if release.key not in believed:
            found.tell("signature", "ATTESTATION_KEY_UNKNOWN", release.name, str(release.key))


def hashed(digest: bytes) -> bytes:
    """What a withdrawal says of an instance's digest."""
    return hashlib.sha256(digest).digest()
