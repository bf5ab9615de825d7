from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.metadata import consent


@pytest.mark.parametrize(
    ("words", "code", "rule"),
    [
        ("given yes Sí si donat donada otorgado TRUE", "given", ""),
        ("withdrawn revocat Retirado retirada", "withdrawn", ""),
        ("no refused FALSE", None, "CONSENT_NOT_GIVEN"),
        ("maybe 1 x pending", None, "CONSENT_UNREADABLE"),
        ("NA", None, "CONSENT_MISSING"),
    ],
)
def test_consent_is_a_closed_list(words: str, code: str | None, rule: str) -> None:
    """Consent is given or withdrawn in so many words; a no and an unreadable answer differ."""
    for word in words.split():
        assert (consent.code(word).code, consent.code(word).rule) == (code, rule), word


@pytest.mark.parametrize(
    ("raw", "day"),
    [
        ("2024-05-04", date(2024, 5, 4)),
        ("20240504", date(2024, 5, 4)),
        ("2024-05-04 00:00:00", date(2024, 5, 4)),
        ("2024-05-04T10:11:12.5+02:00", date(2024, 5, 4)),
        ("04/05/2024", None),
        ("2024-13-01", None),
        ("2024-02-30", None),
        ("45292", None),
        ("1900-01-01", None),
        ("0001-01-01", None),
        ("", None),
        (None, None),
    ],
)
def test_days_have_one_reading_or_none(raw: str | None, day: date | None) -> None:
    """ISO and DICOM days are read; those with two readings, or none, are not."""
    assert consent.day(raw) == day


def test_who_gave_consent_and_whether_clinical_use_ended() -> None:
    """The optional columns are closed lists too, and may be absent."""
    assert consent.given_by("tutor").code == "guardian"
    assert consent.given_by("").rule == ""
    assert consent.given_by("neighbour").rule == "GIVEN_BY_UNKNOWN"
    assert consent.clinical_use_ended("sí").code == "yes"
    assert consent.clinical_use_ended("2024-05-04").code == "yes"
    assert consent.clinical_use_ended("no").code == "no"
    assert consent.clinical_use_ended(None).code is None
    assert consent.clinical_use_ended("soon").rule == "CLINICAL_USE_UNREADABLE"


@given(st.text(max_size=20))
def test_no_text_breaks_the_readers(raw: str) -> None:
    """Any text is answered without an exception."""
    consent.code(raw)
    consent.given_by(raw)
    consent.clinical_use_ended(raw)
    consent.day(raw)
