"""A ledger of an older layout brought to the present one: a copy is kept meanwhile, and each step is one transaction.

The layout is SQLite's `user_version`. From 6 on every layout can be opened by every later version of the tool: who
changes the schema adds a step here, and a frozen archive of the layout before to the tests.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from curate.archive import row_macs
from curate.core import durable
from curate.core.errors import DamagedError, InputError, quoted

LAYOUT = 6
_RECORD = "study_id, donor_id, payload, source, series, instances, links, previews, merged, notes"
_SMALL = 3  # of these: what an outline shows; the seal covers the others by one digest


def bring_up(db: sqlite3.Connection, path: Path, seal: bytes, *, write: bool) -> None:
    """Bring an open ledger to the present layout; a killed run is finished by the next one.

    `seal` is the key under which records are sealed; without `write` nothing is changed, and an older one is refused.

    Raises:
        InputError: a later version of the tool wrote it; or it is older, and this is no command that writes.
        DamagedError: no version that is known wrote it.
        StorageError: the disk is full or fails; the ledger is as it was.
    """
    found = int(db.execute("PRAGMA user_version").fetchone()[0])
    if found == LAYOUT:
        return
    if found > LAYOUT:
        raise InputError(
            f"{path} was written by a later version of curate (layout {found}; this one knows {LAYOUT}).",
            hint="Install that version, or a later one.",
        )
    if found not in _STEPS:
        raise DamagedError(f"{path} has no layout that is known.", hint="Restore it from your backup.")
    if not write:
        raise InputError(
            f"{path} has the layout of an older version of curate.",
            hint=f"Bring it to the present one: curate doctor {quoted(path.parent)}",
        )
    _keep_copy(db, path, found)
    for layout in range(found, LAYOUT):
        _step(db, path, layout, seal)


def forget_copies(root: Path) -> None:
    """Remove the copies of older layouts: a command has ended well since, and a copy would outlive withdrawals."""
    for path in root.glob("ledger.layout-*.db*"):
        durable.remove(path)


def _keep_copy(db: sqlite3.Connection, path: Path, layout: int) -> None:
    place = path.with_name(f"ledger.layout-{layout}.db")
    temporary = place.with_name(f"{place.name}.tmp")
    with durable.storage_errors("keep a copy of the ledger"), durable.private():
        durable.remove(temporary)
        with closing(sqlite3.connect(temporary)) as copy:
            db.backup(copy)
        temporary.chmod(0o600)
        durable.fsync_file(temporary)
        durable.rename(temporary, place)


def _step(db: sqlite3.Connection, path: Path, layout: int, seal: bytes) -> None:
    db.execute("BEGIN IMMEDIATE")
    try:
        _STEPS[layout](db, seal)
        db.execute(f"PRAGMA user_version={layout + 1}")
        with durable.storage_errors(f"write the ledger {path}"):
            durable.step("commit", path)
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite itself ends one whose commit fails
            db.execute("ROLLBACK")
        raise


def _seal_records(db: sqlite3.Connection, seal: bytes) -> None:
    """5 to 6: each record of a study gets its seal, as it stands."""
    db.execute("ALTER TABLE studies ADD COLUMN seal BLOB NOT NULL DEFAULT x''")
    for (study,) in db.execute("SELECT study_id FROM studies").fetchall():
        row = db.execute(f"SELECT {_RECORD} FROM studies WHERE study_id=?", (study,)).fetchone()  # noqa: S608
        made = row_macs.seal(seal, row[:_SMALL], row[_SMALL:])
        db.execute("UPDATE studies SET seal=? WHERE study_id=?", (made, study))


_STEPS: Mapping[int, Callable[[sqlite3.Connection, bytes], None]] = {5: _seal_records}
