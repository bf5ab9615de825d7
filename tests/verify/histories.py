"""Histories of an archive for the auditor: real ledger, log, keys and attestations around releases without pixels."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from curate import contract
from curate.archive.config import ApprovalPolicy
from curate.archive.repository import Archive, opened
from curate.core import versions
from curate.core.digests import canonical_json, sha256_file
from curate.keys import secret_file
from curate.releases.attest import attest, attest_again
from curate.transparency import signing_keys
from tests.steps.archives import make_archive

_EMPTY: dict[str, Any] = {"string": "", "bool": False, "binary(32)": bytes(32)}
LICENSES = ("CC-BY-4.0", "CC0-1.0")
TABLES = ("studies", "instances", "revocations")


def write_table(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    """A manifest table whose other columns say nothing."""
    empty = {c.name: None if c.nullable else _EMPTY.get(c.type, 0) for c in contract.table(name).columns}
    empty |= {c.name: [] for c in contract.table(name).columns if c.type.startswith("list") and not c.nullable}
    path = folder / "manifest" / f"{name}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    contract.write_table(name, path, [contract.to_arrow(name, [{**empty, **row} for row in rows])])


def seal(folder: Path, version: str, previous: dict[str, str] | None, **more: Any) -> str:
    """A `release.json` over the three tables; gives its digest."""
    paths = [folder / "manifest" / f"{name}.parquet" for name in TABLES]
    files = {
        path.relative_to(folder).as_posix(): {"sha256": sha256_file(path), "size_bytes": path.stat().st_size}
        for path in paths
    }
    names = ("date", "contract", "title", "publisher", "population", "tool")
    content = {**dict.fromkeys(names, "test"), "version": version, "counts": {}, "statements": [], **more}
    text = canonical_json({**content, "previous": previous, "files": files}) + "\n"
    (folder / "release.json").write_text(text)
    return sha256_file(folder / "release.json")


def instances_of(study: str, count: int = 2) -> list[bytes]:
    """The digests of a study's instances."""
    return [hashlib.sha256(f"{study} {number}".encode()).digest() for number in range(count)]


class History:
    """An archive whose studies are names; each version that it cuts counts as published."""

    def __init__(self, root: Path) -> None:
        self.root = make_archive(root)
        self.studies: dict[str, str] = {}
        self.versions: list[str] = []
        self.revoked: dict[bytes, str | None] = {}
        self.added = 0

    @contextmanager
    def _archive(self) -> Iterator[Archive]:
        with opened(self.root, write=True) as archive:
            yield archive

    def folder(self, version: str) -> Path:
        """Where a version lies."""
        return self.root / "releases" / version

    @property
    def folders(self) -> list[Path]:
        """All versions, oldest first."""
        return [self.folder(version) for version in self.versions]

    @property
    def key(self) -> str:
        """The archive's present public key."""
        return str(signing_keys.read(self.root / signing_keys.LOG_KEY).public)

    def add(self, count: int) -> None:
        """Admit studies."""
        for _ in range(count):
            self.added += 1
            self.studies[f"2.25.{self.added}"] = LICENSES[self.added % 2]

    def relicense(self, study: str) -> None:
        """Give a study another licence."""
        self.studies[study] = LICENSES[LICENSES.index(self.studies[study]) - 1]

    def rotate(self) -> None:
        """Put a new key in the place of the archive's."""
        with self._archive() as archive:
            signing_keys.rotate(archive.log_key, secret_file.VARIABLE)

    def release(self) -> None:
        """Cut the next version."""
        last = self.versions[-1] if self.versions else None
        version = versions.following(last, contract_changed=False, added=True)
        previous = {"version": last, "sha256": sha256_file(self.folder(last) / "release.json")} if last else None
        with self._archive() as archive:
            out = archive.temporary / "release"
            self.revoked = {digest: since or version for digest, since in self.revoked.items()}
            self._tables(out, self.studies, version)
            digest = seal(out, version, previous)
            attest(archive, out, version, digest, ApprovalPolicy(required=0))
            out.rename(self.folder(version))
        self.versions.append(version)

    def _tables(self, out: Path, studies: dict[str, str], version: str) -> None:
        rows = [{"study_id": s, "license": spdx, "release_version": version} for s, spdx in sorted(studies.items())]
        write_table(out, "studies", rows)
        held = [{"study_id": s, "sha256": digest} for s in sorted(studies) for digest in instances_of(s)]
        write_table(out, "instances", held)
        stated = [(digest, since) for digest, since in sorted(self.revoked.items()) if since]
        write_table(out, "revocations", [{"sha256_of_sha256": d, "version": since} for d, since in stated])

    def withdraw(self, study: str) -> None:
        """Take a study out: every version that holds it is cut again without it."""
        held = [version for version in self.versions if study in self.rows(version)]
        revoked = [hashlib.sha256(digest).digest() for digest in instances_of(study)] if held else []
        with self._archive() as archive:
            with archive.ledger.transaction():
                archive.ledger.log.withdraw(study, revoked)
            for version in held:
                self._recut(archive, version, study)
        self.revoked |= dict.fromkeys(revoked)
        del self.studies[study]

    def _recut(self, archive: Archive, version: str, study: str) -> None:
        folder, out = self.folder(version), archive.temporary / "recut"
        sealed = json.loads((folder / "release.json").read_text())
        stay = {name: spdx for name, spdx in self.rows(version).items() if name != study}
        self._tables(out, stay, version)
        replaces = [*sealed.get("recut", {}).get("replaces", []), sha256_file(folder / "release.json")]
        digest = seal(out, version, sealed["previous"], recut={"replaces": replaces})
        attest_again(archive, folder, out, version, digest, {study})
        shutil.rmtree(folder)
        out.rename(folder)

    def rows(self, version: str) -> dict[str, str]:
        """Study -> licence in a version."""
        path = self.folder(version) / "manifest" / "studies.parquet"
        return {r["study_id"]: r["license"] for b in contract.read_batches(path) for r in b.to_pylist()}
