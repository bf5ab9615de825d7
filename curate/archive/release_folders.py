"""The versions that were cut and lie in the archive, and which studies they hold."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from curate import contract
from curate.archive.repository import Archive
from curate.core import arrays, versions


def release_folders(archive: Archive) -> list[Path]:
    """The folders of all versions that were cut, oldest first."""
    found = (path.parent for path in archive.releases.glob("*/release.json"))
    return sorted(filter(_is_version, found), key=lambda folder: versions.parse(folder.name))


def _is_version(folder: Path) -> bool:
    return versions.is_version(folder.name)


def holds_any_of(folder: Path, studies: frozenset[str]) -> bool:
    """Whether a release has a row of one of these studies."""
    return bool(studies_in(folder, studies))


def studies_in(folder: Path, studies: frozenset[str]) -> frozenset[str]:
    """Which of these studies a release has a row of."""
    wanted, found = arrays.array(sorted(studies), pa.string()), set[str]()
    for batch in contract.read_batches(folder / "manifest" / "studies.parquet", ["study_id"]):
        rows = batch["study_id"]
        found.update(rows.filter(pc.is_in(rows, value_set=wanted)).to_pylist())
    return frozenset(found)


def recorded_digests(archive: Archive) -> dict[str, str]:
    """The digest of each version's `release.json` as it was cut, or cut again, last."""
    kinds = ("released", "recut", "restored")
    events = [event for kind in kinds for event in archive.ledger.events(kind)]
    return {event.subject: event.payload["digest"] for event in sorted(events, key=lambda event: event.seq)}
