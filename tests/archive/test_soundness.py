"""An archive's own state that is not what its commands wrote is noticed before anything leaves it, or is harmless."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from curate.archive import repository
from curate.core import clock, durable
from curate.core.errors import DamagedError, InputError, LockedError, RefusedError
from curate.hub.folder.target import FolderHub
from curate.hub.protocol import contents_of
from curate.steps.adopt import adopt
from curate.steps.doctor import doctor
from curate.steps.intake import intake
from curate.steps.keys import rotate_key
from curate.steps.publish import publish
from curate.steps.purge import purge
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from curate.transparency import signing_keys
from tests import synth
from tests.steps.archives import curate_json, donation, files_of, make_archive
from tests.steps.test_recall import id_of, places


def more(root: Path, first: int, studies: int = 1) -> None:
    """A donation of some studies more."""
    source, table = donation(root.parent / f"donated{first}", studies=studies, instances=2, first=first)
    intake(root, [source], table, deidentify=True, workers=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of three studies, of which one was withdrawn; 1.0.0 is cut, and not published."""
    root = make_archive(tmp_path_factory.mktemp("made") / "archive")
    (root / "secret.key").write_text("60" * 32 + "\n")
    more(root, 0, studies=3)
    withdraw(root, synth.uid(2, 0))
    release(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of it, with a hub of its own."""
    root = Path(shutil.copytree(made, tmp_path / "archive"))
    path = root / "archive.toml"
    path.write_text(path.read_text().replace((made.parent / "archive-hub").as_uri(), (tmp_path / "hub").as_uri()))
    return root


def _sql(root: Path, *statements: str) -> None:
    db = sqlite3.connect(root / "ledger.db")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


def _licence(root: Path) -> None:
    _sql(root, "UPDATE studies SET payload=replace(payload, 'CC-BY-4.0', 'CC0-1.0')")


def _series(root: Path) -> None:
    _sql(root, "UPDATE studies SET notes=x'00', merged=0")


def _study_gone(root: Path) -> None:
    _sql(root, "DELETE FROM studies WHERE study_id=(SELECT min(study_id) FROM studies)")


def _tombstone_gone(root: Path) -> None:
    _sql(root, "DELETE FROM tombstones")


def _event(root: Path) -> None:
    _sql(root, "DROP TRIGGER events_fixed", "UPDATE events SET payload=replace(payload, '2', '3') WHERE seq=2")


def _event_gone(root: Path) -> None:
    _sql(root, "DROP TRIGGER events_keep", "DELETE FROM events WHERE seq=(SELECT max(seq) FROM events)")


def _leaf(root: Path) -> None:
    _sql(root, "DROP TRIGGER leaves_fixed", "UPDATE leaves SET sha256=zeroblob(32) WHERE idx=0")


def _opening(root: Path) -> None:
    _sql(root, "UPDATE openings SET json=replace(json, 'CC-BY-4.0', 'CC0-1.0')")


def _page(root: Path) -> None:
    _sql(root, "PRAGMA wal_checkpoint(TRUNCATE)")
    with (root / "ledger.db").open("r+b") as file:
        file.seek(4096 * 2)
        file.write(os.urandom(4096))


def _foreign_key(root: Path) -> None:
    (root / signing_keys.LOG_KEY).unlink()
    signing_keys.make(root / signing_keys.LOG_KEY, "tests/test-archive")


EDITS: dict[Callable[[Path], None], str] = {
    _licence: "LEDGER_STUDY",
    _series: "LEDGER_STUDY",
    _study_gone: "LEDGER_RECORDS",
    _tombstone_gone: "LEDGER_RECORDS",
    _event: "LEDGER_CHAIN",
    _event_gone: "LEDGER_OLDER",
    _leaf: "LEDGER_LOG",
    _opening: "LEDGER_LOG",
    _page: "LEDGER_DAMAGED",
    _foreign_key: "LOG_KEY_FOREIGN",
}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__.strip("_"))
def test_what_nobody_wrote_leaves_by_no_release(root: Path, edit: Callable[[Path], None]) -> None:
    """Release refuses, publish too (a release that was cut before is what it was), and doctor names the fault."""
    edit(root)
    try:
        found = {finding.rule for finding in doctor(root, dry_run=True).damaged}
        assert EDITS[edit] in found
    except DamagedError:  # not even that much can be read
        assert edit is _page
    with pytest.raises(DamagedError) as told:
        release(root)
    assert told.value.hint
    if EDITS[edit] != "LEDGER_STUDY":
        with pytest.raises(DamagedError):
            publish(root, "1.0.0")


def test_a_study_whose_record_was_edited_can_be_withdrawn(root: Path) -> None:
    """The way out of a record that nobody wrote: without it the archive goes on."""
    publish(root, "1.0.0")
    study = id_of(root, 0)
    _sql(root, f"UPDATE studies SET payload='{{' WHERE study_id='{study}'")
    withdraw(root, study)
    purge(root)
    publish(root, release(root).version)
    assert not places(root.parent / "hub", study)


def test_an_older_ledger_in_its_place_is_noticed(root: Path) -> None:
    """The file beside it knows better; withdraw and purge wait for nothing, and adopt goes on from there."""
    publish(root, "1.0.0")
    with repository.opened(root, write=False) as archive:
        archive.ledger.copy(root.parent / "older.db")
    more(root, 7)
    for name in ("ledger.db", "ledger.db-wal", "ledger.db-shm"):
        (root / name).unlink(missing_ok=True)
    shutil.copy(root.parent / "older.db", root / "ledger.db")
    with pytest.raises(DamagedError, match="older than the state"):
        release(root)
    withdraw(root, synth.uid(0, 0))
    with pytest.raises(DamagedError, match="older than the state"):
        release(root)  # it is no news that makes it forget
    purge(root)
    assert not places(root.parent / "hub", id_of(root, 0))
    adopt(root)
    more(root, 7)
    publish(root, release(root).version)
    assert not doctor(root).damaged


def test_a_rotated_key_is_no_foreign_one(root: Path) -> None:
    """The key that took over signs on."""
    rotate_key(root)
    publish(root, "1.0.0")
    more(root, 7)
    publish(root, release(root).version)


def test_a_clock_that_went_back_cuts_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No version is dated before the one that it follows."""
    publish(root, "1.0.0")
    more(root, 7)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int((clock.now() - timedelta(days=3)).timestamp())))
    with pytest.raises(RefusedError, match="Today is"):
        release(root)


