from __future__ import annotations

from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.metadata import age
from tests.metadata import tables


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("045Y", "045Y"),
        ("45", "045Y"),
        (" 45 ", "045Y"),
        ("042y", "042Y"),
        ("45 anys", "045Y"),
        ("45 años", "045Y"),
        ("45 AÑOS DE EDAD", "045Y"),
        ("45a", "045Y"),
        ("45 yo", "045Y"),
        ("45 y/o", "045Y"),
        ("45 years old", "045Y"),
        ("45.0", "045Y"),
        ("45,5", "045Y"),
        ("45.5 years", "045Y"),
        ("18 months", "018M"),
        ("18 mesos", "018M"),
        ("18 meses", "018M"),
        ("018M", "018M"),
        ("6m", "006M"),
        ("3 setmanes", "003W"),
        ("3 semanas", "003W"),
        ("006W", "006W"),
        ("10 dies", "010D"),
        ("10 días", "010D"),
        ("1 any i 6 mesos", "018M"),
        ("1 año y 6 meses", "018M"),
        ("1y6m", "018M"),
        ("2 years 3 months", "027M"),
        ("1,5 anys", "018M"),
        ("0.5", "006M"),
        ("nounat", "000D"),
        ("recién nacido", "000D"),
        ("1200D", "171W"),
        ("89", "089Y"),
        ("89,9", "089Y"),
        ("90", "90+"),
        ("101Y", "90+"),
        ("1090 M", "90+"),
        ("90+", "90+"),
        (">89", "90+"),
        ("≥ 90 anys", "90+"),
        ("més de 89", "90+"),
        ("90 o més", "90+"),
        ("over 89", "90+"),
    ],
)
def test_what_people_write_is_read(raw: str, code: str) -> None:
    """Ages in DICOM's form and in three languages become DICOM AS or the open class."""
    assert age.code(raw).code == code


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (None, "AGE_MISSING"),
        ("", "AGE_MISSING"),
        ("N-A", "AGE_MISSING"),
        ("desconegut", "AGE_MISSING"),
        ("***", "AGE_UNREADABLE"),
        ("-5", "AGE_UNREADABLE"),
        ("1E+02", "AGE_UNREADABLE"),
        ("4,5E+01", "AGE_UNREADABLE"),
        ("#VALUE!", "AGE_UNREADABLE"),
        ("adult", "AGE_UNREADABLE"),
        ("2 months 3 years", "AGE_UNREADABLE"),
        ("1 year 18 months", "AGE_UNREADABLE"),
        ("200Y", "AGE_OUT_OF_RANGE"),
        ("126", "AGE_OUT_OF_RANGE"),
        ("999", "AGE_OUT_OF_RANGE"),
        ("000Y", "AGE_PLACEHOLDER"),
        ("0", "AGE_PLACEHOLDER"),
        ("0.0", "AGE_PLACEHOLDER"),
        ("40-49", "AGE_NOT_EXACT"),
        ("~45", "AGE_NOT_EXACT"),
        (">80", "AGE_NOT_EXACT"),
        ("80+", "AGE_NOT_EXACT"),
        ("<1", "AGE_NOT_EXACT"),
        ("1950", "AGE_IS_DATE"),
        ("1950.0", "AGE_IS_DATE"),
        ("1950-03-04", "AGE_IS_DATE"),
        ("1950-03-04 00:00:00", "AGE_IS_DATE"),
        ("19500304", "AGE_IS_DATE"),
        ("04/03/1950", "AGE_IS_DATE"),
        ("4.3.50", "AGE_IS_DATE"),
        ("May-45", "AGE_IS_DATE"),
        ("45-may", "AGE_IS_DATE"),
        ("12-gen", "AGE_IS_DATE"),
        ("5 de març de 1950", "AGE_IS_DATE"),
    ],
)
def test_what_is_no_age_is_refused(raw: str | None, rule: str) -> None:
    """What is no exact, possible age is refused by the rule that says why."""
    found = age.code(raw)
    assert (found.code, found.rule) == (None, rule)
    assert found.age_years is None
    assert found.reason


