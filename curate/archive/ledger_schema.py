"""The tables of a new ledger, to which `migrations` brings older ones; and what errors of its file mean."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from curate.archive import uid_claims
from curate.core.errors import DamagedError, StorageError
from curate.transparency import log

SCHEMA = f"""
CREATE TABLE events(
  seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
  who TEXT NOT NULL, key TEXT NOT NULL, tool TEXT NOT NULL, policy TEXT NOT NULL, payload TEXT NOT NULL,
  chain BLOB NOT NULL);
CREATE INDEX events_subject ON events(subject, seq);
CREATE INDEX events_kind ON events(kind, seq);
CREATE TRIGGER events_keep BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are kept'); END;
CREATE TRIGGER events_fixed BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'events are fixed'); END;
CREATE TABLE studies(
  study_id TEXT PRIMARY KEY, donor_id TEXT NOT NULL, source BLOB NOT NULL, payload TEXT NOT NULL,
  series BLOB NOT NULL, instances BLOB NOT NULL, links BLOB NOT NULL, previews BLOB, merged INTEGER NOT NULL,
  notes BLOB NOT NULL, seal BLOB NOT NULL DEFAULT x'');
CREATE INDEX studies_donor ON studies(donor_id);
CREATE INDEX studies_new ON studies(study_id) WHERE merged=0;
CREATE INDEX studies_bare ON studies(study_id) WHERE previews IS NOT NULL;
CREATE TABLE stored(path TEXT, study_id TEXT, PRIMARY KEY(path, study_id)) WITHOUT ROWID;
CREATE INDEX stored_study ON stored(study_id);
CREATE TABLE donors(donor_id TEXT PRIMARY KEY, anchor TEXT);
CREATE TABLE quarantine(
  id TEXT PRIMARY KEY, study_id TEXT NOT NULL, at TEXT NOT NULL, codes TEXT NOT NULL,
  files INTEGER NOT NULL, size_bytes INTEGER NOT NULL, donor_id TEXT NOT NULL);
CREATE TABLE receipts(sha256 BLOB PRIMARY KEY, study_id TEXT NOT NULL);
CREATE INDEX receipts_study ON receipts(study_id);
CREATE TABLE tombstones(mark BLOB PRIMARY KEY);
CREATE TABLE revocations(sha256 BLOB PRIMARY KEY, version TEXT);
CREATE TABLE remarks(sha256 BLOB PRIMARY KEY, text TEXT NOT NULL);
{uid_claims.SCHEMA};
{log.SCHEMA}"""


def storage_error(path: Path, error: sqlite3.Error) -> StorageError | DamagedError:
    """What an error of SQLite means to who runs a command."""
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_BUSY")):
        reason = {"SQLITE_FULL": "the disk is full", "SQLITE_BUSY": "another process holds it"}.get(
            name, "it cannot be written"
        )
        hint = "Mend the cause, then run the same command again; nothing was lost."
        return StorageError(f"Cannot write the ledger {path}: {reason}.", hint=hint)
    return DamagedError(f"The ledger {path} is damaged.", hint="Run `curate doctor` on the archive.")
