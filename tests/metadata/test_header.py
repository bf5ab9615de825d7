from __future__ import annotations

from pathlib import Path

from curate.metadata import table
from curate.metadata.header import Header, reconcile
from curate.metadata.study_row import StudyRow
from tests.metadata.test_table import found, write


def row(tmp_path: Path, **cells: str) -> StudyRow:
    (one,) = table.open_table(write(tmp_path / "t.csv", cells)).rows()
    return one


def test_a_header_that_agrees_changes_nothing(tmp_path: Path) -> None:
    """Rounding of an age, a part of a region and placeholders are no disagreement."""
    given = row(tmp_path)
    header = Header("046Y", "F", "", "20240101", frozenset({("LOWERLIMB", "R"), ("UNKNOWN", "")}))
    assert reconcile(given, header) == given
    assert reconcile(given, Header("000Y", "0000")) == given
    assert reconcile(given, Header()) == given


def test_each_disagreement_is_a_finding(tmp_path: Path) -> None:
    """Another sex, an age two years off, and a region elsewhere are each named with row and column."""
    seen = reconcile(row(tmp_path), Header("050Y", "M", None, None, frozenset({("CHEST", "")})))
    assert found(seen) == {("AGE_DISAGREES", "age"), ("SEX_DISAGREES", "sex"), ("REGION_DISAGREES", "region")}
    assert {finding.place for finding in seen.findings} == {"row 2"}
    assert seen.refused


def test_an_infant_is_believed(tmp_path: Path) -> None:
    """0 years is an age beside a birth date, an age in months, or a paediatric service."""
    placeholder = row(tmp_path, age="000Y")
    assert found(reconcile(placeholder, Header("000Y"))) == {("AGE_PLACEHOLDER", "age")}
    born = row(tmp_path, age="000Y", birth_date="2023-11-05")
    for believed in (
        reconcile(born, Header(study_date="20240101")),
        reconcile(placeholder, Header("007M")),
        reconcile(placeholder, Header(patient_birth_date="20231105", study_date="20240101")),
        reconcile(placeholder, Header("000Y"), paediatric=True),
    ):
        assert (believed.age.age_years, found(believed)) == (0, set())
    old = reconcile(placeholder, Header(patient_birth_date="19601105", study_date="20240101"))
    assert old.age.code is None


def test_headers_fill_a_region_that_the_table_lacks(tmp_path: Path) -> None:
    """A missing or placeholder region is that of the series; an unreadable one stays refused."""
    parts = frozenset({("CHEST", ""), ("ABDOMEN", ""), ("OTHER", "")})
    for text in ("", "unknown"):
        filled = reconcile(row(tmp_path, region=text), Header(body_parts=parts))
        assert (filled.region.meaning, found(filled)) == ("Chest and Abdomen", set())
    assert found(reconcile(row(tmp_path, region="genol"), Header(body_parts=parts))) == {("REGION_UNKNOWN", "region")}
    assert found(reconcile(row(tmp_path, region=""), Header(body_parts=frozenset({("OTHER", "")})))) == {
        ("REGION_MISSING", "region")
    }
    knees = Header(body_parts=frozenset({("KNEE", "L"), ("KNEE", "R")}))
    assert reconcile(row(tmp_path, region=""), knees).region.laterality == "B"
    mixed = Header(body_parts=frozenset({("KNEE", "L"), ("ANKLE", "R")}))
    assert reconcile(row(tmp_path, region=""), mixed).region.laterality is None
