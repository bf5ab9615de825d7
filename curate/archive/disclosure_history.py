"""What each release said of its donors, kept beside it: later releases are judged together with it.

One Arrow file a cut, named by the digest of the cut's `release.json`, so that only what was really published
counts, whatever was cut, killed or cut again under the same number. The files are private, and stay when a study
is withdrawn: who holds the old release still has its rows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.archive import arrow_ipc
from curate.archive.repository import Archive
from curate.core import durable
from curate.core.digests import sha256_file
from curate.core.errors import DamagedError, quoted

_COUNTS, _REBUILT = b"counts", b"rebuilt"


def keep(archive: Archive, digest: str, shown: pa.Table, counts: Mapping[str, Any]) -> None:
    """Keep what a cut shows of each study, and its count tables."""
    _write(archive, digest, shown, {_COUNTS: json.dumps(counts, sort_keys=True).encode()})
    prune(archive, digest)


def keep_rebuilt(archive: Archive, digest: str, shown: pa.Table, *, whole: bool) -> None:
    """Keep what a version that came from a hub shows: `whole`, or less than when it first came out."""
    _write(archive, digest, shown, {_REBUILT: b"whole" if whole else b"partly"})


def keep_again(archive: Archive, known: str, digest: str) -> None:
    """Keep what a cut showed for what it became, too."""
    _put(archive, digest, _place(archive, known).read_bytes())


def kept(archive: Archive, digest: str) -> bool:
    """Whether it is known what a cut showed."""
    return _place(archive, digest).is_file()


def is_rebuilt(shown: pa.Table) -> bool:
    """Whether it was read from a version's tables, in which donors go by the ids that are public."""
    return _REBUILT in (shown.schema.metadata or {})


def _place(archive: Archive, digest: str) -> Path:
    return archive.root / "disclosure" / f"{digest}.arrow"


def _write(archive: Archive, digest: str, shown: pa.Table, metadata: Mapping[bytes, bytes]) -> None:
    _place(archive, digest).parent.mkdir(mode=0o700, exist_ok=True)
    _put(archive, digest, arrow_ipc.to_ipc(shown.replace_schema_metadata(dict(metadata))))


def _put(archive: Archive, digest: str, data: bytes) -> None:
    """Write a file whole or not at all; what a killed run leaves of it is swept with the archive's temporary folder."""
    place = _place(archive, digest)
    with durable.writing(place, archive.temporary / place.name) as file:
        file.write(data)


def prune(archive: Archive, *keep: str) -> None:
    """Remove what is kept of cuts that are gone and that nobody has seen."""
    seals = (archive.root / "releases").glob("*/release.json")
    needed = {*keep, *(digest for _, digest in published(archive)), *map(sha256_file, seals)}
    for path in sorted((archive.root / "disclosure").glob("*.arrow")):
        if path.stem not in needed:
            durable.remove(path)


def history(archive: Archive) -> list[tuple[str, pa.Table]]:
    """Every published version with what it showed, oldest first.

    Raises:
        DamagedError: of a published version it is not known any more.
    """
    found = []
    for version, digest in published(archive):
        path = _place(archive, digest)
        if not path.is_file():
            raise DamagedError(
                f"What version {version} showed of its donors is not known: {path} is missing.",
                hint="Restore it from your backup; without it no later version can be shown to be safe. Where there "
                f"is none, take it over from the hub: curate adopt {quoted(archive.root)}",
            )
        found.append((version, arrow_ipc.from_ipc(path.read_bytes())))
    return found


def counts_of(shown: pa.Table) -> dict[str, Any] | None:
    """The count tables that stood on that version's card; None where nobody knows them any more, but who has it."""
    metadata = shown.schema.metadata or {}
    if metadata.get(_REBUILT) == b"partly":
        return None
    found: dict[str, Any] = json.loads(metadata.get(_COUNTS, b"{}"))
    return found


def published(archive: Archive) -> list[tuple[str, str]]:
    """Versions in the order of their publication, each with the digest under which it first came out.

    What is withdrawn from a version later was known of it, and stays known to whoever read it.
    """
    first: dict[str, str] = {}
    for event in archive.ledger.events("published"):
        first.setdefault(event.subject, event.payload["digest"])
    return list(first.items())
