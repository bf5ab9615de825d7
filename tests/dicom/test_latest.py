"""What is remembered of the latest data set changes nothing: each file is judged as in a fresh process."""

from __future__ import annotations

import warnings
from datetime import date
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from curate.deid import verify
from curate.deid.records import Rewritten, StudyContext
from curate.deid.rewrite import rewrite
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.donation.header_scan import microseconds
from curate.donation.series_grouping import date_shift
from curate.policies import Policy
from tests import synth
from tests.dicom import real
from tests.dicom.test_rewrite import KEYS, forget

POLICY = Policy()
_SHIFT_US, _DAY = date_shift(microseconds("20190304", "081723") or 0, date(2019, 3, 4))
CONTEXT = StudyContext(KEYS, "D" + "a" * 26, _SHIFT_US, _DAY)
_DATES = st.sampled_from(["20190304", "20190306", "18000101", "", "2019"])
_TIMES = st.sampled_from(["081723.5", "235959", "99", "", "120000.123456"])
_CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "AcquisitionDate": _DATES, "AcquisitionTime": _TIMES, "ContentDate": _DATES, "ContentTime": _TIMES,
        "ImageType": st.sampled_from(["ORIGINAL", "DERIVED\\SECONDARY", "Jordi"]),
        "SeriesDescription": st.sampled_from(["Thorax", "Sra. Puig", "CT Niño", "Thorax 1mm", "CT 2.5mm TE 30"]),
        "SequenceName": st.sampled_from(["*fl2d1", "*ep_b50#3", "tse2d1_7"]), "EchoTime": st.sampled_from(["30", "31"]),
        "SpecificCharacterSet": st.sampled_from(["ISO_IR 100", "ISO_IR 192"]),
        "BodyPartExamined": st.sampled_from(["CHEST", "HEAD", ""]), "SliceThickness": st.sampled_from(["1", "2000"]),
        "Modality": st.sampled_from(["CT", "MR", "US"]), "BurnedInAnnotation": st.sampled_from(["YES", "NO"]),
        "SOPClassUID": st.sampled_from(["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7", "1.2.3"]),
        "BitsStored": st.sampled_from([12, 16, 11]), "PatientWeight": st.sampled_from(["70", "3000"]),
        "creator": st.sampled_from(["SIEMENS MR HEADER", "GEMS_PARM_01", "Sra. Puig"]),
        "private": st.sampled_from(["0.28", "7", "1234567"]), "gone": st.sampled_from(["ContentTime", "KVP"]),
    },
)  # fmt: skip


def changed(number: int, changes: dict[str, Any]) -> bytes:
    """An instance of one series, with what this file says otherwise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some of it is not what its VR says
        return _changed(number, changes)


def _changed(number: int, changes: dict[str, Any]) -> bytes:
    ds: Dataset = synth.load_instance(1, 0, 0, number, rows=4, columns=4)
    for name, value in changes.items():
        if name == "creator":
            ds[0x0051, 0x0010].value = value
        elif name == "private":
            ds[0x0019, 0x1090].value = value
        elif name == "gone":
            ds.pop(name, None) if value not in ds else delattr(ds, value)
        else:
            setattr(ds, name, value)
    return synth.to_bytes(ds)


def outcome(data: bytes) -> tuple[object, ...]:
    """Everything that comes of a file."""
    try:
        done = rewrite(data, CONTEXT, POLICY)
    except MalformedError as error:
        return (error.rule, error.tag)
    return (b"".join(map(bytes, done.chunks)), dict(done.applied), done.findings, done.frames)


@settings(deadline=None, max_examples=15)
@given(series=st.lists(_CHANGES, min_size=2, max_size=7))
def test_a_file_after_others_is_rewritten_as_if_it_came_first(series: list[dict[str, Any]]) -> None:
    """Whatever the files before it were, refused ones among them, a file has the bytes of a fresh process."""
    files = [changed(number, changes) for number, changes in enumerate(series)]
    forget()
    warm = [outcome(data) for data in files]
    for data, after_others in zip(files, warm, strict=True):
        forget()
        assert outcome(data) == after_others


def test_a_date_is_judged_anew_where_its_time_differs() -> None:
    """A day that moves across midnight with its time is not taken from the file before it."""
    times = ("000001", "081723.5", "120000", "235959")
    files = [changed(n, {"AcquisitionTime": time}) for n, time in enumerate(times)]
    forget()
    warm = [outcome(data) for data in files]
    dates = {parse(done[0]).dataset.text(0x00080022) for done in warm if isinstance(done[0], bytes)}
    assert len(dates) == 2
    for data, after_others in zip(files, warm, strict=True):
        forget()
        assert outcome(data) == after_others


def test_a_time_is_judged_anew_where_its_date_differs() -> None:
    """A time goes with a day that is not the study's, though the file before it kept the same time."""
    days = ("20190304", "18000101", "20190304", "20190305")
    files = [changed(n, {"AcquisitionDate": day, "AcquisitionTime": "101010"}) for n, day in enumerate(days)]
    forget()
    warm = [outcome(data) for data in files]
    times = [parse(done[0]).dataset.text(0x00080032) for done in warm if isinstance(done[0], bytes)]
    assert len(times) == 4
    assert (times[0], times[1]) == (times[2], "")
    for data, after_others in zip(files, warm, strict=True):
        forget()
        assert outcome(data) == after_others


