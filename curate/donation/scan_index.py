"""What a first look found of each file, on the disk and not in memory; a study is brought together when asked for.

It names files and holds original UIDs, so it lies where unfinished files do, in a file without a name that is
gone with the process.
"""

from __future__ import annotations

import marshal
import pickle
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import takewhile
from pathlib import Path

from curate.core import durable
from curate.core.errors import StorageError
from curate.core.findings import Finding
from curate.dicom.io.scan_record import Scan
from curate.donation.series_grouping import Contested, Member, SeriesGroup, StudyGroup, study_group
from curate.donation.sources import SourceFile

_CACHE_KB = 1 << 15


class ScanIndex:
    """The instances of a donation that name a study, added in any order."""

    def __init__(self, beside: Path) -> None:
        path = beside.with_name(f"{beside.name}.looked")
        with durable.storage_errors("write beside the archive"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.unlink(missing_ok=True)
        with _errors():
            self._db = sqlite3.connect(path, isolation_level=None)
            for setting in (
                "journal_mode=OFF",
                "synchronous=OFF",
                "locking_mode=EXCLUSIVE",
                f"cache_size=-{_CACHE_KB}",
            ):
                self._db.execute(f"PRAGMA {setting}")
            self._db.execute(
                "CREATE TABLE files(number INTEGER PRIMARY KEY, study INTEGER, instance INTEGER, said BLOB)"
            )
            path.chmod(0o600)
            path.unlink()
        self._numbers: dict[str, int] = {}
        self._series: dict[int, int] = {}  # of each series the study that was the first to claim it
        self._contested_series: set[int] = set()
        self._contested: frozenset[int] = frozenset()

    def add(self, found: Iterable[tuple[int, SourceFile, Scan]]) -> None:
        """Keep files with their numbers, which give their order."""
        rows = [
            (number, self._claimed(scan), _short(scan.sop_instance_uid), _packed(file, scan))
            for number, file, scan in found
        ]
        with _errors():
            self._db.execute("BEGIN")
            self._db.executemany("INSERT INTO files VALUES (?,?,?,?)", rows)
            self._db.execute("COMMIT")

    def _claimed(self, scan: Scan) -> int:
        """The number of a file's study, which claims its series; a series that two studies claim is contested."""
        study = self._numbers.setdefault(scan.study_uid, len(self._numbers))
        series = _short(scan.series_uid)
        if self._series.setdefault(series, study) != study:
            self._contested_series.add(series)
        return study

    def studies(self) -> Iterator[StoredStudy]:
        """All studies, by UID; each is brought together once to tell what is asked of it often."""
        with _errors():
            self._db.execute("CREATE INDEX by_study ON files(study, number)")
            self._db.execute("CREATE INDEX by_instance ON files(instance, study)")
            several = "SELECT instance FROM files GROUP BY instance HAVING min(study) <> max(study)"
            self._contested = frozenset(row[0] for row in self._db.execute(several))
        for uid in sorted(self._numbers):
            group = self.group(uid)
            members = group.members
            yield StoredStudy(
                uid,
                group.earliest,
                group.findings,
                members[0].place.place,
                len(members),
                *_folders(members),
                self,
            )

    def group(self, uid: str) -> StudyGroup[SourceFile]:
        """One study with all of its files."""
        query = "SELECT said FROM files WHERE study=? ORDER BY number"
        with _errors():
            rows = self._db.execute(query, (self._numbers[uid],)).fetchall()
        members = [Member(*_unpacked(said, uid)) for (said,) in rows]
        return study_group(uid, members, self._claimed_twice(members))

    def _claimed_twice(self, members: Iterable[Member[SourceFile]]) -> Contested:
        """Which UIDs of a study's files another study claims too."""
        if not (self._contested or self._contested_series):
            return Contested()
        series = {member.scan.series_uid for member in members}
        instances = (member.scan.sop_instance_uid for member in members)
        return Contested(
            frozenset(uid for uid in series if _short(uid) in self._contested_series),
            frozenset(uid for uid in instances if _short(uid) in self._contested),
        )


@dataclass(frozen=True, slots=True, repr=False)
class StoredStudy:
    """A study of a donation: `place` is that of its first instance, `folders` are those that hold all of it.

    `parts` are folders that hold some of its files only: below `folders`, or anywhere where it lies in several places.

    `series`, `doubles` and `members` are read each time.
    """

    study_uid: str
    earliest: int | None
    findings: tuple[Finding, ...]
    place: str
    instances: int
    folders: tuple[str, ...]
    parts: frozenset[tuple[str, ...]]
    _looked: ScanIndex = field(compare=False)

    @property
    def group(self) -> StudyGroup[SourceFile]:
        """The whole study."""
        return self._looked.group(self.study_uid)

    @property
    def series(self) -> tuple[SeriesGroup[SourceFile], ...]:
        """Its series."""
        return self.group.series

    @property
    def doubles(self) -> tuple[tuple[Member[SourceFile], ...], ...]:
        """Files that share a SOPInstanceUID."""
        return self.group.doubles

    @property
    def members(self) -> tuple[Member[SourceFile], ...]:
        """All instances in order."""
        return self.group.members


def _folders(members: Iterable[Member[SourceFile]]) -> tuple[tuple[str, ...], frozenset[tuple[str, ...]]]:
    """The folders that hold all files, from the source's root, and the paths of folders that hold some of them."""
    paths = {member.place.folders for member in members}
    levels = takewhile(lambda names: len(set(names)) == 1, zip(*paths, strict=False))
    common = tuple(names[0] for names in levels)
    parts = {path[:depth] for path in paths for depth in range(len(common) + 1, len(path) + 1)}
    return common, frozenset(parts)


def _short(uid: str) -> int:
    return int.from_bytes(blake2b(uid.encode(), digest_size=8).digest(), signed=True)


def _packed(file: SourceFile, scan: Scan) -> bytes:
    path = str(file.path) if isinstance(file.path, Path) else pickle.dumps(file.path)
    return marshal.dumps((file.place, path, file.size, file.folders, file.name, file.member, *scan[1:]))


def _unpacked(said: bytes, uid: str) -> tuple[SourceFile, Scan]:
    place, path, size, folders, name, member, *rest = marshal.loads(said)  # noqa: S302  written by this process
    where = Path(path) if isinstance(path, str) else pickle.loads(path)  # noqa: S301  the same
    return SourceFile(place, where, size, folders, name, "", member), Scan(uid, *rest)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        hint = "Free some space where the archive lies, then run the same command again."
        raise StorageError("Cannot note what the first look found.", hint=hint) from error
