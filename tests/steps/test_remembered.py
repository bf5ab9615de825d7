"""An intake that comes again: nothing is opened where nothing has happened, and all is looked at where it has."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from curate.core import clock
from curate.steps import quarantine, withdraw
from curate.steps.intake import IntakeReport, intake, intake_run, unchanged_cache
from tests import synth
from tests.corpus import write_table
from tests.steps.archives import make_archive

STUDIES = (synth.uid(1, 0), synth.uid(2, 0))


@pytest.fixture
def donation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path, Path]]:
    """An archive, a source of two studies of two instances, and their table; files are old at once."""
    monkeypatch.setattr(unchanged_cache, "_RACE_NS", 0)
    source = tmp_path / "source"
    for patient in (1, 2):
        for number in range(2):
            path = source / f"Puigdomènech {patient}" / f"{number}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(synth.instance_bytes(patient, 0, 0, number, rows=8, columns=8))
    write_table(tmp_path / "studies.csv", list(STUDIES))
    yield make_archive(tmp_path / "archive"), source, tmp_path / "studies.csv"


class _LookedError(Exception):
    """The sources were gathered."""


def again(donation: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch) -> IntakeReport | None:
    """What a second intake tells without opening a file of the sources; None where it starts to look."""
    archive, source, table = donation

    def gather(*_: object) -> None:
        raise _LookedError

    with monkeypatch.context() as patch:
        patch.setattr(intake_run, "gather", gather)
        try:
            return intake(archive, [source], table, deidentify=True, workers=1)
        except _LookedError:
            return None


def test_the_same_once_more_reads_nothing_and_tells_the_same(
    donation: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second intake of the same opens no file of the sources, and says that all is there unchanged."""
    archive, source, table = donation
    first = intake(archive, [source], table, deidentify=True, workers=1)
    known = again(donation, monkeypatch)
    assert first.admitted_studies == 2
    assert known == replace(first, admitted_studies=0, unchanged_studies=2, size_bytes=0, new_receipts=0, receipts=None)
    (archive / unchanged_cache.NAME).unlink()
    looked = intake(archive, [source], table, deidentify=True, workers=1)
    assert replace(looked, findings=()) == replace(known, findings=())


def test_what_is_remembered_names_no_file_and_nobody(donation: tuple[Path, Path, Path]) -> None:
    """The memory holds a keyed digest and counts: no path, no name of a folder, no UID."""
    archive, source, table = donation
    intake(archive, [source], table, deidentify=True, workers=1)
    text = (archive / unchanged_cache.NAME).read_text()
    assert "Puig" not in text
    assert "source" not in text
    assert all(uid not in text for uid in STUDIES)
    assert (archive / unchanged_cache.NAME).stat().st_mode & 0o077 == 0


def _more(source: Path, table: Path, archive: Path) -> None:
    (source / "new.dcm").write_bytes(synth.instance_bytes(1, 0, 0, 7, rows=8, columns=8))


def _fewer(source: Path, table: Path, archive: Path) -> None:
    next(source.rglob("1.dcm")).unlink()


def _changed(source: Path, table: Path, archive: Path) -> None:
    path = next(source.rglob("0.dcm"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def _changed_under_the_same_time(source: Path, table: Path, archive: Path) -> None:
    path = next(source.rglob("0.dcm"))
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    time.sleep(0.05)
    _changed(source, table, archive)
    os.utime(path, ns=times)


def _renamed(source: Path, table: Path, archive: Path) -> None:
    next(source.rglob("0.dcm")).rename(source / "elsewhere.dcm")


def _row_changed(source: Path, table: Path, archive: Path) -> None:
    table.write_text(table.read_text().replace("given", "withdrawn", 1))


def _policy_changed(source: Path, table: Path, archive: Path) -> None:
    path = archive / "archive.toml"
    path.write_text(path.read_text() + "\n# another comment\n")


def _withdrawn(source: Path, table: Path, archive: Path) -> None:
    with intake_run.repository.opened(archive, write=False) as opened:
        study = opened.ledger.study_ids()[0]
    withdraw.withdraw(archive, study)


CHANGES = (
    _more, _fewer, _changed, _changed_under_the_same_time, _renamed, _row_changed, _policy_changed, _withdrawn
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_is_looked_at(
    change: object, donation: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, table, configuration or a withdrawal: whatever happens between, the intake looks at all again."""
    archive, source, table = donation
    intake(archive, [source], table, deidentify=True, workers=1)
    assert again(donation, monkeypatch) is not None
    change(source, table, archive)  # type: ignore[operator]
    assert again(donation, monkeypatch) is None


def test_a_withdrawn_study_is_not_remembered_as_admitted(donation: tuple[Path, Path, Path]) -> None:
    """After a withdrawal the same donation gives one study and refuses the other, however often it comes."""
    archive, source, table = donation
    intake(archive, [source], table, deidentify=True, workers=1)
    _withdrawn(source, table, archive)
    for _ in range(2):
        report = intake(archive, [source], table, deidentify=True, workers=1)
        assert (report.unchanged_studies, report.quarantined_studies) == (1, 1)
        assert "STUDY_WITHDRAWN" in report.codes


def test_what_waits_is_looked_at_on_another_day_and_after_its_discard(
    donation: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study that waits may be ready tomorrow; one that was discarded comes anew."""
    archive, source, table = donation
    table.write_text(table.read_text().replace("given", "", 1))
    assert intake(archive, [source], table, deidentify=True, workers=1).quarantined_studies == 1
    assert again(donation, monkeypatch) is not None
    tomorrow = clock.today() + timedelta(days=1)
    with monkeypatch.context() as patch:
        patch.setattr(clock, "today", lambda: tomorrow)
        assert again(donation, monkeypatch) is None
    entry = quarantine.waiting(archive)[0]
    quarantine.discard(archive, entry.id, "A_TEST")
    assert again(donation, monkeypatch) is None


def test_a_file_that_has_just_changed_is_not_trusted(
    donation: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file as young as the clock's grain could change unseen, so such a look is not remembered."""
    archive, source, table = donation
    monkeypatch.setattr(unchanged_cache, "_RACE_NS", 3600 * 10**9)
    intake(archive, [source], table, deidentify=True, workers=1)
    assert again(donation, monkeypatch) is None
