"""`curate verify-copy`: which of a researcher's files a release holds, and which are revoked, altered, unknown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pydicom

from curate import contract, durable
from curate.errors import InputError
from curate.loading import tables, trusted
from curate.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a folder holds, by paths from it.

    `current` counts files that hold instances of the release alone, byte for byte; `other` files that are no DICOM.
    `revoked` must be deleted; `altered` bear an instance's id and other bytes; `unknown` are in no row. `instances`
    counts instances, not files, of each of these four: a pack is one file of many.
    """

    version: str
    newest: str
    current: int
    other: int
    revoked: tuple[str, ...]
    altered: tuple[str, ...]
    unknown: tuple[str, ...]
    instances: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Held:
    path: str
    digest: bytes
    instance: str | None


def verify_copy(
    folder: Path, release: str, version: str | None = None, progress: Progress = silent, key: str = ""
) -> CopyReport:
    """Compare every file below a folder with a release; revocations are those of the newest version too.

    A pack counts as its instances: one revoked instance makes the file revoked.

    Raises:
        InputError: no such folder or release.
        HubError: the hub cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder.", hint="Name the folder that holds your files.")
    found = trusted.find(release, version, key)
    newest = found if found.newest == found.version else trusted.find(release, found.newest, key)
    held: list[_Held] = []
    other = 0
    for path in progress.over(sorted(p for p in folder.rglob("*") if p.is_file()), "files", None):
        inside = list(_instances(folder, path))
        held += inside
        other += not inside
    known, uids = _known(tables.local(found, "instances")["instances"], held)
    revoked = _revoked([tables.local(one, "revocations")["revocations"] for one in (found, newest)], held)
    by_state: dict[str, set[str]] = {"current": set(), "revoked": set(), "altered": set(), "unknown": set()}
    instances = dict.fromkeys(by_state, 0)
    for one in held:
        state = _state(one, known, uids, revoked)
        by_state[state].add(one.path)
        instances[state] += 1
    altered = by_state["altered"] - by_state["revoked"]
    unknown = by_state["unknown"] - by_state["revoked"] - altered
    current = by_state["current"] - by_state["revoked"] - altered - unknown
    listed = [tuple(sorted(paths)) for paths in (by_state["revoked"], altered, unknown)]
    versions = (found.version, newest.version)
    return CopyReport(*versions, len(current), other, listed[0], listed[1], listed[2], instances)


def delete_revoked(folder: Path, report: CopyReport) -> int:
    """Delete the revoked files of a report; gives how many.

    Raises:
        StorageError: one cannot be deleted.
    """
    with durable.storage_errors("delete a revoked file"):
        for path in report.revoked:
            durable.remove(folder / path)
    return len(report.revoked)


def _state(one: _Held, known: set[bytes], uids: set[str], revoked: set[bytes]) -> str:
    if hashlib.sha256(one.digest).digest() in revoked:
        return "revoked"
    if one.digest in known:
        return "current"
    return "altered" if one.instance in uids else "unknown"


def _instances(folder: Path, path: Path) -> Iterator[_Held]:
    """The instances that a file holds: one of a DICOM file, all of a pack, none of anything else."""
    name = path.relative_to(folder).as_posix()
    try:
        with path.open("rb") as file:
            head = file.read(132)
            if head[128:] == b"DICM":
                file.seek(0)
                digest = hashlib.file_digest(file, "sha256").digest()
                yield _Held(name, digest, _uid(path))
    except OSError:
        raise InputError(f"{name} cannot be read.", hint="Check its permissions.") from None
    if head.startswith(b"PAR1"):
        yield from _rows(name, path)


def _uid(path: Path) -> str | None:
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        return str(dataset.get("SOPInstanceUID"))
    except Exception:  # damaged in whatever way: its bytes are not the release's
        return None


def _rows(name: str, path: Path) -> Iterator[_Held]:
    try:
        with pq.ParquetFile(path) as file:
            if file.schema_arrow.names != contract.table("images").schema.names:
                return
            for batch in file.iter_batches(batch_size=16, columns=["SOPInstanceUID", "dicom"]):
                for row in batch.to_pylist():
                    yield _Held(name, hashlib.sha256(row["dicom"]["bytes"]).digest(), row["SOPInstanceUID"])
    except (pa.ArrowException, OSError):
        yield _Held(name, bytes(32), None)


def _known(path: Path, held: Iterable[_Held]) -> tuple[set[bytes], set[str]]:
    """Those digests and ids of the files that the release has too; memory grows with the files only."""
    held = list(held)
    digests = pa.array(sorted({one.digest for one in held}), pa.binary(32))
    uids = pa.array(sorted({one.instance for one in held if one.instance}), pa.string())
    known: set[bytes] = set()
    named: set[str] = set()
    for batch in contract.read_batches(path, ["SOPInstanceUID", "sha256"]):
        known.update(_among(batch["sha256"].cast(pa.binary(32)), digests))
        named.update(_among(batch["SOPInstanceUID"], uids))
    return known, named


def _revoked(paths: Iterable[Path], held: Iterable[_Held]) -> set[bytes]:
    hashed = pa.array(sorted({hashlib.sha256(one.digest).digest() for one in held}), pa.binary(32))
    found: set[bytes] = set()
    for path in paths:
        for batch in contract.read_batches(path, ["sha256_of_sha256"]):
            found.update(_among(batch["sha256_of_sha256"].cast(pa.binary(32)), hashed))
    return found


def _among(column: pa.Array, values: pa.Array) -> list[Any]:
    kept: list[Any] = column.filter(pc.is_in(column, value_set=values)).to_pylist()
    return kept
