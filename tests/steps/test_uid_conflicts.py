"""UIDs that stand in several studies, which no release could hold: found at intake, in whatever order they come."""

from __future__ import annotations

import sqlite3
from itertools import permutations
from pathlib import Path

import pytest

from curate.archive import repository
from curate.steps.deidentify import deidentify
from curate.steps.intake import IntakeReport, intake
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from tests import synth
from tests.corpus import write_table
from tests.steps.archives import make_archive
from tests.steps.images import errors_of, rows_of

SERIES, INSTANCE = "SERIES_UID_CONFLICT", "INSTANCE_UID_CONFLICT"
CASE = Path(__file__).resolve().parents[3] / "shared" / "cases" / "series-uid-in-three-studies"


def _write(folder: Path, study: int, *, series: str = "", uid: str = "", instance: int = 0) -> Path:
    """An instance of a study, whose series or own UID is another study's."""
    data = synth.load_instance(study, 0, 0, instance, rows=8, columns=8)
    data.SeriesInstanceUID = series or data.SeriesInstanceUID
    if uid:
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{study}-{instance}.dcm").write_bytes(synth.to_bytes(data))
    return folder


def _take_in(archive: Path, folder: Path, studies: range = range(4), workers: int = 1) -> IntakeReport:
    table = write_table(folder.parent / "studies.csv", [synth.uid(study, 0) for study in studies])
    return intake(archive, [folder], table, deidentify=True, workers=workers)


def _released(archive: Path) -> int:
    folder = release(archive).path
    assert not errors_of(folder)
    return len(rows_of(folder, "studies"))


@pytest.mark.parametrize(("shared", "rule"), [("series", SERIES), ("uid", INSTANCE)])
@pytest.mark.parametrize("order", list(permutations(range(3)))[::2])
def test_the_first_of_several_batches_holds_the_uid(
    tmp_path: Path, shared: str, rule: str, order: tuple[int, ...]
) -> None:
    """Of three studies that share a UID the first is admitted, the later wait, and the release passes its check."""
    archive = make_archive(tmp_path / "archive")
    found = []
    for study in order:
        folder = _write(tmp_path / f"in{study}", study, **{shared: synth.uid(0, 0, 9)})
        found.append(_take_in(archive, folder).codes.get(rule, 0))
    assert found == [0, 1, 1]
    assert _released(archive) == 1


@pytest.mark.parametrize(("shared", "rule"), [("series", SERIES), ("uid", INSTANCE)])
@pytest.mark.parametrize("workers", [1, 2])
def test_within_a_batch_nobody_knows_whose_it_is(tmp_path: Path, shared: str, rule: str, workers: int) -> None:
    """Three studies of one batch that share a UID all wait; the fourth, which does not, is admitted."""
    archive = make_archive(tmp_path / "archive")
    for study in range(3):
        _write(tmp_path / "in", study, **{shared: synth.uid(0, 0, 9)})
    report = _take_in(archive, _write(tmp_path / "in", 3), workers=workers)
    assert (report.codes[rule], report.quarantined_studies, report.admitted_studies) == (3, 3, 1)
    assert _released(archive) == 1


def test_what_is_admitted_stays_beside_one_that_comes_with_it(tmp_path: Path) -> None:
    """An admitted study that comes again, with another that claims its series, is as it was; the other waits."""
    archive = make_archive(tmp_path / "archive")
    series = synth.uid(0, 0, 9)
    _take_in(archive, _write(tmp_path / "first", 0, series=series))
    _write(tmp_path / "second", 0, series=series)
    _write(tmp_path / "second", 0, series=series, instance=1)
    report = _take_in(archive, _write(tmp_path / "second", 1, series=series))
    assert (report.codes[SERIES], report.quarantined_studies, report.joined_instances) == (1, 1, 1)
    assert _released(archive) == 1


def test_a_late_batch_joins_without_what_another_study_holds(tmp_path: Path) -> None:
    """Of the new instances of an admitted study those of another's series wait, by their rule; the rest joins."""
    archive = make_archive(tmp_path / "archive")
    _write(tmp_path / "first", 0, series=synth.uid(0, 0, 9))
    _take_in(archive, _write(tmp_path / "first", 1))
    _write(tmp_path / "late", 1, series=synth.uid(0, 0, 9), instance=1)
    report = _take_in(archive, _write(tmp_path / "late", 1, instance=2))
    assert (report.codes[SERIES], report.quarantined_instances, report.joined_instances) == (1, 1, 1)
    with repository.opened(archive, write=False) as held:
        assert [entry.codes for entry in held.ledger.quarantined()] == [{SERIES: 1}]
    assert _released(archive) == 2


def test_after_a_withdrawal_the_other_study_may_enter(tmp_path: Path) -> None:
    """A study that was withdrawn holds nothing any more."""
    archive = make_archive(tmp_path / "archive")
    series = synth.uid(0, 0, 9)
    _take_in(archive, _write(tmp_path / "first", 0, series=series))
    second = _write(tmp_path / "second", 1, series=series)
    assert _take_in(archive, second).codes[SERIES] == 1
    withdraw(archive, synth.uid(0, 0))
    report = _take_in(archive, second)
    assert (report.admitted_studies, report.codes.get(SERIES)) == (1, None)
    assert _released(archive) == 1
    with repository.opened(archive, write=False) as held:
        assert not list(held.ledger.quarantined())


def test_an_archive_of_an_earlier_version_knows_its_uids(tmp_path: Path) -> None:
    """Where no claims were kept, they are drawn from the records, at the next intake."""
    archive = make_archive(tmp_path / "archive")
    series = synth.uid(0, 0, 9)
    _take_in(archive, _write(tmp_path / "first", 0, series=series))
    with sqlite3.connect(archive / "ledger.db") as db:
        db.execute("DROP TABLE claims")
    assert _take_in(archive, _write(tmp_path / "second", 1, series=series)).codes[SERIES] == 1


def test_a_series_keeps_to_one_study_at_the_hospital(tmp_path: Path) -> None:
    """Within a run all studies that share a series are refused; in a later run, those that DEST does not hold."""
    series, dest = synth.uid(0, 0, 9), tmp_path / "out"
    assert deidentify([_write(tmp_path / "a", 0, series=series)], dest, workers=1).written_studies == 1
    later = deidentify([_write(tmp_path / "b", 1, series=series)], dest, workers=1)
    assert (later.written_studies, later.codes) == (0, {SERIES: 1})
    again = deidentify([tmp_path / "a"], dest, workers=1)
    assert (again.unchanged_instances, again.codes) == (1, {})
    both = deidentify([tmp_path / "a", tmp_path / "b"], tmp_path / "other", workers=1)
    assert (both.written_studies, both.codes) == (0, {SERIES: 2})


@pytest.mark.skipif(not CASE.is_dir(), reason="the shared cases are not beside the project")
def test_the_case_of_three_studies(tmp_path: Path) -> None:
    """Three real studies of one series: all wait in one batch; one by one, the first is admitted."""
    import pydicom

    paths = sorted(CASE.glob("*.dcm"))
    table = write_table(tmp_path / "studies.csv", sorted({str(pydicom.dcmread(p).StudyInstanceUID) for p in paths}))
    whole, single = make_archive(tmp_path / "whole"), make_archive(tmp_path / "single")
    assert intake(whole, [CASE], table, deidentify=True, workers=1).codes[SERIES] == 3
    found = [intake(single, [path], table, deidentify=True, workers=1).codes.get(SERIES, 0) for path in paths]
    assert found == [0, 1, 1]
    assert _released(single) == 1
