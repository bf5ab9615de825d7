"""A study's first day is that of its first acquisition, in the headers as in the manifest, whatever they stated."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement

from curate.deid.rewrite import rewrite
from curate.donation import header_scan
from curate.donation.series_grouping import study_context
from curate.steps.intake import intake
from curate.steps.release import release
from tests import synth
from tests.corpus import write_table
from tests.planter.system import KEYS, POLICY
from tests.steps.archives import make_archive
from tests.steps.images import errors_of, images_of, rows_of

_TIMES = ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationTime")
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate")
_NO_TIMES = dict.fromkeys(_TIMES, "")
ODD: dict[str, dict[str, str]] = {
    "study opened a month before": {"StudyDate": "20190201", "AcquisitionDateTime": "20190304220104.365694"},
    "study opened long before": {"StudyDate": "20180101", "AssertionDateTime": "20190520165608.796002"},
    "study filed days after": {"StudyDate": "20190309", "StudyTime": "235959"},
    "study filed a year after": {"StudyDate": "20200309"},
    "series before": {"SeriesDate": "20190228", "AcquisitionDate": "", "AcquisitionTime": ""},
    "content days before": {"ContentDate": "20190220", "ContentTime": "000001"},
    "no times": _NO_TIMES,
    "no times, days apart": {**_NO_TIMES, "StudyDate": "20190301", "SeriesDate": "20190306"},
    "study without a time, scanned after midnight": {
        "StudyTime": "", "AcquisitionDate": "20190305", "AcquisitionTime": "000130",
    },
    "study before midnight, scanned after": {
        "StudyDate": "20190304", "StudyTime": "235000", "AcquisitionDate": "20190305", "AcquisitionTime": "000130",
    },
    "no study date": {"StudyDate": ""},
    "no study date, with a time": {"StudyDate": "", "StudyTime": "101010"},
    "no date at all": {**_NO_TIMES, **dict.fromkeys(_DATES, "")},
    "a date with dots": {"StudyDate": "2019.03.01"},
    "a study before all calendars": {"StudyDate": "18600101", "AcquisitionDate": "18600203"},
}  # fmt: skip


def _put(ds: pydicom.Dataset, values: dict[str, str]) -> None:
    """Set attributes as a careless scanner would: forms that the standard gave up too."""
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        ds[tag] = DataElement(tag, dictionary_VR(tag), value, validation_mode=IGNORE)


def _take_in(archive: Path, folder: Path, studies: list[list[dict[str, str]]], donor: str = "") -> None:
    """One study for each list, with one instance for each dictionary of its values."""
    uids = [synth.uid(number, 0) for number in range(len(studies))]
    for number, instances in enumerate(studies):
        for place, values in enumerate(instances):
            data = synth.load_instance(number, 0, 0, place, rows=8, columns=8)
            data.PatientID = donor or data.PatientID
            _put(data, values)
            path = folder / f"{number}" / f"{place}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(synth.to_bytes(data))
    table = write_table(folder.parent / "studies.csv", uids, donor=donor)
    report = intake(archive, [folder], table, deidentify=True, workers=1)
    assert report.admitted_studies == len(studies), report.codes


def _days(archive: Path) -> dict[str, set[str]]:
    """What the images state of each study's date, held against the manifest by `check`."""
    folder = release(archive).path
    assert not errors_of(folder)
    found: dict[str, set[str]] = {row["study_id"]: set() for row in rows_of(folder, "studies")}
    for ds in images_of(folder):
        found[ds.StudyInstanceUID].add(str(ds.StudyDate or ""))
    return found


@pytest.mark.parametrize(("study_date", "time"), [("20190201", ""), ("20190304", "120000")])
def test_a_study_time_of_another_day_says_nothing(study_date: str, time: str) -> None:
    """A study opened on another day than it was scanned has the scan's date, and no time; else both move alike."""
    data = synth.load_instance(0, 0, 0, 0, rows=8, columns=8)
    for kind in ("Study", "Series", "Acquisition", "Content"):
        setattr(data, f"{kind}Date", "20190304")
        setattr(data, f"{kind}Time", "101112")
    data.StudyDate = study_date
    raw = synth.to_bytes(data)
    moment = header_scan.microseconds("20190304", "101112")
    context = study_context(KEYS, "D", moment, None, POLICY)
    made = pydicom.dcmread(io.BytesIO(b"".join(rewrite(raw, context, POLICY).chunks)))
    assert (made.StudyDate, made.StudyTime, made.AcquisitionDate) == ("20000101", time, "20000101")


def test_every_order_of_dates_is_released(tmp_path: Path) -> None:
    """Studies opened before their scan, filed after it, without times, across midnight: each has one first day."""
    archive = make_archive(tmp_path / "archive")
    _take_in(archive, tmp_path / "in", [[values, {}] for values in ODD.values()])
    assert {len(days) for days in _days(archive).values()} == {1}


def test_a_lone_odd_instance_is_released(tmp_path: Path) -> None:
    """The same of studies of one instance each, where nothing else states the day."""
    archive = make_archive(tmp_path / "archive")
    _take_in(archive, tmp_path / "in", [[values] for values in ODD.values()])
    days = _days(archive)
    assert {day for found in days.values() for day in found} <= {"20000101", ""}


def test_a_study_a_lifetime_after_the_donors_first_states_no_day(tmp_path: Path) -> None:
    """A damaged date that moves a donor's other study out of all bounds leaves it without a day in both."""
    archive = make_archive(tmp_path / "archive")
    damaged = dict.fromkeys(_DATES, "18960203")
    _take_in(archive, tmp_path / "in", [[damaged], [{}, {"StudyDate": "20060203"}]], donor="P1")
    assert sorted(map(sorted, _days(archive).values())) == [[""], ["20000101"]]


def test_a_time_of_another_day_says_nothing(tmp_path: Path) -> None:
    """StudyTime stays beside the first day where it was of that day; a study's opening days before has none."""
    archive = make_archive(tmp_path / "archive")
    names = ("study opened a month before", "study before midnight, scanned after")
    _take_in(archive, tmp_path / "in", [[ODD[name]] for name in names])
    (opened,), (midnight,) = (list(_images_of_study(archive, number)) for number in range(2))
    assert (opened.StudyDate, opened.StudyTime) == ("20000101", "")
    assert (midnight.StudyDate, midnight.StudyTime) == ("20000101", "114830")


def _images_of_study(archive: Path, number: int) -> list[pydicom.Dataset]:
    folder = release(archive).path
    by_rows = sorted(images_of(folder), key=lambda ds: str(ds.StudyTime))
    return [by_rows[number]]


@pytest.mark.parametrize("first", [0, 1])
def test_a_later_batch_keeps_the_one_first_day(tmp_path: Path, first: int) -> None:
    """Instances that come in two batches state the same day, whichever comes first."""
    archive = make_archive(tmp_path / "archive")
    values: list[dict[str, str]] = [{}, {"StudyDate": "20190201", "AcquisitionDate": "20190302"}]
    paths = []
    for place in (first, 1 - first):
        data = synth.load_instance(0, 0, 0, place, rows=8, columns=8)
        _put(data, values[place])
        path = tmp_path / f"in{place}" / "0.dcm"
        path.parent.mkdir()
        path.write_bytes(synth.to_bytes(data))
        paths.append(path.parent)
    table = write_table(tmp_path / "studies.csv", [synth.uid(0, 0)])
    for folder in paths:
        intake(archive, [folder], table, deidentify=True, workers=1)
    assert [len(days) for days in _days(archive).values()] == [1]
