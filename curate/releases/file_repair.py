"""Mend the files of a release from where another copy may lie: the archive's other releases, and its hubs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from curate import hub
from curate.archive.repository import Archive
from curate.archive.stores import Store
from curate.core import durable
from curate.core.digests import sha256_file
from curate.core.errors import CurateError

SEAL = "release.json"


class Spare:
    """Where another copy of a file may lie: the archive's releases, and the versions on its hubs."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        events = reversed(list(archive.ledger.events("published")))
        self._published = dict.fromkeys((event.subject, event.payload["target"]) for event in events)

    def find(self, path: str, sha256: str, version: str = "") -> bytes | None:
        """The bytes of a file that has this digest, from wherever they remain."""
        for candidate in self._candidates(path, version):
            try:
                data = candidate()
            except (OSError, CurateError):  # damaged there too: the next place may have it
                continue
            if hashlib.sha256(data).hexdigest() == sha256:
                return data
        return None

    def _candidates(self, path: str, version: str) -> Iterator[Callable[[], bytes]]:
        if path.startswith(("packs/", "previews/")):
            yield partial(_whole, self._archive.store_of(path), path)
            for folder in sorted(self._archive.releases.glob("[0-9]*")):
                yield (folder / path).read_bytes
        for named, target in self._published:
            if version in ("", named):
                yield partial(_remote, target, named, path)


def _whole(store: Store, name: str) -> bytes:
    with store.open(name) as file:
        return file.read()


def _remote(target: str, version: str, path: str) -> bytes:
    return hub.open_target(target).read(version, path)


def repair_files(target: Path, data: bytes | None, dry_run: bool) -> bool:
    """Put a found copy in place; says whether there was one."""
    if data is not None and not dry_run:
        target.parent.mkdir(parents=True, exist_ok=True)
        durable.remove(target)  # a pack is read-only, and may share its bytes with a release
        durable.write_bytes(target, data, 0o400 if target.suffix == ".parquet" else 0o644)
    return data is not None


def bad_files(
    folder: Path, sealed: str, spare: Spare, version: str, dry_run: bool = False
) -> Iterator[tuple[str, bool]]:
    """Files of a release that are missing, altered or too many, and whether a good copy was found and put there."""
    seal = folder / SEAL
    data: bytes | None = seal.read_bytes() if seal.is_file() else b""
    if hashlib.sha256(data or b"").hexdigest() != sealed:
        data = spare.find(SEAL, sealed, version)
        yield SEAL, repair_files(seal, data, dry_run)
    if data is None:
        return
    files = json.loads(data)["files"]
    for path, entry in files.items():
        target = folder / path
        if not target.is_file() or sha256_file(target) != entry["sha256"]:
            yield path, repair_files(target, spare.find(path, entry["sha256"], version), dry_run)
    for extra in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = extra.relative_to(folder).as_posix()
        if name not in files and name != SEAL and not name.startswith("attestations/"):
            if not dry_run:
                durable.remove(extra)
            yield name, True
