"""Grouping by UID, the order within a series, and how far a study's dates move."""

from __future__ import annotations

import io
import random
from datetime import date

import pytest

from curate.donation import header_scan, series_grouping
from curate.donation.series_grouping import Grouped, patients
from curate.keys.derivation import Keys
from curate.policies import Policy
from tests import synth

KEYS = Keys.from_secret(b"a secret of the tests" * 2)


def grouped(files: list[tuple[str, bytes]]) -> Grouped[str]:
    return series_grouping.group([(name, header_scan.scan(io.BytesIO(data), len(data), KEYS)) for name, data in files])


def archive() -> list[tuple[str, bytes]]:
    return [
        (
            f"{patient}{study}{series}{instance}",
            synth.instance_bytes(patient, study, series, instance, rows=2, columns=2),
        )
        for patient in range(2)
        for study in range(2)
        for series in range(2)
        for instance in range(3)
    ]


def test_studies_and_series_are_grouped_by_uid_in_any_order() -> None:
    """Whatever order the files come in, the same studies, series and slices result."""
    files = archive()
    expected = [[m.place for m in study.members] for study in grouped(files).studies]
    random.Random(4).shuffle(files)
    studies = grouped(files).studies
    assert [[m.place for m in study.members] for study in studies] == expected
    assert len(studies) == 4
    for study in studies:
        assert [len(series.members) for series in study.series] == [3, 3]
        assert study.findings == ()
        for series in study.series:
            assert [member.place[-1] for member in series.members] == ["0", "1", "2"]


def test_slices_are_ordered_by_position_then_time_then_number() -> None:
    """Position counts first, then the time, then InstanceNumber; what has none comes last."""

    def one(position: float | None, time: float, number: int) -> bytes:
        ds = synth.load_instance(0, 0, 0, number, rows=2, columns=2)
        ds.TemporalPositionIdentifier = int(time)
        if position is None:
            del ds.ImagePositionPatient, ds.SliceLocation
        else:
            ds.ImagePositionPatient = ["0", "0", str(position)]
        return synth.to_bytes(ds)

    places = [("d", one(None, 1, 0)), ("c", one(5, 2, 1)), ("b", one(5, 1, 3)), ("a", one(-5, 9, 2))]
    (study,) = grouped(places).studies
    assert [member.place for member in study.members] == ["a", "b", "c", "d"]


def test_a_study_of_two_patients_is_found() -> None:
    """One StudyInstanceUID on two patients is a finding of the study."""
    ds = synth.load_instance(0, 0, 0, 1)
    ds.PatientID = "another"
    (study,) = grouped([("a", synth.instance_bytes(0, 0, 0, 0)), ("b", synth.to_bytes(ds))]).studies
    assert [finding.rule for finding in study.findings] == ["STUDY_SEVERAL_PATIENTS"]


def of_patient(instance: int, number: str, name: str, born: str) -> bytes:
    ds = synth.load_instance(0, 0, 0, instance, rows=16, columns=16)
    ds.PatientID, ds.PatientName, ds.PatientBirthDate = number, name, born
    return synth.to_bytes(ds)


@pytest.mark.parametrize(
    ("others", "several"),
    [
        ([("", "Roca^Remei", "19400617")], False),  # the same person, whose number one series leaves out
        ([("", "ROCA^REMEI^^", "19400617")], False),
        ([("", "", "")], False),  # nobody is named
        ([("", "Roca^Remei", "19410617")], True),
        ([("", "Vidal^Oriol", "19400617")], True),
        (
            [("77", "Roca^Remei", "19400617")],
            True,
        ),  # two numbers are two patients until somebody says otherwise
        ([("", "Roca^Remei", "19400617"), ("", "Vidal^Oriol", "19500101")], True),
    ],
)
def test_a_file_without_a_number_is_of_the_patient_of_its_name_and_birth_date(
    others: list[tuple[str, str, str]], several: bool
) -> None:
    """PatientID is of type 2 (PS3.3 C.7.1.1): where a series leaves it out, name and birth date tell whose it is."""
    every = [("5", "Roca^Remei", "19400617"), *others]
    files = [(str(number), of_patient(number, *patient)) for number, patient in enumerate(every)]
    for order in (files, files[::-1]):
        (study,) = grouped(order).studies
        assert ([f.rule for f in study.findings] == ["STUDY_SEVERAL_PATIENTS"]) is several


