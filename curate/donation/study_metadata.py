"""The minimum metadata of one study: the table's row first, the header where the table says nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from curate.core.findings import Finding
from curate.core.records import Row
from curate.metadata import age, sex
from curate.metadata.coded import is_missing
from curate.metadata.header import Header, reconcile
from curate.metadata.table import StudyRow

HEADER_KEYWORDS = (
    *("PatientAge", "PatientSex", "PatientBirthDate", "StudyDate"),
    *("BodyPartExamined", "Laterality", "Modality"),
)


def joined(headers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What the headers of a study's series say together, in whatever order: one value each, and all body parts."""
    told: dict[str, Any] = {}
    parts = set()
    for header in headers:
        for keyword, value in header.items():
            told[keyword] = min(told.get(keyword, value), value, key=str)
        parts.add((str(header.get("BodyPartExamined") or ""), str(header.get("Laterality") or "")))
    return {**told, "body_parts": frozenset(parts)}


def code_study(row: StudyRow | None, header: Mapping[str, Any]) -> tuple[Row, list[Finding]]:
    """Coded columns of `studies`, and where table and header (as `joined`) disagree, by column, never by value.

    What the table leaves out is taken from the header; what neither says is unknown.

    Raises:
        ValueError: no row; a defect of the program, since a study without one is never admitted.
    """
    if row is None:
        raise ValueError("a study without a row")
    stated = {key: str(value) for key, value in header.items() if isinstance(value, str)}
    before = set(row.findings)
    row = reconcile(row, _header(stated, header.get("body_parts", frozenset())))
    years = age.code(stated.get("PatientAge")) if is_missing(row.raw.get("age")) else row.age
    gender = sex.code(stated.get("PatientSex")) if is_missing(row.raw.get("sex")) else row.sex
    place = row.region
    findings = [Finding(f.rule, "", f.tag, f.count) for f in row.findings if f not in before]
    findings += [
        Finding(rule, "", column)
        for rule, column, known in (
            ("AGE_MISSING", "age", years.age_years is not None),
            ("SEX_UNKNOWN", "sex", gender.code not in (None, "U")),
            ("REGION_MISSING", "region", bool(place.codes)),
        )
        if not known
    ]
    return {
        "age_years": None if years.age_years is None else int(years.age_years),
        "sex": gender.code or "U",
        "region_codes": list(place.codes),
        "region": place.meaning or None,
        "region_group": place.group or None,
        "laterality": place.laterality,
        "diagnosis_code": row.diagnosis.code,
        "diagnosis_title": row.diagnosis.meaning if row.diagnosis.code else None,
        "diagnosis_basis": row.diagnosis_basis,
    }, findings


def _header(stated: Mapping[str, str], body_parts: frozenset[tuple[str, str]]) -> Header:
    return Header(
        stated.get("PatientAge"),
        stated.get("PatientSex"),
        stated.get("PatientBirthDate"),
        stated.get("StudyDate"),
        body_parts,
    )


def terms(row: StudyRow | None) -> Row:
    """What the donor agreed to, as the archive keeps it."""
    if row is None:
        return {}
    day = row.consent_date.isoformat() if row.consent_date else None
    names = ("scope", "consent_version", "consent_language", "given_by")
    return {"consent_date": day, **{name: getattr(row, name) for name in names}}