def test_every_odd_age_of_public_series_has_its_result() -> None:
    """Each of the 787 ages that a parser must not trust becomes what was worked out for it by hand."""
    for row in tables.rows("odd_ages.csv"):
        found = age.code(row["raw"])
        years = "" if found.age_years is None else str(int(found.age_years))
        assert (found.code or "", years, found.rule) == (row["code"], row["completed_years"], row["rule"])


def test_every_age_of_public_series_is_mapped_or_refused() -> None:
    """Every distinct age of a million series has a code, or a rule with a reason."""
    for row in tables.rows("PatientAge.csv"):
        found = age.code(row["raw"])
        assert bool(found.code) != bool(found.rule and found.reason)


def test_zero_years_is_an_age_only_beside_a_sign_of_infancy() -> None:
    """000Y is a placeholder, unless something else shows an infant."""
    assert age.code("000Y").rule == "AGE_PLACEHOLDER"
    assert age.code("000Y", infant_evidence=True).age_years == 0
    assert age.code("000M").age_years == 0


def test_a_birth_date_or_an_age_in_months_is_a_sign_of_infancy() -> None:
    """A birth less than two years before the study, or an age below two in months, shows an infant."""
    assert age.is_infant(birth=date(2020, 1, 1), study=date(2020, 6, 1))
    assert not age.is_infant(birth=date(1960, 1, 1), study=date(2020, 6, 1))
    assert not age.is_infant(birth=date(2021, 1, 1), study=date(2020, 6, 1))
    assert age.is_infant(header="018M")
    assert not age.is_infant(header="180M")
    assert not age.is_infant(header="000Y")


def test_nobody_over_89_keeps_an_age() -> None:
    """The open class has one code, one meaning and one number, whatever the age was."""
    answers = {age.code(f"{years:03d}Y") for years in range(90, 126)}
    assert {(each.code, each.meaning, each.age_years) for each in answers} == {("90+", "over 89 years", 90)}


@given(st.integers(0, 125), st.sampled_from(age.BAND_WIDTHS))
def test_a_band_holds_its_age_and_never_splits_the_open_class(years: int, width: int) -> None:
    """Every age lies in its band, bands do not overlap, and 90 and over is one class."""
    low, high = age.band(Fraction(years), width)
    if years >= 90:
        assert (low, high) == (90, None)
    else:
        assert high is not None
        assert low <= years <= high < 90
        assert age.band(low, width) == age.band(high, width) == (low, high)


def test_a_band_of_another_width_is_a_mistake_of_the_caller() -> None:
    """Widths other than those of the recoding are refused."""
    with pytest.raises(ValueError, match="1, 5, 10 or 20"):
        age.band(45, 7)


@given(st.integers(0, 999), st.sampled_from("DWMY"))
def test_dicom_ages_keep_their_number_and_unit(number: int, unit: str) -> None:
    """A DICOM age is unchanged, or over 89, or refused; and lower case means the same."""
    raw = f"{number:03d}{unit}"
    found = age.code(raw)
    assert found.code in (raw, "90+", None)
    assert age.code(raw.lower()) == found
    if found.code == raw:
        assert found.age_years is not None
        assert abs(found.age_years - number / {"Y": 1, "M": 12, "W": 52.18, "D": 365.25}[unit]) < 0.01


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(raw: str) -> None:
    """Any text is a code or a rule, never both, never an exception."""
    found = age.code(raw)
    assert (found.code is None) == bool(found.rule)


def test_ages_that_differ_by_more_than_a_year_disagree() -> None:
    """A year's difference is rounding; more is another person, perhaps."""
    assert age.disagree(age.code("45"), age.code("047Y"))
    assert not age.disagree(age.code("45"), age.code("046Y"))
    assert not age.disagree(age.code("45"), age.code("000Y"))
    assert not age.disagree(age.code("92"), age.code("099Y"))


def test_a_coded_age_does_not_show_itself() -> None:
    """The repr of a coded value shows no value."""
    assert "45" not in repr(age.code("045Y"))
