"""A release that was cut passes its own check, always: odd but admissible studies through intake, release, check."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pydicom
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curate.steps.intake import intake
from curate.steps.release import release
from tests import synth
from tests.corpus import write_table
from tests.steps.archives import make_archive
from tests.steps.images import errors_of, rows_of

_DAYS = st.sampled_from(["20190304", "20190303", "20190305", "20190220", "20190404", "20180101", "18991231", ""])
_CLOCKS = st.sampled_from(["101112.5", "000000", "235959.999999", "1200", "", "246060"])
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate")
_TIMES = ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationTime")
_WHENS = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(_DATES, _DAYS), **dict.fromkeys(_TIMES, _CLOCKS)}
)  # fmt: skip
_TODAY = date.today().toordinal()  # few examples, others each day, and the same in every process
_LONG = "1.2.826.0.1.3680043.8.498." + "9" * 37  # 64 characters with the number behind


@dataclass(frozen=True)
class Drawn:
    """One instance: of which study and series, at which place, and what it states oddly."""

    study: int
    series: int
    number: int | None
    frame_of_reference: int | None
    long_uid: bool
    copies: int
    when: dict[str, str] = field(default_factory=dict)
    moment: str = ""
    refers: tuple[int, ...] = ()


_INSTANCES = st.builds(
    Drawn,
    study=st.integers(0, 2),
    series=st.integers(0, 3),
    number=st.none() | st.integers(0, 3) | st.just(99_999),
    frame_of_reference=st.none() | st.integers(0, 1),
    long_uid=st.booleans(),
    copies=st.integers(1, 2),
    when=_WHENS,
    moment=st.sampled_from(["", "", "20190304220104.365694", "20190520165608", "20190304"]),
    refers=st.lists(st.integers(0, 3), max_size=3).map(tuple),
)


def _dataset(one: Drawn, place: int) -> Dataset:
    """The instance; its series is its study's own, or (3) one that all studies claim."""
    ds = synth.load_instance(one.study, 0, one.series, place, rows=8, columns=8)
    ds.PatientID = "P0"  # all of one donor: days between studies count
    if one.series == 3:
        ds.SeriesInstanceUID = synth.uid(0, 0, 3)
    if one.long_uid:
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"{_LONG}{place % 10}"
    if one.number is None:
        del ds.InstanceNumber
    else:
        ds.InstanceNumber = one.number
    if one.frame_of_reference is None:
        ds.pop("FrameOfReferenceUID", None)
    else:
        ds.FrameOfReferenceUID = synth.uid(0, 9, one.frame_of_reference)
    for keyword, value in one.when.items():
        with pydicom.config.disable_value_validation():
            setattr(ds, keyword, value)
    if one.moment:
        ds.AcquisitionDateTime = ds.AssertionDateTime = one.moment
    ds.ReferencedSeriesSequence = Sequence([_reference(series, one.study) for series in one.refers])
    return ds


def _reference(series: int, study: int) -> Dataset:
    """A reference to a series, whose study it names or not."""
    inner, item = Dataset(), Dataset()
    inner.ReferencedSOPClassUID, inner.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", synth.uid(7, 0, series)
    item.SeriesInstanceUID = synth.uid(7, 0, series % 2)
    if series > 1:
        item.StudyInstanceUID = synth.uid(7, study)
    item.ReferencedInstanceSequence = Sequence([inner])
    return item


def _write(folder: Path, drawn: list[Drawn]) -> None:
    for place, one in enumerate(drawn):
        with pydicom.config.disable_value_validation():
            data = synth.to_bytes(_dataset(one, place))
        for copy in range(one.copies):
            path = folder / f"{place}-{copy}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


def _released(root: Path, batches: list[list[Drawn]]) -> Path | None:
    """Take batches in, one after the other, and cut; None where nothing was admitted."""
    archive = make_archive(root / "archive")
    studies = sorted({one.study for drawn in batches for one in drawn})
    table = write_table(root / "studies.csv", [synth.uid(number, 0) for number in studies], donor="P0")
    admitted = 0
    for number, drawn in enumerate(batches):
        if drawn:
            _write(root / f"in{number}", drawn)
            admitted += intake(archive, [root / f"in{number}"], table, deidentify=True, workers=1).admitted_instances
    return release(archive).path if admitted else None


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@seed(_TODAY)
@settings(
    deadline=None, max_examples=5, database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(first=st.lists(_INSTANCES, min_size=1, max_size=8), second=st.lists(_INSTANCES, max_size=4))
def test_a_release_that_was_cut_passes_its_own_check(first: list[Drawn], second: list[Drawn]) -> None:
    """Whatever is admitted, in one batch or two, can be released, and what is released is right by its own bytes."""
    with tempfile.TemporaryDirectory() as folder:
        place = _released(Path(folder), [first, second])
        assert place is None or not errors_of(place)


def test_a_study_of_many_instances_passes(tmp_path: Path) -> None:
    """Hundreds of instances of one place, time and number, in three series, are one study in one order."""
    drawn = [Drawn(0, place % 3, None, None, long_uid=False, copies=1) for place in range(400)]
    place = _released(tmp_path, [drawn])
    assert place is not None
    assert [row["instance_count"] for row in rows_of(place, "studies")] == [400]
    assert not errors_of(place)
