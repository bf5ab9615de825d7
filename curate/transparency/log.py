"""The public log in the ledger's file: leaves that never change, and erasable openings beside them.

An opening waits without a place until the next release gives it one; all that come together are ordered by their
commitments, which are as random as their salts, so that neither dates nor neighbours show.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from curate.core import clock
from curate.transparency import commitments
from curate.transparency.commitments import CONSENT, WITHDRAWAL

SCHEMA = """
CREATE TABLE leaves(idx INTEGER PRIMARY KEY, kind TEXT NOT NULL, sha256 BLOB NOT NULL);
CREATE TRIGGER leaves_keep BEFORE DELETE ON leaves BEGIN SELECT RAISE(ABORT, 'leaves are kept'); END;
CREATE TRIGGER leaves_fixed BEFORE UPDATE ON leaves BEGIN SELECT RAISE(ABORT, 'leaves are fixed'); END;
CREATE TABLE openings(
  id INTEGER PRIMARY KEY, idx INTEGER UNIQUE, kind TEXT NOT NULL, study_id TEXT NOT NULL, salt BLOB NOT NULL,
  json TEXT NOT NULL);
CREATE INDEX openings_study ON openings(study_id);
"""
_TRIGGERS = re.findall(r"^(?=CREATE TRIGGER (\w+))(.*END);$", SCHEMA, re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Opening:
    """What a leaf commits to."""

    index: int
    kind: str
    salt: bytes
    text: str


class Log:
    """The log's tables; whoever writes does so inside a transaction of the ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def consent(self, study_id: str, license_id: str) -> None:
        """See that a study's consent is, or will be, in the log; under another licence it is a new one."""
        text = commitments.consent(study_id, license_id)
        held = self._db.execute("SELECT json FROM openings WHERE study_id=?", (study_id,)).fetchall()
        if held != [(text,)]:
            self._db.execute("DELETE FROM openings WHERE study_id=?", (study_id,))
            self._put(CONSENT, study_id, text)

    def withdraw(self, study_id: str, revoked: Iterable[bytes]) -> None:
        """Erase what opens a study's consent; the withdrawal says only which hashed digests it revokes."""
        self.forget(study_id)
        self.revoke(revoked)

    def forget(self, study_id: str) -> None:
        """Erase what opens a study's consent, where the log has its withdrawal already."""
        self._db.execute("DELETE FROM openings WHERE study_id=?", (study_id,))

    def revoke(self, revoked: Iterable[bytes]) -> None:
        """Put a withdrawal into the log of what is in the archive no more."""
        self._put(WITHDRAWAL, "", commitments.withdrawal(revoked))

    def revoked(self) -> set[bytes]:
        """The hashed digests that withdrawals revoke, of leaves and of what waits for one."""
        texts = self._db.execute("SELECT json FROM openings WHERE kind=?", (WITHDRAWAL,))
        return {digest for (text,) in texts for digest in commitments.revoked(text) or ()}

    def _put(self, kind: str, study_id: str, text: str) -> None:
        self._db.execute(
            "INSERT INTO openings(kind, study_id, salt, json) VALUES (?,?,?,?)",
            (kind, study_id, clock.random_bytes(commitments.SALT_BYTES), text),
        )

    def grow(self) -> None:
        """Give every opening that waits its leaf."""
        waiting = self._db.execute("SELECT id, kind, salt, json FROM openings WHERE idx IS NULL").fetchall()
        new = sorted((commitments.commitment(salt, text), kind, row) for row, kind, salt, text in waiting)
        for place, (committed, kind, row) in enumerate(new, self.size()):
            self._db.execute("INSERT INTO leaves VALUES (?,?,?)", (place, kind, committed))
            self._db.execute("UPDATE openings SET idx=? WHERE id=?", (place, row))

    def take_over(self, leaves: Sequence[tuple[str, bytes]], openings: Iterable[Opening]) -> None:
        """Go on from a log that was published: this one's leaves beyond what both begin with wait for new places.

        Only leaves that nobody saw may be among these.
        """
        mine = list(self.leaves())
        same = next((at for at, (a, b) in enumerate(zip(mine, leaves, strict=False)) if a != b), None)
        same = min(len(mine), len(leaves)) if same is None else same
        for name, _ in _TRIGGERS:
            self._db.execute(f"DROP TRIGGER {name}")
        self._db.execute("DELETE FROM leaves WHERE idx>=?", (same,))
        self._db.execute("UPDATE openings SET idx=NULL WHERE idx>=?", (same,))
        for _, text in _TRIGGERS:
            self._db.execute(text)
        for at, (kind, made) in enumerate(leaves[same:], same):
            self._db.execute("INSERT INTO leaves VALUES (?,?,?)", (at, kind, made))
        for opening in openings:
            if opening.index >= same:
                self._take(opening)

    def _take(self, opening: Opening) -> None:
        """Put what opens a leaf that was taken over in the place of what waits here to say the same."""
        study_id = (commitments.studied(opening.text) or ("",))[0]
        if study_id:
            self._db.execute("DELETE FROM openings WHERE study_id=?", (study_id,))
        else:
            self._db.execute("DELETE FROM openings WHERE idx IS NULL AND json=?", (opening.text,))
        self._db.execute(
            "INSERT INTO openings(idx, kind, study_id, salt, json) VALUES (?,?,?,?,?)",
            (opening.index, opening.kind, study_id, opening.salt, opening.text),
        )

    def size(self) -> int:
        """How many leaves there are."""
        return int(self._db.execute("SELECT count(*) FROM leaves").fetchone()[0])

    def leaves(self) -> Iterator[tuple[str, bytes]]:
        """Kind and commitment of each leaf, in their order."""
        yield from self._db.execute("SELECT kind, sha256 FROM leaves ORDER BY idx")

    def openings(self) -> Iterator[Opening]:
        """What opens leaves, in their order, those that withdrawals erased apart."""
        query = "SELECT idx, kind, salt, json FROM openings WHERE idx IS NOT NULL ORDER BY idx"
        for row in self._db.execute(query):
            yield Opening(*row)
