"""The versions of an archive: which one was the last, what it held, and whether another would say anything new."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from curate import contract
from curate.archive.ledger_records import Event
from curate.archive.repository import Archive
from curate.core import resources, versions
from curate.core.digests import canonical_json
from curate.steps.release.disclosure_decision import Decision


def newest_published(archive: Archive) -> str | None:
    """The newest version that is published, whatever was published last."""
    published = {event.subject for event in archive.ledger.events("published")}
    return max(published, key=versions.parse, default=None)


def folder_of(archive: Archive, version: str) -> Path:
    """Where a version lies."""
    return archive.releases / versions.normal(version)


def holds(archive: Archive, cut: Event, decision: Decision) -> bool:
    """Whether a cut says all this already; what it was the first to hold was new to it, published since or not."""
    said: str = cut.payload["content"]
    return said in (content_of(archive, decision, _first_in(archive, cut.subject)), content_of(archive, decision))


def content_of(archive: Archive, decision: Decision, new: Collection[str] = ()) -> str:
    """One digest over all that a release says, its version and date apart; `new` studies have no first version yet."""
    known = decision.first_versions or {}
    earlier = known.keys() - set(new)
    digest = hashlib.sha256(f"{archive.config.digest} {contract.VERSION} {_contract_digest()}\n".encode())
    for record in archive.ledger.outlines():
        if record.study_id in decision.published:
            row = decision.published[record.study_id]
            facts = {"facts": record.payload["facts"], "license": record.payload["license"], "shown": row}
            if record.study_id in earlier:
                facts["first_version"] = known[record.study_id]
            digest.update(f"{record.study_id} {record.donor_id} {canonical_json(facts)}\n".encode())
    for revoked, _ in archive.ledger.revocations():
        digest.update(revoked)
    return digest.hexdigest()


def _first_in(archive: Archive, version: str) -> set[str]:
    """The studies that a version was the first to hold, by its own manifest."""
    if not (folder_of(archive, version) / "manifest" / "studies.parquet").is_file():
        return set()
    return {study for study, first in studies_of(archive, version).items() if first == version}


def _contract_digest() -> str:
    text = "".join(resources.manifest_text(f"{name}.json") for name in contract.MANIFEST_TABLES)
    return hashlib.sha256(text.encode()).hexdigest()


def studies_of(archive: Archive, version: str | None) -> dict[str, str | None]:
    """study_id -> first_version of an earlier release of this archive."""
    if version is None:
        return {}
    path = folder_of(archive, version) / "manifest" / "studies.parquet"
    return {
        row["study_id"]: row["first_version"]
        for batch in contract.read_batches(path, ["study_id", "first_version"])
        for row in batch.to_pylist()
    }


def contract_of(archive: Archive, version: str) -> Any:
    """The version of the contract that a version of the archive states."""
    return json.loads((folder_of(archive, version) / "release.json").read_text("utf-8"))["contract"]
