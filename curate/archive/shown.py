"""What each release said of its donors, kept beside it: later releases are judged together with it.

One Arrow file a cut, named by the digest of the cut's `release.json`, so that only what was really published
counts, whatever was cut, killed or cut again under the same number. The files are private, and stay when a study
is withdrawn: who holds the old release still has its rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from curate import durable
from curate.archive import tables
from curate.archive.layout import Archive
from curate.digests import sha256_file
from curate.errors import DamagedError

_COUNTS = b"counts"


def keep(archive: Archive, digest: str, shown: pa.Table, counts: Mapping[str, Any]) -> None:
    """Keep what a cut shows of each study, and its count tables."""
    folder = archive.root / "disclosure"
    folder.mkdir(mode=0o700, exist_ok=True)
    text = json.dumps(counts, sort_keys=True)
    durable.write_bytes(folder / f"{digest}.arrow", tables.to_ipc(shown.replace_schema_metadata({_COUNTS: text})))
    prune(archive, digest)


def prune(archive: Archive, *keep: str) -> None:
    """Remove what is kept of cuts that are gone and that nobody has seen."""
    seals = (archive.root / "releases").glob("*/release.json")
    needed = {*keep, *(digest for _, digest in _published(archive)), *map(sha256_file, seals)}
    for path in sorted((archive.root / "disclosure").glob("*.arrow")):
        if path.stem not in needed:
            durable.remove(path)


def history(archive: Archive) -> list[tuple[str, pa.Table]]:
    """Every published version with what it showed, oldest first.

    Raises:
        DamagedError: of a published version it is not known any more.
    """
    found = []
    for version, digest in _published(archive):
        path = archive.root / "disclosure" / f"{digest}.arrow"
        if not path.is_file():
            raise DamagedError(
                f"What version {version} showed of its donors is not known: {path} is missing.",
                hint="Restore it from your backup; without it no later version can be shown to be safe.",
            )
        found.append((version, tables.from_ipc(path.read_bytes())))
    return found


def counts_of(shown: pa.Table) -> dict[str, Any]:
    """The count tables that stood on that version's card."""
    metadata = shown.schema.metadata or {}
    found: dict[str, Any] = json.loads(metadata.get(_COUNTS, b"{}"))
    return found


def _published(archive: Archive) -> list[tuple[str, str]]:
    """Versions in the order of their publication, each with the digest under which it first came out.

    What is withdrawn from a version later was known of it, and stays known to whoever read it.
    """
    first: dict[str, str] = {}
    for event in archive.ledger.events("published"):
        first.setdefault(event.subject, event.payload["digest"])
    return list(first.items())
