"""The ledger: an append-only list of events, and beside it the erasable records of what is in the archive.

Events hold ids of the archive, rule codes, counts and digests; nothing that must be erasable. What is
known of a study (`studies`), of a donor (`donors`) and of what waits (`quarantine`) lies in tables of its
own, whose rows a withdrawal deletes. One writer; SQLite in WAL mode on the coordinator's own disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from curate.archive import migrations, uid_claims
from curate.archive import row_macs as rows
from curate.archive.ledger_records import (
    Actor,
    Event,
    Outline,
    QuarantineEntry,
    StudyRecord,
    entry_of_row,
    study_of_row,
)
from curate.archive.ledger_schema import SCHEMA, storage_error
from curate.core import durable
from curate.core.digests import canonical_json
from curate.core.errors import DamagedError
from curate.transparency import log

_EVENT = "seq, at, kind, subject, who, key, tool, policy, payload"
_STUDY = "study_id, donor_id, payload, source, series, instances, links, previews, merged, notes, seal"
_SMALL = 3  # of these: what an outline shows; the seal covers the others by one digest


class Ledger:
    """An open ledger. All writes go through `transaction`."""

    def __init__(self, path: Path, actor: Actor | None = None, *, write: bool = True) -> None:
        self._path, self._actor = path, actor or Actor()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute("PRAGMA secure_delete=ON")
            migrations.bring_up(self._db, path, self._actor.seal, write=write)
        except sqlite3.DatabaseError as error:
            raise storage_error(path, error) from error
        self.log, self.claims = log.Log(self._db), uid_claims.Claims(self._db)

    @staticmethod
    def create(path: Path) -> None:
        """Make an empty ledger, readable to its owner only.

        Raises:
            StorageError: the disk is full or fails.
        """
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            with closing(sqlite3.connect(path)) as db:
                db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version={migrations.LAYOUT}; COMMIT;")
        except sqlite3.Error as error:
            raise storage_error(path, error) from error

    def copy(self, path: Path) -> None:
        """Write the ledger, as it stands, to a new file."""
        other = sqlite3.connect(path)
        with other:
            self._db.backup(other)
        other.close()
        path.chmod(0o600)

    @contextmanager
    def readable(self) -> Iterator[None]:
        """What SQLite says of a damaged file inside is one clear message.

        Raises:
            DamagedError, StorageError: the ledger cannot be read.
        """
        try:
            yield
        except sqlite3.Error as error:
            raise storage_error(self._path, error) from error

    def close(self) -> None:
        """Close the ledger; what was committed is on disk."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is written together, or not at all.

        Raises:
            StorageError: the disk is full or fails; nothing was written.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                with durable.storage_errors(f"write the ledger {self._path}"):
                    durable.step("commit", self._path)
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise storage_error(self._path, error) from error

    def append(
        self,
        at: str,
        kind: str,
        subject: str,
        payload: dict[str, Any],
        *,
        who: str,
        tool: str,
        key: str | None = None,
    ) -> None:
        """Add an event; call it inside a transaction.

        `who` is an account, or a name; `key` the id of a person's own key, else the archive's stands there.
        """
        actor = self._actor
        by = (actor.people.get(who, who), actor.key if key is None else key)
        row = (at, kind, subject, *by, tool, actor.policy, canonical_json(payload))
        self._db.execute(
            "INSERT INTO events(at, kind, subject, who, key, tool, policy, payload, chain) VALUES (?,?,?,?,?,?,?,?,?)",
            (*row, _chained(self.head(), row)),
        )

    def head(self) -> bytes:
        """A digest over all events in their order: none of them can change without it."""
        row = self._db.execute("SELECT chain FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return row[0] if row else bytes(32)

    def tip(self) -> tuple[int, bytes]:
        """The number of the last event, and the digest over all of them."""
        row = self._db.execute("SELECT seq, chain FROM events ORDER BY seq DESC LIMIT 1").fetchone()
        return (int(row[0]), row[1]) if row else (0, bytes(32))

    def head_at(self, seq: int) -> bytes | None:
        """The digest over all events up to one; None where there is no such event."""
        row = self._db.execute("SELECT chain FROM events WHERE seq=?", (seq,)).fetchone()
        return row[0] if row else (None if seq else bytes(32))

    def comings_and_goings(self) -> Iterator[tuple[str, str]]:
        """When studies were admitted, joined and withdrawn: kind and study, in their order."""
        kinds = "('admitted', 'joined', 'withdrawn')"
        yield from self._db.execute(f"SELECT kind, subject FROM events WHERE kind IN {kinds} ORDER BY seq")  # noqa: S608 (constants)

    def keys(self) -> set[str]:
        """The ids of the archive's keys under which events were written; reviewers' own apart."""
        reviewed = "('approved', 'rejected')"
        found = self._db.execute(f"SELECT DISTINCT key FROM events WHERE kind NOT IN {reviewed}")  # noqa: S608 (constants)
        return {key for (key,) in found if key}

    def broken_chain(self) -> int | None:
        """The first event that is not what was written; None where all are."""
        before = bytes(32)
        rows = self._db.execute(f"SELECT {_EVENT}, chain FROM events ORDER BY seq")  # noqa: S608 (constants)
        for expected, (seq, *row, chain) in enumerate(rows, 1):
            before = _chained(before, tuple(row))
            if seq != expected or chain != before:
                return int(seq)
        return None

    def heads(self) -> Iterator[tuple[int, bytes]]:
        """The digest after each event."""
        yield from self._db.execute("SELECT seq, chain FROM events ORDER BY seq")

    def events(self, kind: str | None = None, subject: str | None = None) -> Iterator[Event]:
        """Events in their order, all or of one kind or subject."""
        query, values = f"SELECT {_EVENT} FROM events WHERE 1", []  # noqa: S608 (constants)
        for column, value in (("kind", kind), ("subject", subject)):
            if value is not None:
                query += f" AND {column}=?"
                values.append(value)
        for *row, payload in self._db.execute(query + " ORDER BY seq", values):
            yield Event(*(*row, json.loads(payload)))

    def remark(self, sha256: bytes) -> str:
        """A free text that an event refers to by its digest; empty where it was erased."""
        row = self._db.execute("SELECT text FROM remarks WHERE sha256=?", (sha256,)).fetchone()
        return row[0] if row else ""

    def put_remark(self, text: str) -> bytes:
        """Keep a free text where it can be erased, apart from the events; gives its digest."""
        digest = hashlib.sha256(text.encode()).digest()
        self._db.execute("INSERT OR IGNORE INTO remarks VALUES (?,?)", (digest, text))
        return digest

    def state(self) -> tuple[int, int, int]:
        """What has happened to studies: the last such event (0: none), how many are in, how many entries wait."""
        last, studies, waiting = self._db.execute(
            "SELECT (SELECT coalesce(max(seq), 0) FROM events WHERE kind IN"
            " ('admitted', 'joined', 'quarantined', 'decided', 'discarded', 'withdrawn', 'erased')),"
            " (SELECT count(*) FROM studies), (SELECT count(*) FROM quarantine)"
        ).fetchone()
        return last, studies, waiting

    def study(self, study_id: str) -> StudyRecord | None:
        """The admitted study of an id.

        Raises:
            DamagedError: its record is not what was written.
        """
        row = self._db.execute(f"SELECT {_STUDY} FROM studies WHERE study_id=?", (study_id,)).fetchone()  # noqa: S608
        return self._sound(row) if row else None

    def study_as_is(self, study_id: str) -> StudyRecord | None:
        """The same, whoever wrote it: for what must be possible with a damaged record, too."""
        row = self._db.execute(f"SELECT {_STUDY} FROM studies WHERE study_id=?", (study_id,)).fetchone()  # noqa: S608
        return study_of_row(row, payload={}) if row else None

    def has_study(self, study_id: str) -> bool:
        """Whether a study is admitted."""
        return bool(self._db.execute("SELECT 1 FROM studies WHERE study_id=?", (study_id,)).fetchone())

    def unsound(self) -> Iterator[str]:
        """Ids of the studies whose records are not what was written, sorted."""
        for row in self._db.execute(f"SELECT {_STUDY} FROM studies ORDER BY study_id"):  # noqa: S608 (constants)
            try:
                self._sound(row)
            except DamagedError:
                yield row[0]

    def _sound(self, row: Any) -> StudyRecord:
        rows.refuse_other(self._actor.seal, row[-1], row[:_SMALL], row[_SMALL:-1])
        return study_of_row(row)

    def study_ids(self, donor_id: str | None = None) -> list[str]:
        """Ids of all admitted studies, sorted; or of one donor."""
        if donor_id is None:
            return [r[0] for r in self._db.execute("SELECT study_id FROM studies ORDER BY study_id")]
        query = "SELECT study_id FROM studies WHERE donor_id=? ORDER BY study_id"
        return [r[0] for r in self._db.execute(query, (donor_id,))]

    def studies(self) -> Iterator[StudyRecord]:
        """All admitted studies, sorted by id, as a stream."""
        for row in self._db.execute(f"SELECT {_STUDY} FROM studies ORDER BY study_id"):  # noqa: S608 (constants)
            yield self._sound(row)

    def outlines(self) -> Iterator[Outline]:
        """The same without series, instances and previews."""
        query = "SELECT study_id, donor_id, payload, seal FROM studies ORDER BY study_id"
        for *small, kept in self._db.execute(query):
            rows.refuse_other(self._actor.seal, kept, small)
            yield Outline(small[0], small[1], json.loads(small[2]))

    def licenses(self) -> list[str]:
        """The licences that admitted studies are under, sorted."""
        query = "SELECT DISTINCT json_extract(payload, '$.license') FROM studies ORDER BY 1"
        return [r[0] for r in self._db.execute(query)]

    def unmerged(self) -> list[str]:
        """Ids of the studies that have packs of their own still, sorted."""
        return [r[0] for r in self._db.execute("SELECT study_id FROM studies WHERE merged=0 ORDER BY study_id")]

    def unsharded(self) -> list[str]:
        """Ids of the studies whose previews lie in the ledger still, sorted."""
        query = "SELECT study_id FROM studies WHERE previews IS NOT NULL ORDER BY study_id"
        return [r[0] for r in self._db.execute(query)]

    def stored(self) -> Iterator[tuple[str, str]]:
        """Every pack and preview shard with each study that lies in it, sorted."""
        yield from self._db.execute("SELECT path, study_id FROM stored ORDER BY path, study_id")

    def sharing(self, path: str) -> list[str]:
        """Ids of the studies that lie in a pack or preview shard, sorted."""
        query = "SELECT study_id FROM stored WHERE path=? ORDER BY study_id"
        return [r[0] for r in self._db.execute(query, (path,))]

    def places(self, study_id: str) -> list[str]:
        """The packs and the preview shard in which a study lies, whatever its record says."""
        query = "SELECT path FROM stored WHERE study_id=? ORDER BY path"
        return [r[0] for r in self._db.execute(query, (study_id,))]

    def put_study(self, record: StudyRecord) -> None:
        """Write a study's record, in place of an older one."""
        self.claims.put(record.study_id, record.instances)
        self._db.execute("DELETE FROM stored WHERE study_id=?", (record.study_id,))
        places = [(path, record.study_id) for path in sorted(record.files)]
        self._db.executemany("INSERT INTO stored VALUES (?,?)", places)
        small = (record.study_id, record.donor_id, canonical_json(record.payload))
        parts = (record.series, record.instances, record.links, record.previews)
        large = (record.source, *parts, record.merged, record.notes)
        sealed = rows.seal(self._actor.seal, small, large)
        self._db.execute(
            f"INSERT OR REPLACE INTO studies({_STUDY}) VALUES (?,?,?,?,?,?,?,?,?,?,?)",  # noqa: S608 (constants)
            (*small, *large, sealed),
        )

    def delete_study(self, study_id: str) -> None:
        """Erase a study's record; its events stay."""
        self.claims.delete(study_id)
        self._db.execute("DELETE FROM stored WHERE study_id=?", (study_id,))
        self._db.execute("DELETE FROM studies WHERE study_id=?", (study_id,))

    def delete_donor(self, donor_id: str) -> None:
        """Erase a donor's date once nothing of the donor is left."""
        self._db.execute("DELETE FROM donors WHERE donor_id=?", (donor_id,))

    def anchor(self, donor_id: str) -> str | None:
        """The date, YYYYMMDD, that becomes 2000-01-01 for a donor."""
        row = self._db.execute("SELECT anchor FROM donors WHERE donor_id=?", (donor_id,)).fetchone()
        return row[0] if row else None

    def put_anchor(self, donor_id: str, anchor: str | None) -> None:
        """Set a donor's date once; a later call changes nothing."""
        self._db.execute("INSERT OR IGNORE INTO donors VALUES (?,?)", (donor_id, anchor))

    def quarantined(self) -> Iterator[QuarantineEntry]:
        """What waits, oldest first."""
        query = "SELECT id, study_id, at, codes, files, size_bytes, donor_id FROM quarantine ORDER BY at, id"
        for row in self._db.execute(query):
            yield entry_of_row(row)

    def waits(self, entry_id: str) -> QuarantineEntry | None:
        """The entry of an id."""
        query = "SELECT id, study_id, at, codes, files, size_bytes, donor_id FROM quarantine WHERE id=?"
        row = self._db.execute(query, (entry_id,)).fetchone()
        return entry_of_row(row) if row else None

    def put_quarantine(self, entry: QuarantineEntry) -> None:
        """Write what waits, in place of an older entry of that id."""
        values = (entry.id, entry.study_id, entry.at, canonical_json(entry.codes), entry.files)
        self._db.execute(
            "INSERT OR REPLACE INTO quarantine VALUES (?,?,?,?,?,?,?)",
            (*values, entry.size_bytes, entry.donor_id),
        )

    def delete_quarantine(self, entry_id: str) -> None:
        """Forget what waited."""
        self._db.execute("DELETE FROM quarantine WHERE id=?", (entry_id,))

    def tombstoned(self, mark: bytes) -> bool:
        """Whether a study of this keyed mark was withdrawn."""
        return bool(self._db.execute("SELECT 1 FROM tombstones WHERE mark=?", (mark,)).fetchone())

    def put_tombstone(self, mark: bytes) -> None:
        """Refuse a study from now on."""
        self._db.execute("INSERT OR IGNORE INTO tombstones VALUES (?)", (mark,))

    def revocations(self) -> Iterator[tuple[bytes, str | None]]:
        """Hashed digests of withdrawn instances with the first version without them, sorted."""
        yield from self._db.execute("SELECT sha256, version FROM revocations ORDER BY sha256")

    def put_revocation(self, sha256_of_sha256: bytes, version: str | None) -> None:
        """Record a withdrawn instance; its version is set when the release without it is cut."""
        self._db.execute(
            "INSERT INTO revocations VALUES (?,?) ON CONFLICT DO UPDATE SET version=excluded.version"
            " WHERE version IS NULL",
            (sha256_of_sha256, version),
        )

    def put_receipt(self, sha256: bytes, study_id: str) -> None:
        """Keep a receipt's hash."""
        self._db.execute("INSERT OR IGNORE INTO receipts VALUES (?,?)", (sha256, study_id))

    def receipt(self, sha256: bytes) -> str | None:
        """The study of a receipt's hash; empty where it was withdrawn, None where there is no such receipt."""
        row = self._db.execute("SELECT study_id FROM receipts WHERE sha256=?", (sha256,)).fetchone()
        return row[0] if row else None

    def unlink_receipts(self, study_id: str) -> None:
        """Let a study's receipts say no more than that what they stood for was withdrawn."""
        self._db.execute("UPDATE receipts SET study_id='' WHERE study_id=?", (study_id,))

    def truncate(self) -> None:
        """Empty the write-ahead log, so that what was deleted does not live on in it."""
        durable.step("commit", self._path)
        try:
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise storage_error(self._path, error) from error

    def has_receipt(self, study_id: str) -> bool:
        """Whether a study has a receipt already."""
        query = "SELECT 1 FROM receipts WHERE study_id=? LIMIT 1"
        return bool(self._db.execute(query, (study_id,)).fetchone())

    def verify(self) -> bool:
        """Whether SQLite finds its own file in order."""
        try:
            return bool(self._db.execute("PRAGMA integrity_check").fetchone()[0] == "ok")
        except sqlite3.DatabaseError:  # so badly that it cannot even look
            return False


def _chained(before: bytes, row: tuple[str, ...]) -> bytes:
    return hashlib.sha256(before + canonical_json(list(row)).encode()).digest()
