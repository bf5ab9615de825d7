from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.metadata import sex
from tests.metadata import tables


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("M m male Man MASCULINO masculí home hombre varón noi nen niño 1 H h V 1.0", "M"),
        ("F f female woman femenino femení dona mujer noia nena niña 2 D 2.0", "F"),
        ("O o other A altre otro intersexual", "O"),
    ],
)
def test_words_of_three_languages_and_codes_of_three_standards(words: str, code: str) -> None:
    """DICOM, HL7, ISO 5218 and words become M, F or O."""
    for word in words.split():
        assert sex.code(word).code == code, word


@pytest.mark.parametrize("raw", [None, "", "U", "?", "0000", "0", "9", "N", "unknown", "desconegut", "N/A"])
def test_placeholders_are_unknown(raw: str | None) -> None:
    """A placeholder is an unknown sex, with a rule that says so."""
    found = sex.code(raw)
    assert (found.code, found.meaning, found.rule) == (None, "unknown", "SEX_UNKNOWN")


@pytest.mark.parametrize("raw", ["6657", "x1", "MF", "3", "2024-01-01", "M/F"])
def test_what_is_no_sex_is_refused(raw: str) -> None:
    """A value that is neither a sex nor a placeholder is refused."""
    assert (sex.code(raw).code, sex.code(raw).rule) == (None, "SEX_UNREADABLE")


def test_m_beside_h_may_be_mujer() -> None:
    """In a column of H and M, M is not taken for male."""
    assert sex.uses_spanish_initials({"H", "M"})
    assert not sex.uses_spanish_initials({"F", "M"})
    assert sex.code("M", spanish_initials=True).rule == "SEX_AMBIGUOUS"
    assert sex.code("H", spanish_initials=True).code == "M"
    assert sex.code("male", spanish_initials=True).code == "M"


def test_header_and_table_disagree_only_where_both_are_known() -> None:
    """A placeholder disagrees with nothing."""
    assert sex.disagree(sex.code("F"), sex.code("M"))
    assert not sex.disagree(sex.code("F"), sex.code("dona"))
    assert not sex.disagree(sex.code("F"), sex.code("0000"))


def test_every_sex_of_public_series_is_mapped_or_refused() -> None:
    """Every distinct sex of a million series has a code, or a rule with a reason."""
    for row in tables.rows("PatientSex.csv"):
        found = sex.code(row["raw"])
        assert bool(found.code) != bool(found.rule and found.reason)


@given(st.text(max_size=20), st.booleans())
def test_no_text_breaks_the_reader(raw: str, initials: bool) -> None:
    """Any text is a code or a rule, never both."""
    found = sex.code(raw, spanish_initials=initials)
    assert (found.code is None) == bool(found.rule)
