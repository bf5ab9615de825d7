"""The first look at a file: what it finds, how little it reads, and what it says of files that are none."""

from __future__ import annotations

import io
import warnings
from datetime import UTC, datetime

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.dicom.io import file_meta
from curate.dicom.io.scan_record import Scan
from curate.donation import header_scan
from curate.keys.derivation import Keys
from tests import strategies, synth
from tests.dicom import real

KEYS = Keys.from_secret(b"a secret of the tests" * 2)


def scanned(data: bytes) -> Scan:
    return header_scan.scan(io.BytesIO(data), len(data), KEYS)


def test_a_scan_finds_what_grouping_needs() -> None:
    """UIDs, class, date, position and number are those of the header."""
    ds = synth.load_instance(1, 2, 3, 4)
    seen = scanned(synth.to_bytes(ds))
    assert (seen.study_uid, seen.series_uid) == (ds.StudyInstanceUID, ds.SeriesInstanceUID)
    assert (seen.sop_instance_uid, seen.sop_class_uid) == (ds.SOPInstanceUID, ds.SOPClassUID)
    assert (seen.modality, seen.number, seen.frames, seen.rule) == ("CT", 5, 1, "")
    assert seen.position == -290
    assert seen.study_date == ds.StudyDate
    when = datetime.strptime(ds.AcquisitionDate + ds.AcquisitionTime, "%Y%m%d%H%M%S.%f").replace(tzinfo=UTC)
    assert seen.earliest == int(when.timestamp()) * 1_000_000 + when.microsecond


@pytest.mark.parametrize("syntax", [file_meta.IMPLICIT, file_meta.EXPLICIT, file_meta.DEFLATED])
def test_the_syntax_does_not_matter(syntax: str) -> None:
    """A scan is the same in every transfer syntax, but for the syntax and the size."""
    ds = synth.load_instance(1, 0, 0, 4)
    expected = scanned(synth.to_bytes(ds))
    ds.file_meta.TransferSyntaxUID = syntax
    seen = scanned(synth.to_bytes(ds))
    for name in Scan.__slots__:
        if name not in ("transfer_syntax", "size"):
            assert getattr(seen, name) == getattr(expected, name), name
    assert seen.transfer_syntax == syntax


class Counting(io.BytesIO):
    """A file that counts what is read of it."""

    read_bytes = reads = 0

    def read(self, size: int | None = -1) -> bytes:
        """Read and count."""
        data = super().read(size)
        self.reads += 1
        self.read_bytes += len(data)
        return data


def test_a_scan_reads_little() -> None:
    """Of a slice of half a megabyte one read of some kilobytes is enough."""
    data = synth.instance_bytes(rows=512, columns=512)
    file = Counting(data)
    header_scan.scan(file, len(data), KEYS)
    assert file.reads == 1
    assert file.read_bytes <= header_scan.FIRST_READ


def test_a_long_header_is_read_on() -> None:
    """Where private bulk comes before the UIDs, the scan reads until it has them."""
    ds = synth.load_instance()
    ds.private_block(0x0009, "ACME", create=True).add_new(0x01, "OB", bytes(700_000))
    data = synth.to_bytes(ds)
    assert scanned(data).study_uid == ds.StudyInstanceUID


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "NOT_DICOM"),
        (b"study,donor\n1,2\n" * 20, "NOT_DICOM"),
        (synth.instance_bytes()[:700], "TRUNCATED"),
        (
            strategies.part10(strategies.encode([strategies.Node(0x00080060, "CS", b"CT")])),
            "STUDY_UID_MISSING",
        ),
        (bytes(128) + b"DICM", "TRUNCATED"),
    ],
)
def test_what_is_no_instance_says_why(data: bytes, rule: str) -> None:
    """A file that can't be grouped carries the rule, and no error is raised."""
    assert scanned(data).rule == rule


def test_patients_are_told_apart_by_a_keyed_mark() -> None:
    """The mark is the patient's, differs with the key, and is empty where nobody is named."""
    first, again = scanned(synth.instance_bytes(1, 0, 0, 0)), scanned(synth.instance_bytes(1, 5, 0, 0))
    other = scanned(synth.instance_bytes(2, 0, 0, 0))
    assert first.patient == again.patient != other.patient
    data = synth.instance_bytes(1, 0, 0, 0)
    assert header_scan.scan(io.BytesIO(data), len(data), Keys.from_secret(b"x" * 32)).patient != first.patient
    ds = synth.load_instance()
    ds.PatientID = ds.PatientName = ds.PatientBirthDate = ""
    assert scanned(synth.to_bytes(ds)).patient == b""
    assert synth.load_instance(1).PatientID not in repr(first)


def test_the_corpus_is_scanned_as_pydicom_reads_it() -> None:
    """UIDs of every file are those that pydicom finds, and nothing fails."""
    seen = 0
    for path in real.sample(20):
        with path.open("rb") as file:
            found = header_scan.scan(file, path.stat().st_size, KEYS)
        if found.rule:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        assert found.study_uid == ds.StudyInstanceUID
        assert found.series_uid == ds.SeriesInstanceUID
        assert found.sop_instance_uid == ds.SOPInstanceUID
        seen += 1
    assert seen > 150


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_files_never_crash_a_scan(data: st.DataObject) -> None:
    """A cut or changed file gives a scan, with a rule where nothing can be read."""
    damaged = bytearray(WHOLE)
    for _ in range(data.draw(st.integers(0, 6))):
        damaged[data.draw(st.integers(0, len(WHOLE) - 1))] = data.draw(st.integers(0, 255))
    scanned(bytes(damaged[: data.draw(st.integers(0, len(WHOLE)))]))


WHOLE = synth.instance_bytes(rows=2, columns=2)


@pytest.mark.parametrize(
    ("date", "time", "expected"),
    [
        ("19700102", "000001.5", 86_401_500_000),
        ("1970.01.02", "00:00:01", 86_401_000_000),
        ("19700102", "", 86_400_000_000),
        ("", "120000", None),
        ("19701301", "000000", None),
        ("1970010A", "000000", None),
        ("00010101", "000000", None),
        ("99991231", "235959", None),
    ],
)
def test_dates_and_times_as_microseconds(date: str, time: str, expected: int | None) -> None:
    """DA and TM, in their old forms too, become microseconds; what is no date becomes none."""
    assert header_scan.microseconds(date, time) == expected