def test_a_study_begins_with_its_first_moment_that_has_a_time() -> None:
    """A date alone, though days before, says no moment; where all are such, the first of them is."""

    def one(number: int, day: str, time: str) -> bytes:
        ds = synth.load_instance(0, 0, 0, number, rows=2, columns=2)
        for kind in ("Study", "Series", "Acquisition", "Content"):
            setattr(ds, f"{kind}Date", day)
            setattr(ds, f"{kind}Time", time)
        return synth.to_bytes(ds)

    for time, day in (("101112", 4), ("", 1)):
        (study,) = grouped([("a", one(0, "20190301", "")), ("b", one(1, "20190304", time))]).studies
        assert study.earliest is not None
        assert series_grouping.day_of(study.earliest) == date(2019, 3, day)


def test_the_mark_of_a_patient_is_that_of_the_number_where_one_file_has_it() -> None:
    """Whose a study is does not depend on which of its files leaves the number out."""
    whole = {
        header_scan.scan(io.BytesIO(data), len(data), KEYS).patient
        for data in (of_patient(0, "5", "Roca^Remei", "19400617"),)
    }
    part = whole | {
        header_scan.scan(io.BytesIO(data), len(data), KEYS).patient
        for data in (of_patient(1, "", "Roca^Remei", "19400617"),)
    }
    assert len(part) == 2 and patients(part) == patients(whole)


def test_doubles_are_named_for_comparison() -> None:
    """Files that share a SOPInstanceUID are listed together, to be compared by digest."""
    data = synth.instance_bytes(0, 0, 0, 0)
    (study,) = grouped([("a", data), ("b", data), ("c", synth.instance_bytes(0, 0, 0, 1))]).studies
    assert [[member.place for member in same] for same in study.doubles] == [["a", "b"]]


def test_an_instance_in_two_studies_is_a_conflict() -> None:
    """One SOPInstanceUID in two studies is a finding of both."""
    ds = synth.load_instance(0, 1, 0, 0)
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = synth.uid(0, 0, 0, 0)
    studies = grouped([("a", synth.instance_bytes(0, 0, 0, 0)), ("b", synth.to_bytes(ds))]).studies
    assert [[finding.rule for finding in study.findings] for study in studies] == [["INSTANCE_UID_CONFLICT"]] * 2


def test_files_of_no_study_are_kept_apart() -> None:
    """What has no StudyInstanceUID, or is no DICOM, is in no study and carries its rule."""
    ds = synth.load_instance()
    del ds.StudyInstanceUID
    found = grouped([("a", synth.to_bytes(ds)), ("b", b"text " * 60), ("c", synth.instance_bytes())])
    assert [(member.place, member.scan.rule) for member in found.loose] == [
        ("a", "STUDY_UID_MISSING"),
        ("b", "NOT_DICOM"),
    ]
    assert len(found.studies) == 1


def test_the_first_acquisition_falls_on_noon_of_its_day() -> None:
    """A donor's first study falls on 2000-01-01; a later one as many days later; both begin at 12:00:00."""
    first = header_scan.microseconds("20190304", "081723.25")
    later = header_scan.microseconds("20190610", "235959")
    assert first is not None
    assert later is not None
    day = date(2019, 3, 4)
    one = series_grouping.study_context(KEYS, "D", first, day, Policy())
    two = series_grouping.study_context(KEYS, "D", later, day, Policy())
    assert (one.study_date, two.study_date) == ("20000101", "20000408")
    assert one.shift_us is not None
    assert two.shift_us is not None
    assert first + one.shift_us == header_scan.microseconds("20000101", "120000")
    assert later + two.shift_us == header_scan.microseconds("20000408", "120000")


def test_dates_go_where_there_is_nothing_to_count_from() -> None:
    """Without a date in the study, or by policy, no date stays."""
    assert series_grouping.study_context(KEYS, "D", None, None, Policy()).shift_us is None
    assert series_grouping.study_context(KEYS, "D", 0, None, Policy(dates="remove")).shift_us is None
