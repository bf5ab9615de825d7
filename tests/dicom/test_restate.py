"""A clean file under another pseudonym and on other days is clean, and comes back as it was."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pydicom

from curate.core.findings import has_errors
from curate.deid import rewrite, verify
from curate.deid.dates import parse_date
from curate.deid.pseudonyms import donor_id, further_donor_id, new_uid
from curate.deid.repseudonymize import repseudonymize
from curate.dicom.model import MalformedError
from tests import synth
from tests.dicom import real
from tests.dicom.test_rewrite import KEYS, POLICY, context_of, forget, whole

DONOR = donor_id(KEYS, "donor 1")
FURTHER = further_donor_id(KEYS, DONOR, 1)


def test_only_pseudonym_dates_and_other_uids_change() -> None:
    """PatientID is the further one, all dates are as many days later, own UIDs stay and others are new."""
    clean = whole(rewrite.rewrite(synth.instance_bytes(), context_of(synth.instance_bytes()), POLICY))
    before = pydicom.dcmread(io.BytesIO(clean))
    own = {before.StudyInstanceUID, before.SeriesInstanceUID, before.SOPInstanceUID}
    data = repseudonymize(clean, FURTHER, 40, lambda uid: uid if uid in own else new_uid(KEYS, f"1 {uid}"), POLICY)
    after = pydicom.dcmread(io.BytesIO(data))
    assert not has_errors(verify.verify(data, POLICY))
    assert DONOR.encode() not in data
    assert after.PatientID == FURTHER != DONOR
    for name in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        assert _day(after[name].value) - _day(before[name].value) == timedelta(days=40)
    assert (after.StudyTime, after.ContentTime) == (before.StudyTime, before.ContentTime)
    assert {after.StudyInstanceUID, after.SeriesInstanceUID, after.SOPInstanceUID} == own
    assert after.FrameOfReferenceUID == new_uid(KEYS, f"1 {before.FrameOfReferenceUID}")
    named = {item.ReferencedSOPInstanceUID for item in after.ReferencedImageSequence}
    assert not named & {item.ReferencedSOPInstanceUID for item in before.ReferencedImageSequence}
    assert after.PixelData == before.PixelData


def test_a_series_is_restated_file_by_file_as_in_a_fresh_process() -> None:
    """What is remembered of the files before, with UIDs that this one gets only now, gives no file another's."""
    forget()
    files = [synth.instance_bytes(1, 0, 0, number) for number in range(6)]
    clean = [whole(rewrite.rewrite(data, context_of(files[0]), POLICY)) for data in files]
    renamed = [repseudonymize(data, FURTHER, 40, lambda uid: new_uid(KEYS, f"1 {uid}"), POLICY) for data in clean]
    for data, after_others in zip(clean, renamed, strict=True):
        forget()
        assert repseudonymize(data, FURTHER, 40, lambda uid: new_uid(KEYS, f"1 {uid}"), POLICY) == after_others


def _day(text: str) -> date:
    day = parse_date(text.encode())
    assert day is not None
    return day


def test_real_files_come_back_as_they_were() -> None:
    """Forty days later and forty back is the same file, byte for byte, and both are clean."""
    compared = 0
    for path in real.sample(20):
        data = path.read_bytes()
        try:
            clean = whole(rewrite.rewrite(data, context_of(data), POLICY))
        except MalformedError:
            continue
        if has_errors(verify.verify(clean, POLICY)):
            continue
        moved = repseudonymize(clean, FURTHER, 40, lambda uid: uid, POLICY)
        assert not has_errors(verify.verify(moved, POLICY)), path.name
        assert DONOR.encode() not in moved, path.name
        assert repseudonymize(moved, DONOR, -40, lambda uid: uid, POLICY) == clean, path.name
        compared += 1
    assert compared >= 60
