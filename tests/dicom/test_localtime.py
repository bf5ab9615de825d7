"""Date-times with an offset from UTC join the clock of their instance's dates and times before they move."""

from __future__ import annotations

import io
from datetime import datetime

import pydicom
import pytest
from pydicom.dataset import Dataset

from curate.deid import dates, local_time
from curate.deid.rewrite import rewrite
from curate.deid.verify import verify
from curate.dicom.io.reader import parse
from curate.donation.header_scan import scan
from tests import synth
from tests.corpus import ROOT
from tests.dicom.test_science import rewritten, suv
from tests.planter.system import KEYS, POLICY, context_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of date-times as other standards write them


def pet(zone: str, start: str, stop: str = "", time: str = "") -> Dataset:
    """A series of 2019-03-04 08:16 on the clock of `zone`, and an injection."""
    dataset = synth.load_instance(modality="PT", rows=16, columns=16)
    dataset.PatientWeight, dataset.Units, dataset.DecayCorrection = 70, "BQML", "START"
    for kind in ("Study", "Series", "Acquisition"):
        setattr(dataset, f"{kind}Date", "20190304")
        setattr(dataset, f"{kind}Time", "081600")
    if zone:
        dataset.TimezoneOffsetFromUTC = zone
    agent = Dataset()
    agent.RadiopharmaceuticalStartDateTime, agent.RadiopharmaceuticalStopDateTime = start, stop or start
    agent.RadiopharmaceuticalStartTime = time
    agent.RadionuclideTotalDose, agent.RadionuclideHalfLife = 370e6, 6586.2
    dataset.RadiopharmaceuticalInformationSequence = [agent]
    return dataset


def moments(made: Dataset) -> list[datetime]:
    agent = made.RadiopharmaceuticalInformationSequence[0]
    texts = (agent.RadiopharmaceuticalStartDateTime, agent.RadiopharmaceuticalStopDateTime)
    return [datetime.strptime(str(text)[:14], "%Y%m%d%H%M%S") for text in (*texts, made.SeriesDate + made.SeriesTime)]


@pytest.mark.parametrize(
    ("zone", "start", "stop", "time"),
    [
        ("+0100", "20190304061500+0000", "20190304061600+0000", ""),  # the case of a public report
        ("+0100", "20190304071500", "20190304071600+0100", ""),
        ("+0100", "20190304061500.00+0000", "20190304011600-0500", ""),
        ("-0330", "20190304104500+0000", "20190304104600Z", ""),
        ("+1300", "20190303181500+0000", "20190303181600+0000", ""),  # the day before
        ("", "20190304061500+0000", "20190304061600+0000", "071500"),  # told by the time beside it
        ("", "20190304071500+0100", "20190304061600+0000", ""),  # the first one's clock
        ("", "2019-03-04T06:15:00Z", "2019-03-04T07:16:00+01:00", "071500.0"),
        ("", "20190303221500+0000", "20190303221600+0000", "071500"),  # before midnight there, after it here
    ],
)  # fmt: skip
def test_an_injection_stays_as_far_from_the_series_as_it_was(zone: str, start: str, stop: str, time: str) -> None:
    """61 minutes from the injection to the series, whichever clock each of them was written on."""
    data = synth.to_bytes(pet(zone, start, stop, time))
    made = rewritten(data)
    first, last, series = moments(made)
    assert ((series - first).seconds, (series - last).seconds) == (61 * 60, 60 * 60)
    assert "TimezoneOffsetFromUTC" not in made
    out = b"".join(rewrite(data, context_of(data), POLICY).chunks)
    assert [finding.rule for finding in verify(out, POLICY) if finding.rule != "DONOR_ID_MISSING"] == []


@pytest.mark.parametrize("kind", ["Acquisition", "Content"])
def test_the_clock_is_told_by_a_date_time_beside_its_date_and_time(kind: str) -> None:
    """Where no offset is stated: an acquisition or observation in UTC and its local date and time are one moment."""
    dataset = pet("", "20190304061500+0000", "20190304061600+0000")
    setattr(dataset, f"{kind}Date", "20190304")
    setattr(dataset, f"{kind}Time", "081600")
    setattr(dataset, "ObservationDateTime" if kind == "Content" else "AcquisitionDateTime", "20190304071600+0000")
    first, _, series = moments(rewritten(synth.to_bytes(dataset)))
    assert (series - first).seconds == 61 * 60