def test_a_fixed_date_does_not_end_the_cooling_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOURCE_DATE_EPOCH dates outputs; who gave consent yesterday still has a month to think."""
    root = make_archive(tmp_path / "archive")
    source, table = donation(tmp_path / "donated", studies=1, instances=1)
    header, row = table.read_text().splitlines()
    cells = dict(zip(header.split(","), row.split(","), strict=True))
    cells["consent_date"] = (clock.today() - timedelta(days=1)).isoformat()
    table.write_text(f"{','.join(cells)}\n{','.join(cells.values())}\n")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(int((clock.now() + timedelta(days=400)).timestamp())))
    report = intake(root, [source], table, deidentify=True, workers=1)
    assert "CONSENT_COOLING_OFF" in report.codes


def test_a_deleted_lock_lets_nobody_in(root: Path) -> None:
    """The folder itself is held: who removes the file `lock` does not make room for a second writer."""
    with repository.opened(root, write=True):
        (root / "lock").unlink()
        with pytest.raises(LockedError), repository.opened(root, write=True):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="gives the folder to somebody else")
def test_another_users_archive_is_not_written(root: Path) -> None:
    """What another user would write, the owner could not read."""
    os.chown(root, 12_345, -1)
    with pytest.raises(InputError, match="another user"), repository.opened(root, write=True):
        pass
    with repository.opened(root, write=False):
        pass


def test_a_umask_of_zero_opens_nothing(tmp_path: Path) -> None:
    """Whatever the umask, the archive is its owner's alone, and what is published nobody else's to write."""
    root, hub = tmp_path / "archive", tmp_path / "hub"
    source, table = donation(tmp_path / "donated", studies=1, instances=1)
    lines = [
        "import os, sys; os.umask(0)",
        "import curate",
        "root, hub, source, table = sys.argv[1:]",
        "curate.init(root, curate.ArchiveInfo('T', 'P', 'CC-BY-4.0', 'test'), hub_target=hub, approvals=0)",
        "curate.intake(root, [source], table, deidentify=True, workers=1)",
        "curate.release(root); curate.publish(root, '1.0.0')",
    ]
    arguments = [str(root), hub.as_uri(), str(source), str(table)]
    subprocess.run([sys.executable, "-c", "\n".join(lines), *arguments], check=True)
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in [root, *root.rglob("*")]}
    assert [(path.name, oct(mode)) for path, mode in modes.items() if mode & 0o077] == []
    public = {path: stat.S_IMODE(path.lstat().st_mode) for path in [hub, *hub.rglob("*")]}
    assert all(mode & 0o044 == 0o044 and not mode & 0o022 for mode in public.values()), public


def test_the_users_own_umask_comes_back() -> None:
    """Inside nobody else reads; what is public is as the user has it."""
    before = os.umask(0o027)
    try:
        with durable.private():
            assert os.umask(0o077) == 0o077
            with durable.public():
                assert os.umask(0o027) == 0o027
            os.umask(0o077)
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


def test_bytes_that_changed_after_the_check_are_not_sent(root: Path, tmp_path: Path) -> None:
    """A release, or what signs it, that is other than it was checked is refused by the hub's side."""
    folder = root / "releases" / "1.0.0"
    checked = contents_of(folder)
    for name in ("attestations/approvals.json", "release.json"):
        path = folder / name
        good = path.read_bytes()
        path.chmod(0o600)
        path.write_bytes(good + b" ")
        with pytest.raises(DamagedError, match="changed since it was checked"):
            FolderHub(tmp_path / "there").publish(folder, expected=checked)
        path.write_bytes(good)
    assert not files_of(tmp_path / "there")
    FolderHub(tmp_path / "there").publish(folder, expected=checked)


def test_the_ledger_command_still_shows_history(root: Path) -> None:
    """After an adoption without any hub nothing is amiss."""
    assert adopt(root)[0].already
    assert curate_json("ledger", root)["findings"] == []
