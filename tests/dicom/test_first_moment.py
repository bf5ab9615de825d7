"""The moment that becomes noon: a time that the file really states, so that a second rewriting moves nothing."""

from __future__ import annotations

import io

import pydicom
import pytest

from curate.deid.records import StudyContext
from curate.deid.rewrite import rewrite
from curate.dicom.io.scan_record import Scan
from curate.donation.header_scan import scan
from curate.donation.series_grouping import date_shift, day_of, group, has_time
from curate.keys.derivation import Keys
from curate.policies import Policy
from tests import synth

KEYS = Keys.from_secret(bytes(range(32)))
DONOR = "D" + "a" * 26


def _instance(number: int, **values: str) -> bytes:
    data = synth.load_instance(0, 0, 0, number, rows=16, columns=16)
    for keyword, value in values.items():
        setattr(data, keyword, value)
    return synth.to_bytes(data)


def _scan(data: bytes) -> Scan:
    return scan(io.BytesIO(data), len(data), KEYS)


def _rewritten(files: list[bytes]) -> list[bytes]:
    (study,) = group((number, _scan(data)) for number, data in enumerate(files)).studies
    assert study.earliest is not None
    shift, day = date_shift(study.earliest, day_of(study.earliest))
    context = StudyContext(KEYS, DONOR, shift, day)
    return [b"".join(rewrite(data, context, Policy()).chunks) for data in files]


def _moments(files: list[bytes]) -> list[tuple[str, ...]]:
    names = ("StudyDate", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime")
    return [tuple(str(pydicom.dcmread(io.BytesIO(data)).get(name, "")) for name in names) for data in files]


def test_a_date_without_a_time_gives_way_to_one_with_a_time() -> None:
    """Within a file the first pair that has both counts; of a study's files, those that state a time."""
    assert has_time(_scan(_instance(0)).earliest or 0)
    half = _instance(0, AcquisitionTime="")
    assert _scan(half).earliest is not None and has_time(_scan(half).earliest or 0)
    bare = {f"{kind}Time": "" for kind in ("Acquisition", "Content", "Series", "Study")}
    assert not has_time(_scan(_instance(0, **bare)).earliest or 0)


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"AcquisitionTime": ""},
        {"AcquisitionTime": "", "ContentTime": "", "SeriesTime": "", "StudyTime": ""},
        {"ContentDate": "20260101", "ContentTime": "031500"},
        {"StudyDate": ""},
    ],
)
def test_what_was_rewritten_once_keeps_its_dates(odd: dict[str, str]) -> None:
    """The archive rebases what the hospital rebased, and no date or time moves again."""
    once = _rewritten([_instance(0, **odd), _instance(1)])
    assert _moments(_rewritten(once)) == _moments(once)
    assert min(moment[2] for moment in _moments(once) if moment[2]).startswith("12")
