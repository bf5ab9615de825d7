from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.core import resources
from curate.metadata import diagnosis


@pytest.mark.parametrize(
    "raw",
    [
        "C50.911",
        "C50911",
        "c50.9",
        "C50",
        " c50 ",
        "C50,9",
        "C 50.9",
        "C50.-",
        "ICD-10: C50.9",
        "CIE-10 C50.9",
    ],
)
def test_any_spelling_becomes_the_category(raw: str) -> None:
    """A code with or without its point, in either case, is published as its three characters."""
    found = diagnosis.code(raw)
    assert (found.code, found.meaning) == ("C50", "Malignant neoplasm of breast")
    assert (found.block, found.chapter) == ("C50", "2")
    assert found.chapter_title == "Neoplasms"
    assert "911" not in repr(found)


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (None, "DIAGNOSIS_MISSING"),
        ("", "DIAGNOSIS_MISSING"),
        ("N/A", "DIAGNOSIS_MISSING"),
        ("I64", "DIAGNOSIS_NO_SUCH_CODE"),
        ("C50.77", "DIAGNOSIS_NO_SUCH_CODE"),
        ("Z99.999", "DIAGNOSIS_NO_SUCH_CODE"),
        ("C5O.9", "DIAGNOSIS_NO_SUCH_CODE"),
        ("174.9", "DIAGNOSIS_NO_SUCH_CODE"),
        ("C50.9; I10", "DIAGNOSIS_SEVERAL"),
        ("C50.9, I10", "DIAGNOSIS_SEVERAL"),
        ("C50.9 I10", "DIAGNOSIS_SEVERAL"),
        ("C50-C59", "DIAGNOSIS_SEVERAL"),
        ("May-49", "DIAGNOSIS_MANGLED"),
        ("45.0", "DIAGNOSIS_MANGLED"),
        ("1E+05", "DIAGNOSIS_MANGLED"),
        ("45292", "DIAGNOSIS_MANGLED"),
        ("2024-05-10", "DIAGNOSIS_MANGLED"),
        ("2024-05-10 00:00:00", "DIAGNOSIS_MANGLED"),
        ("#N/D!", "DIAGNOSIS_MANGLED"),
        ("càncer de mama", "DIAGNOSIS_FREE_TEXT"),
        ("normal", "DIAGNOSIS_FREE_TEXT"),
        ("C50.9 carcinoma", "DIAGNOSIS_FREE_TEXT"),
    ],
)
def test_what_is_no_code_is_refused(raw: str | None, rule: str) -> None:
    """What is no single, existing code is refused, free text with a pointer to the code."""
    found = diagnosis.code(raw)
    assert (found.code, found.rule) == (None, rule)
    assert found.reason


@pytest.mark.parametrize("raw", ["none", "NONE", "cap", "ninguno", "no abnormality reported"])
def test_none_is_a_value(raw: str) -> None:
    """No abnormality reported is a value, not a gap."""
    found = diagnosis.code(raw, "report")
    assert (found.code, found.meaning, found.basis) == ("none", "no abnormality reported", "report")


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("referral", "referral"),
        ("Informe", "report"),
        ("alta", "discharge"),
        ("biòpsia", "pathology"),
        ("", None),
    ],
)
def test_what_a_diagnosis_rests_on(raw: str, code: str | None) -> None:
    """The basis is one of four, in three languages, and may be absent."""
    assert diagnosis.code_basis(raw).code == code
    assert not diagnosis.code_basis(raw).rule
    assert diagnosis.code("C50", raw).basis == code


def test_a_basis_of_no_list_is_a_finding() -> None:
    """An unknown basis is a finding and leaves the diagnosis alone."""
    assert diagnosis.code_basis("guess").rule == "DIAGNOSIS_BASIS_UNKNOWN"
    assert diagnosis.code("C50", "guess").code == "C50"


def test_the_tables_are_the_package_s() -> None:
    """The checked-in tables are what simple-icd-10-cm says, byte for byte."""
    pytest.importorskip("simple_icd_10_cm")
    from tests.metadata import regenerate_icd10cm

    catalogue, valid = regenerate_icd10cm.tables()
    assert resources.vocabulary_path("metadata/data/icd10cm.json").read_text(encoding="utf-8") == catalogue
    assert resources.vocabulary_path("metadata/data/icd10cm_codes.txt").read_text(encoding="utf-8") == valid


def test_every_code_of_the_package_maps_to_its_category() -> None:
    """Every tenth of the 98,000 codes maps, in both spellings, to the category that it begins with."""
    icd = pytest.importorskip("simple_icd_10_cm")
    for code in icd.get_all_codes(True)[::10]:
        if icd.is_category_or_subcategory(code):
            assert diagnosis.code(code).code == code[:3]
            assert diagnosis.code(code.replace(".", "").lower()).code == code[:3]


@given(st.from_regex(r"[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?", fullmatch=True))
def test_no_other_code_maps(code: str) -> None:
    """What has the shape of a code maps exactly if the package knows it."""
    icd = pytest.importorskip("simple_icd_10_cm")
    known = icd.is_valid_item(code) and icd.is_category_or_subcategory(code)
    assert (diagnosis.code(code).code is not None) == known


@given(st.text(max_size=30))
def test_no_text_breaks_the_reader(raw: str) -> None:
    """Any text is a code or a rule, never both."""
    found = diagnosis.code(raw)
    assert (found.code is None) == bool(found.rule)
