"""The checker: silent on clean files, and on no file that the rewriter would change."""

from __future__ import annotations

import io
import struct

import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.findings import Severity
from curate.deid import rewrite, verify
from curate.dicom.io import reader
from curate.dicom.model import MalformedError
from curate.policies import Policy
from tests import synth
from tests.dicom import real
from tests.dicom.test_rewrite import CONTEXT, POLICY, errors, whole

CLEAN = whole(rewrite.rewrite(synth.instance_bytes(4, 0, 0, 2, rows=8, columns=8), CONTEXT, POLICY))


def rules(data: bytes) -> set[str]:
    return {rule for rule, _ in errors(data)}


def edited(change: str, value: object) -> bytes:
    ds = pydicom.dcmread(io.BytesIO(CLEAN))
    setattr(ds, change, value)
    buffer = io.BytesIO()
    ds.save_as(buffer)
    return buffer.getvalue()


def test_a_clean_file_is_clean() -> None:
    """The checker finds no error in what the rewriter wrote."""
    assert errors(CLEAN) == []


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"JOHN DOE" + CLEAN[8:], "PREAMBLE_NOT_ZERO"),
        (CLEAN + b"JOHN DOE", "TRAILING_BYTES"),
        (CLEAN[:-10], "TRUNCATED"),
        (b"", "NOT_DICOM"),
        (edited("PatientName", "Roca^Oriol"), "VALUE_NOT_CLEAN"),
        (edited("PatientAddress", "Carrer Nou 1"), "ATTRIBUTE_NOT_ALLOWED"),
        (edited("FrameOfReferenceUID", "1.2.3"), "VALUE_NOT_CLEAN"),
        (edited("PatientIdentityRemoved", "NO"), "VALUE_NOT_CLEAN"),
        (edited("PixelData", bytes(128) + b"JOHN DOE"), "PIXEL_CONTAINER"),
    ],
)
def test_each_kind_of_remnant_has_its_rule(data: bytes, expected: str) -> None:
    """What is wrong with a file is named by rule; the finding never holds the value."""
    found = verify.verify(data, POLICY)
    assert expected in {finding.rule for finding in found}
    assert "Roca" not in repr(found)
    assert "DOE" not in repr(found)


def test_a_finding_names_the_place_in_a_sequence() -> None:
    """The tag of a finding is the path of keywords to the attribute."""
    ds = pydicom.dcmread(io.BytesIO(CLEAN))
    ds.ReferencedImageSequence[1].PatientAddress = "Carrer Nou 1"
    buffer = io.BytesIO()
    ds.save_as(buffer)
    assert ("ATTRIBUTE_NOT_ALLOWED", "ReferencedImageSequence[1].PatientAddress") in errors(buffer.getvalue())


def test_hidden_bytes_of_the_encoding_are_found() -> None:
    """What stands where no value is (reserved bytes, group lengths, meta) is found too."""
    pixels = CLEAN.index(struct.pack("<HH2s", 0x7FE0, 0x0010, b"OW"))
    reserved = CLEAN[: pixels + 6] + b"XY" + CLEAN[pixels + 8 :]
    assert rules(reserved)
    group = struct.pack("<HH2sHL", 0x0008, 0, b"UL", 4, 0x4A4F484E)
    start = 144 + int.from_bytes(CLEAN[140:144], "little")
    assert rules(CLEAN[:start] + group + CLEAN[start:])
    ds = pydicom.dcmread(io.BytesIO(CLEAN))
    ds.file_meta.SourceApplicationEntityTitle = "HOSPITAL"
    buffer = io.BytesIO()
    ds.save_as(buffer)
    assert "META_UNEXPECTED" in rules(buffer.getvalue())


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_file_that_would_change_passes(data: st.DataObject) -> None:
    """The checker is silent only on files that the rewriter writes back byte for byte."""
    changed = bytearray(CLEAN)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.one_of(st.integers(0, len(CLEAN) - 129), st.integers(0, len(CLEAN) - 1)))
        changed[place] = data.draw(st.integers(0, 255))
    copy = bytes(changed)
    if errors(copy):
        return
    context = verify.released_context(reader.parse(copy).dataset, POLICY)
    assert whole(rewrite.rewrite(copy, context, POLICY)) == copy


def test_no_original_of_the_corpus_passes() -> None:
    """Each original of the corpus has at least one error, since each would be changed."""
    for path in real.sample(60):
        assert verify.verify(path.read_bytes(), POLICY), path.name
        try:
            rewrite.rewrite(path.read_bytes(), CONTEXT, POLICY)
        except MalformedError:
            continue
        assert errors(path.read_bytes()), path.name


def test_removed_dates_are_checked_by_the_same_policy() -> None:
    """A file whose dates were removed passes under that policy."""
    policy = Policy(dates="remove")
    context = verify.StudyContext(CONTEXT.keys, CONTEXT.donor_id, None, "")
    clean = whole(rewrite.rewrite(synth.instance_bytes(4, 0, 0, 2), context, policy))
    found = verify.verify(clean, policy)
    assert [finding.rule for finding in found if finding.severity is Severity.ERROR] == []
