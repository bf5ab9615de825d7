"""A release cut again as after a withdrawal, made by hand: the manifest without a study, and its revocations."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curate import contract
from tests.hub.small_release import seal


def writable(release: Path, target: Path) -> Path:
    """A copy of a release that may be changed, so nothing signs for it."""
    shutil.copytree(release, target, ignore=shutil.ignore_patterns("attestations"))
    for path in target.rglob("*"):
        path.chmod(0o755)
    return target


def withdrawn(release: Path) -> tuple[str, list[bytes]]:
    """The last study, and the digests of its instances: what `recut` takes out."""
    gone = pq.read_table(release / "manifest" / "studies.parquet")["study_id"].to_pylist()[-1]
    rows = pq.read_table(release / "manifest" / "instances.parquet").to_pylist()
    return gone, [row["sha256"] for row in rows if row["study_id"] == gone]


def recut(release: Path, target: Path, later: str = "1.2.0") -> Path:
    """The release without its last study, which `later` is the first version without."""
    writable(release, target)
    gone, digests = withdrawn(target)
    for name in contract.MANIFEST_TABLES:
        path = target / "manifest" / f"{name}.parquet"
        rows: list[dict[str, Any]] = [r for r in pq.read_table(path).to_pylist() if r.get("study_id") != gone]
        if name == "revocations":
            hashed = sorted(hashlib.sha256(digest).digest() for digest in digests)
            rows = [{"sha256_of_sha256": digest, "version": later} for digest in hashed]
        contract.write_table(name, path, [contract.to_arrow(name, rows)])
    return seal(target, release.name.removeprefix("v"))