def test_the_uptake_value_is_exact() -> None:
    """SUVbw from a date-time in UTC is that of the same moment on the scanner's clock."""
    utc = rewritten(synth.to_bytes(pet("+0100", "20190304061500+0000")))
    local = rewritten(synth.to_bytes(pet("+0100", "20190304071500")))
    assert suv(utc, 1000) == suv(local, 1000)


def test_every_date_time_of_an_instance_moves_alike() -> None:
    """At the top, in functional groups and in a report's content; with an offset or on the instance's own clock."""
    dataset = pet("+0200", "20190304061600+0000")
    dataset.AcquisitionDateTime = "20190304061600+0000"
    frame = Dataset()
    frame.FrameReferenceDateTime, frame.FrameAcquisitionDateTime = "20190304081700", "20190304061700+0000"
    group, content = Dataset(), Dataset()
    group.FrameContentSequence = [frame]
    dataset.PerFrameFunctionalGroupsSequence = [group]
    content.ValueType, content.RelationshipType = "DATETIME", "CONTAINS"
    content.ConceptNameCodeSequence = [synth._code("111526", "DCM", "DateTime Started")]
    content.DateTime, content.ObservationDateTime = "20190304021800-0400", "20190304081900"
    dataset.ContentSequence = [content]
    made = rewritten(synth.to_bytes(dataset))
    inner, report = made.PerFrameFunctionalGroupsSequence[0].FrameContentSequence[0], made.ContentSequence[0]
    found = [
        made.AcquisitionDateTime, inner.FrameReferenceDateTime, inner.FrameAcquisitionDateTime, report.DateTime,
        report.ObservationDateTime,
    ]  # fmt: skip
    assert [text[8:14] for text in found] == ["120000", "120100", "120100", "120200", "120300"]
    assert made.AcquisitionTime == "120000"


def test_instances_of_one_series_on_two_clocks_are_each_on_their_own() -> None:
    """What is remembered of one instance's date-times is not taken for another's, whose offset differs."""
    first, second = (synth.to_bytes(pet(zone, "20190304061500+0000")) for zone in ("+0100", "+0200"))
    context = context_of(first)
    for data, minutes in ((first, 61), (second, 1), (first, 61), (second, 1)):
        made = pydicom.dcmread(io.BytesIO(b"".join(rewrite(data, context, POLICY).chunks)))
        start, _, series = moments(made)
        assert (series - start).seconds == minutes * 60


def test_the_first_moment_of_a_study_is_on_its_files_clock() -> None:
    """An acquisition in UTC is no other moment than the date and time beside it."""
    dataset = pet("+0100", "20190304061500+0000")
    without = synth.to_bytes(dataset)
    dataset.AcquisitionDateTime = "20190304071600.0+0000"
    stated = synth.to_bytes(dataset)
    del dataset.TimezoneOffsetFromUTC
    unstated = synth.to_bytes(dataset)
    found = {scan(io.BytesIO(data), len(data), KEYS).earliest for data in (without, stated, unstated)}
    assert len(found) == 1


@pytest.mark.parametrize(
    ("raw", "offset"),
    [(b"+0100", 60), (b"-0330 ", -210), (b"20190304+0100", 60), (b"20190304061500.5Z", 0), (b"+2500", None),
     (b"", None)],
)  # fmt: skip
def test_an_offset_is_read_from_the_end_of_a_value(raw: bytes, offset: int | None) -> None:
    """PS3.5 6.2: &ZZXX; and as other standards write it."""
    assert dates.parse_offset(raw) == offset


@pytest.mark.parametrize(
    ("start", "time", "clock"),
    [("20190304061500+0000", "072200", 0), ("20190304061500+1000", "171500", 600)],
)
def test_a_time_that_cannot_be_the_same_moment_tells_no_clock(start: str, time: str, clock: int) -> None:
    """A difference that is no quarter of an hour, or gives an offset beyond 14 hours, is no difference of clocks."""
    data = synth.to_bytes(pet("", start, "", time))
    assert local_time.offset_of(parse(data).dataset) == clock


def test_the_case_of_the_public_report() -> None:
    """61 minutes, not 121."""
    path = ROOT.parent / "cases" / "pet-injection-with-utc-offset" / "pet.dcm"
    if not path.exists():
        pytest.skip("needs the shared cases")
    made = rewritten(path.read_bytes())
    series = datetime.strptime(made.SeriesDate + str(made.SeriesTime)[:6], "%Y%m%d%H%M%S")
    start = str(made.RadiopharmaceuticalInformationSequence[0].RadiopharmaceuticalStartDateTime)[:14]
    assert (series - datetime.strptime(start, "%Y%m%d%H%M%S")).seconds // 60 == 61
