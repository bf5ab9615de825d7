"""An archive of an older version is opened by migrating it; a newer one is refused; no archive is ever abandoned."""

from __future__ import annotations

import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from curate.archive import migrations
from curate.archive.repository import opened
from curate.core import durable
from curate.core.errors import DamagedError, InputError, StorageError
from curate.core.findings import has_errors
from curate.steps.doctor import doctor
from curate.steps.intake import intake
from curate.steps.ledger import ledger
from curate.steps.publish import publish
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from curate.verify.release import check_release
from tests.steps.archives import donation

FROZEN = Path(__file__).parent / "frozen"
"""One archive of each layout from 6 on, as the version of its time left it: `python -m tests.archive.freeze`."""


def _sql(root: Path, *statements: str) -> None:
    with closing(sqlite3.connect(root / "ledger.db")) as db, db:
        for statement in statements:
            db.execute(statement)


def _look(root: Path) -> None:
    with ledger(root):
        pass


def _layout(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


@pytest.fixture(params=[5, *sorted(int(path.name.split("-")[1].split(".")[0]) for path in FROZEN.glob("layout-*"))])
def old(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """An archive of one layout, with two studies, of which one version was published."""
    layout = max(6, request.param)
    with tarfile.open(FROZEN / f"layout-{layout}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="tar")
    root = tmp_path / "archive"
    if request.param == 5:  # before records had seals
        _sql(root, "ALTER TABLE studies DROP COLUMN seal", "PRAGMA user_version=5")
        (root / "ledger.head").unlink()
    return root


def test_an_archive_of_each_layout_goes_on(old: Path, tmp_path: Path) -> None:
    """It is sound, takes studies in, withdraws, publishes, and what it published before passes its check."""
    assert not [finding.rule for finding in doctor(old).damaged]
    assert _layout(old / "ledger.db") == migrations.LAYOUT
    assert not [*old.glob("ledger.layout-*")]
    assert not [f.rule for r in check_release(old / "releases/1.0.0") for f in r.findings if has_errors([f])]
    source, table = donation(tmp_path / "more", studies=1, instances=1, first=5)
    assert intake(old, [source], table, deidentify=True, workers=1).admitted_studies == 1
    with opened(old, write=False) as archive:
        first = archive.ledger.study_ids()[0]
    withdraw(old, first)
    publish(old, release(old).version, (tmp_path / "hub").as_uri())
    _sql(old, "UPDATE studies SET payload=replace(payload, 'CC-BY-4.0', 'CC0-1.0')")
    with pytest.raises(DamagedError, match="record of study"):
        release(old)


def test_a_command_that_only_reads_changes_nothing(old: Path) -> None:
    """An older ledger is not migrated under the hands of who only looks: the message says what does it."""
    before = (old / "ledger.db").read_bytes()
    if _layout(old / "ledger.db") == migrations.LAYOUT:
        pytest.skip("the present layout")
    with pytest.raises(InputError, match=r"older version.*curate doctor"):
        _look(old)
    assert (old / "ledger.db").read_bytes() == before


def test_a_migration_that_stops_anywhere_is_finished_by_the_next_command(old: Path, tmp_path: Path) -> None:
    """At each durable step, killed or refused: the ledger is what it was, or what it should be, and nothing is lost."""
    if _layout(old / "ledger.db") == migrations.LAYOUT:
        pytest.skip("the present layout")
    steps = _stopped(old, tmp_path / "whole", 0)
    assert steps >= 4
    for at in range(1, steps + 1):
        place = tmp_path / str(at)
        _stopped(old, place, at)
        assert _layout(place / "ledger.db") in (5, migrations.LAYOUT)
        assert not doctor(place).damaged
        assert not [*place.glob("ledger.layout-*")]


def _stopped(source: Path, place: Path, at: int) -> int:
    """Open a copy for writing, and refuse its `at`-th durable step; gives how many there were."""
    shutil.copytree(source, place)
    count = 0

    def step(name: str, path: Path) -> None:
        nonlocal count
        count += 1
        if count == at:
            raise OSError(28, "No space left on device")

    durable.observer = step
    try:
        with opened(place, write=True):
            pass
    except StorageError:
        assert at
    finally:
        durable.observer = None
    return count


def test_an_archive_of_a_later_version_is_refused_in_one_sentence(old: Path) -> None:
    """It says which version is needed, and touches nothing; so does a ledger that no version wrote."""
    _sql(old, f"PRAGMA user_version={migrations.LAYOUT + 1}")
    for command in (doctor, _look):
        with pytest.raises(InputError, match=r"later version of curate \(layout 7.*Install that version"):
            command(old)
    _sql(old, "PRAGMA user_version=3")
    with pytest.raises(DamagedError, match="no layout that is known"):
        doctor(old)
