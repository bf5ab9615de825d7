"""What an intake left as it was: the same sources, table and archive once more need no second look.

Kept is a keyed digest of every file's path, size, times and inode, of the table, and of what else the outcome
rests on; so neither names nor paths are stored, and one look costs little more than asking the system for the
files' status. Whatever differs, the intake looks at everything: a wrong memory is worse than none.
"""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from curate.archive.repository import Archive
from curate.core import clock, durable, remote, resources
from curate.core.actor import TOOL
from curate.core.digests import canonical_json, sha256_file

NAME = "seen.json"
_MOST = 64
_RACE_NS = 2_000_000_000  # a file changed as lately as this may change again without showing it
_STATUS = struct.Struct("<qqqqq").pack


@dataclass(frozen=True, slots=True, repr=False)
class SourceSnapshot:
    """One look at the sources: its mark, what the archive's state was, and whether its memory may be trusted."""

    mark: str
    settled: bool


def look(
    archive: Archive, key: bytes, sources: Sequence[Path | str], studies: Path, *given: object
) -> SourceSnapshot | None:
    """The present state of sources, table, configuration and program; None where that cannot be told.

    `given` are the options of the intake that its outcome rests on.
    """
    if any(remote.is_url(str(source)) for source in sources):
        return None
    started = time.time_ns()
    digest = blake2b(key=key, digest_size=32)
    newest = 0
    try:
        for source in sources:
            newest = max(newest, _tree(Path(source).absolute(), digest))
        stated = (archive.root / "archive.toml").read_bytes()
        told = [TOOL, sha256_file(studies), *map(str, given), resources.manifest_text("rules.json")]
    except OSError:
        return None
    for part in (stated, *(text.encode() for text in told)):
        digest.update(len(part).to_bytes(8, "little") + part)
    return SourceSnapshot(digest.hexdigest(), newest < started - _RACE_NS)


def _tree(source: Path, digest: Any) -> int:
    """Add all below a path, links followed as the intake does; gives the newest change in ns."""
    newest, folders = 0, [str(source)]
    if not source.is_dir():
        folders.clear()
        newest = _add(str(source), source.stat(), digest)
    while folders:
        folder = folders.pop()
        digest.update(os.fsencode(folder) + b"\0/")
        with os.scandir(folder) as found:
            entries = sorted(found, key=_name)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            newest = max(newest, _add(entry.name, entry.stat(), digest))
    return newest


def _name(entry: os.DirEntry[str]) -> bytes:
    return os.fsencode(entry.name)


def _add(name: str, status: os.stat_result, digest: Any) -> int:
    changed = max(status.st_mtime_ns, status.st_ctime_ns)
    numbers = _STATUS(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    digest.update(os.fsencode(name) + b"\0" + numbers)
    return changed


def recall(archive: Archive, look: SourceSnapshot) -> dict[str, Any] | None:
    """The report of the intake that left all as it is now; None where anything has happened since."""
    known = _read(archive).get(look.mark)
    return known["report"] if known is not None and known["state"] == _state(archive, known["waiting"]) else None


def remember(archive: Archive, look: SourceSnapshot, report: Mapping[str, Any], *, waiting: bool) -> None:
    """Keep what came of an intake; what waits may be ready on another day."""
    if not look.settled:
        return
    kept = {mark: known for mark, known in _read(archive).items() if mark != look.mark}
    while len(kept) >= _MOST:
        del kept[next(iter(kept))]
    kept[look.mark] = {"state": _state(archive, waiting), "waiting": waiting, "report": report}
    with durable.storage_errors("remember what was taken in"):
        durable.write_bytes(archive.root / NAME, canonical_json([*kept.items()]).encode(), 0o600)


def _state(archive: Archive, waiting: bool) -> str:
    """What has happened to studies, as the ledger counts it; and the day, where the day matters."""
    state = " ".join(map(str, archive.ledger.state()))
    return f"{state} {clock.today()}" if waiting else state


def _read(archive: Archive) -> dict[str, Any]:
    try:
        return dict(json.loads((archive.root / NAME).read_text()))
    except (OSError, ValueError, TypeError):  # nothing is remembered: all is looked at again
        return {}