def test_what_the_whole_data_set_decides_is_decided_anew() -> None:
    """The weight stays in PET and goes from CT, though the file before it was of the other kind."""
    classes = ("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.128") * 2
    files = [changed(n, {"SOPClassUID": uid, "PatientWeight": "70"}) for n, uid in enumerate(classes)]
    forget()
    warm = [outcome(data) for data in files]
    weights = [parse(done[0]).dataset.text(0x00101030) for done in warm if isinstance(done[0], bytes)]
    assert weights == ["", "70", "", "70"]
    for data, after_others in zip(files, warm, strict=True):
        forget()
        assert outcome(data) == after_others


def same_verdict(done: Rewritten) -> None:
    whole = b"".join(map(bytes, done.chunks))
    quick = verify.verify_rewritten(done, POLICY)
    assert quick.findings == verify.verify(whole, POLICY)
    read = {tag: element for tag, element in quick.dataset.items() if tag < 0x7FE00000}
    assert read == {tag: element for tag, element in parse(whole).dataset.items() if tag < 0x7FE00000}


@settings(deadline=None, max_examples=15)
@given(changes=_CHANGES)
def test_the_quick_verdict_is_the_verdict_on_the_whole_file(changes: dict[str, Any]) -> None:
    """The verifier finds the same in a header apart from its pixels as in the joined bytes."""
    try:
        done = rewrite(changed(0, changes), CONTEXT, POLICY)
    except MalformedError:
        return
    same_verdict(done)


def test_the_quick_verdict_on_real_files_is_that_on_the_whole() -> None:
    """So it is for every file of the corpus that the rewriter takes, encapsulated and odd ones too."""
    taken = 0
    for path in real.sample():
        try:
            done = rewrite(path.read_bytes(), CONTEXT, POLICY)
        except MalformedError:
            continue
        same_verdict(done)
        taken += 1
    assert taken > 150


def test_a_header_that_does_not_describe_its_pixels_is_found() -> None:
    """Where the pixels beside a header are not those that it states, the whole file is judged and fails."""
    done = rewrite(changed(0, {}), CONTEXT, POLICY)
    head, pixel_head, pixels = done.chunks
    short = bytes(pixel_head[:8]) + (len(pixels) - 2).to_bytes(4, "little")
    for chunks in (
        (head, pixel_head, pixels[:-2]),
        (head, short, pixels[:-2]),
        (head + b"\0\0", pixel_head, pixels),
    ):
        broken = Rewritten(chunks, *(getattr(done, name) for name in list(done.__dataclass_fields__)[1:]))
        assert verify.verify_rewritten(broken, POLICY).findings
