"""Which admitted study holds a UID: the keys of a release's tables, so that no two studies of it share one.

A part of the ledger's file, derived from the studies' records and erased with them: for each SeriesInstanceUID and
SOPInstanceUID a mark of 8 bytes, and one of the study. An archive that an earlier version made gets it at first need.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import Literal

from curate.archive import arrow_ipc

Kind = Literal["series", "instance"]
SCHEMA = "CREATE TABLE claims(uid INTEGER PRIMARY KEY, study INTEGER NOT NULL)"
_COLUMNS: tuple[tuple[Kind, str], ...] = (("series", "SeriesInstanceUID"), ("instance", "SOPInstanceUID"))
_AT_ONCE = 500


class Claims:
    """The table of claims; whoever writes does so inside a transaction of the ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._there = False

    def put(self, study_id: str, instances: bytes) -> None:
        """Note the UIDs of a study's record, in place of what an earlier record of it held."""
        self.ensure()
        study, new = _mark("study", study_id), _marks(instances)
        gone = self._held(study_id) - new
        self._db.executemany("DELETE FROM claims WHERE uid=? AND study=?", [(uid, study) for uid in gone])
        self._db.executemany("INSERT OR IGNORE INTO claims VALUES (?,?)", [(uid, study) for uid in new])

    def delete(self, study_id: str) -> None:
        """Erase what a study claims; call it while its record is there."""
        self.ensure()
        study = _mark("study", study_id)
        rows = [(uid, study) for uid in self._held(study_id)]
        self._db.executemany("DELETE FROM claims WHERE uid=? AND study=?", rows)

    def holders(self, kind: Kind, uids: Iterable[str], study_id: str) -> tuple[frozenset[str], frozenset[str]]:
        """Which of these new UIDs this study holds, and which another one does."""
        ours: set[str] = set()
        others: set[str] = set()
        study = _mark("study", study_id)
        marks = {_mark(kind, uid): uid for uid in uids}
        for some in _parts(marks):
            places = ",".join("?" * len(some))
            query = f"SELECT uid, study FROM claims WHERE uid IN ({places})"  # noqa: S608 (question marks)
            for mark, holder in self._db.execute(query, some):
                (ours if holder == study else others).add(marks[mark])
        return frozenset(ours), frozenset(others)

    def ensure(self) -> None:
        """See that the table is there; in an archive that has none, it is filled from the records."""
        if not self._there:
            query = "SELECT 1 FROM sqlite_master WHERE type='table' AND name='claims'"
            if self._db.execute(query).fetchone() is None:
                self._db.execute(SCHEMA)
                self._db.executemany("INSERT OR IGNORE INTO claims VALUES (?,?)", self._of_records())
            self._there = True

    def _held(self, study_id: str) -> set[int]:
        row = self._db.execute("SELECT instances FROM studies WHERE study_id=?", (study_id,)).fetchone()
        return _marks(row[0]) if row else set()

    def _of_records(self) -> Iterator[tuple[int, int]]:
        for study_id, instances in self._db.execute("SELECT study_id, instances FROM studies ORDER BY study_id"):
            study = _mark("study", study_id)
            yield from ((uid, study) for uid in _marks(instances))


def _marks(instances: bytes) -> set[int]:
    """The marks of all UIDs in a record's rows of instances."""
    rows = arrow_ipc.columns_of_ipc(instances, [name for _, name in _COLUMNS])
    return {_mark(kind, uid) for kind, name in _COLUMNS for uid in rows[name].unique().to_pylist()}


def _mark(kind: str, uid: str) -> int:
    return int.from_bytes(blake2b(f"{kind} {uid}".encode(), digest_size=8).digest(), signed=True)


def _parts(marks: Iterable[int]) -> Iterator[list[int]]:
    every = iter(marks)
    while some := list(islice(every, _AT_ONCE)):
        yield some
