"""What was verified before and has not been touched since is not read again, where the caller keeps a list of it.

`check` has no such list: it reads every byte. `publish` keeps one in the archive. A mark stands for a file's path
(which names its digest), size, time of change and inode, and for all by which it was judged: the manifest's rows of
it, the profile, and the program.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from curate.core import durable
from curate.core.actor import TOOL
from curate.core.digests import sha256_file, sha256_json
from curate.deid import profile

NAME = "verified"


class Remembered:
    """Marks of files that passed; those that nobody asks for any more are dropped when it is kept."""

    def __init__(self, marks: Iterable[str] = ()) -> None:
        self._before = frozenset(marks)
        self._now: set[str] = set()

    def holds(self, mark: str) -> bool:
        """Whether a file passed before; it is kept in mind then."""
        if mark in self._before:
            self._now.add(mark)
        return mark in self._now

    def add(self, mark: str) -> None:
        """Note that a file passed."""
        self._now.add(mark)

    def keep(self, path: Path) -> None:
        """Write the marks of the files that this run asked for."""
        lines = "".join(f"{mark}\n" for mark in sorted(self._now))
        with durable.storage_errors("keep what was verified"):
            durable.write_bytes(path, lines.encode(), 0o600)

    @classmethod
    def read(cls, path: Path) -> Remembered:
        """The marks of earlier runs; none where there is no list."""
        return cls(path.read_text("ascii").split() if path.is_file() else ())


def mark(path: Path, place: str, *judged_by: Any) -> str:
    """A file as it lies there, and what it is judged by; empty where it is not there."""
    try:
        state = path.stat()
    except OSError:
        return ""
    found = (place, state.st_size, state.st_mtime_ns, state.st_dev, state.st_ino)
    return sha256_json([*map(str, found), TOOL, profile.rules_digest(), *map(repr, judged_by)])


def digest_of(path: Path, place: str, known: Remembered | None) -> str:
    """The SHA-256 of a preview shard or pack: that in its name if it is remembered as such, else read."""
    held = mark(path, place) if known is not None else ""
    if known is not None and held and known.holds(held):
        return path.stem
    digest = sha256_file(path)
    if known is not None and digest == path.stem:
        known.add(held)
    return digest
