"""`curate verify-copy`: which of a researcher's files a release holds, and which are revoked, altered, unknown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import contract
from curate.core import durable
from curate.core.errors import InputError
from curate.core.progress import Progress, silent
from curate.hub.protocol import RELEASE_FILE, parse_release
from curate.loading import copies, manifest_tables, trusted
from curate.loading.copies import CopyRecord


@dataclass(frozen=True, slots=True)
class CopyReport:
    """What a folder holds, by paths from it.

    `current` counts files that hold instances of the release alone, byte for byte; `other` files without images.
    `revoked` must be deleted; `altered` bear an instance's id and other bytes; `unknown` hold instances, or rows of
    studies, that are in no row; `unread` may hold images and cannot be looked into. `instances` counts instances, not
    files, of the first four: a pack is one file of many.
    """

    version: str
    newest: str
    current: int
    other: int
    revoked: tuple[str, ...]
    altered: tuple[str, ...]
    unknown: tuple[str, ...]
    instances: dict[str, int]
    unread: tuple[str, ...] = ()


def verify_copy(
    folder: Path, release: str, version: str | None = None, progress: Progress = silent, key: str = ""
) -> CopyReport:
    """Compare every file below a folder with a release; revocations are those of the newest version too.

    Looked into are DICOM files, packs, what `datasets` writes (its caches, `save_to_disk`, `to_parquet`), the hub
    client's cache, tar and zip files. One revoked instance makes a file of many revoked.

    Raises:
        InputError: no such folder or release.
        HubError: the hub cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder.", hint="Name the folder that holds your files.")
    found = trusted.find(release, version, key)
    newest = found if found.newest == found.version else trusted.find(release, found.newest, key)
    listed = {entry.sha256 for one in (found, newest) for entry in parse_release(one.read(RELEASE_FILE))[1]}
    held: list[CopyRecord] = []
    unread: set[str] = set()
    other = 0
    for path in progress.over(sorted(p for p in folder.rglob("*") if p.is_file()), "files", None):
        inside = copies.look(folder, path)
        held += inside.held
        if inside.unread and copies.digest(path) not in listed:
            unread.add(path.relative_to(folder).as_posix())
        other += not inside.held and not inside.unread
    known, uids = _known(manifest_tables.local(found, "instances")["instances"], held)
    studies = _studies([manifest_tables.local(one, "studies")["studies"] for one in (found, newest)], held)
    revoked = _revoked([manifest_tables.local(one, "revocations")["revocations"] for one in (found, newest)], held)
    gone = {one.study for one in held if one.study and _is_revoked(one, revoked)}
    by_state: dict[str, set[str]] = {"current": set(), "revoked": set(), "altered": set(), "unknown": set()}
    instances = dict.fromkeys(by_state, 0)
    for one in held:
        state = _state(one, known, uids, studies, revoked, gone)
        by_state[state].add(one.path)
        instances[state] += not one.row
    altered = by_state["altered"] - by_state["revoked"]
    unknown = by_state["unknown"] - by_state["revoked"] - altered
    whole = {one.path for one in held if not one.row}
    current = by_state["current"] - by_state["revoked"] - altered - unknown
    other += len(current - whole)
    paths = [tuple(sorted(found)) for found in (by_state["revoked"], altered, unknown)]
    versions = (found.version, newest.version)
    unseen = tuple(sorted(unread - by_state["revoked"]))
    return CopyReport(*versions, len(current & whole), other, paths[0], paths[1], paths[2], instances, unseen)


def delete_revoked(folder: Path, report: CopyReport) -> int:
    """Delete the revoked files of a report, and what links lead to; gives how many.

    Raises:
        StorageError: one cannot be deleted.
    """
    with durable.storage_errors("delete a revoked file"):
        for path in report.revoked:
            file = folder / path
            if file.is_symlink():  # the hub client's cache: the bytes lie under another name
                durable.remove(file.resolve())
            durable.remove(file)
    return len(report.revoked)


def _is_revoked(one: CopyRecord, revoked: set[bytes]) -> bool:
    return one.digest is not None and hashlib.sha256(one.digest).digest() in revoked


def _state(
    one: CopyRecord, known: set[bytes], uids: set[str], studies: set[str], revoked: set[bytes], gone: set[str]
) -> str:
    """What a file holds by one instance, or by a row: of a study that is gone, of one of the release, of none."""
    if _is_revoked(one, revoked) or one.study in gone:
        return "revoked"
    if one.row:
        return "current" if one.study in studies else "unknown"
    if one.digest in known:
        return "current"
    return "altered" if one.instance in uids else "unknown"


def _known(path: Path, held: Iterable[CopyRecord]) -> tuple[set[bytes], set[str]]:
    """Those digests and ids of the files that the release has too; memory grows with the files only."""
    held = list(held)
    digests = pa.array(sorted({one.digest for one in held if one.digest}), pa.binary(32))
    uids = pa.array(sorted({one.instance for one in held if one.instance}), pa.string())
    known: set[bytes] = set()
    named: set[str] = set()
    for batch in contract.read_batches(path, ["SOPInstanceUID", "sha256"]):
        known.update(_among(batch["sha256"].cast(pa.binary(32)), digests))
        named.update(_among(batch["SOPInstanceUID"], uids))
    return known, named


def _studies(paths: Iterable[Path], held: Iterable[CopyRecord]) -> set[str]:
    """Those studies of which files hold rows that a release has too."""
    wanted = pa.array(sorted({one.study for one in held if one.study}), pa.string())
    found: set[str] = set()
    for path in paths:
        for batch in contract.read_batches(path, ["study_id"]):
            found.update(_among(batch["study_id"], wanted))
    return found


def _revoked(paths: Iterable[Path], held: Iterable[CopyRecord]) -> set[bytes]:
    hashed = pa.array(sorted({hashlib.sha256(one.digest).digest() for one in held if one.digest}), pa.binary(32))
    found: set[bytes] = set()
    for path in paths:
        for batch in contract.read_batches(path, ["sha256_of_sha256"]):
            found.update(_among(batch["sha256_of_sha256"].cast(pa.binary(32)), hashed))
    return found


def _among(column: pa.Array, values: pa.Array) -> list[Any]:
    kept: list[Any] = column.filter(pc.is_in(column, value_set=values)).to_pylist()
    return kept
