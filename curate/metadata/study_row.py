"""One row of the studies table: its coded values, and what is wrong with each, by column."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache

from curate.core.findings import Finding, Severity
from curate.metadata import age, consent, diagnosis, region, sex
from curate.metadata.coded import Coded

VOCABULARIES = ("age", "sex", "region", "diagnosis")
_CODED = (*VOCABULARIES, "consent", "given_by", "clinical_use_ended", "diagnosis_basis")
_MANGLED = re.compile(r"\d+(?:[.,]\d+)?[eE]\+?\d+|#[A-Z/0!?]+|\d{4}-\d{2}-\d{2}(?: .*)?")

# a table repeats itself: each distinct value is coded once
_age = lru_cache(maxsize=4096)(age.code)
_sex = lru_cache(maxsize=256)(sex.code)
_region = lru_cache(maxsize=16384)(region.code)
_diagnosis = lru_cache(maxsize=16384)(diagnosis.code)
_basis = lru_cache(maxsize=256)(diagnosis.code_basis)
_consent = lru_cache(maxsize=256)(consent.code)
_given_by = lru_cache(maxsize=256)(consent.given_by)
_ended = lru_cache(maxsize=4096)(consent.clinical_use_ended)
_day = lru_cache(maxsize=65536)(consent.day)


@dataclass(frozen=True, slots=True, repr=False)
class StudyRow:
    """One row: the coded values, the raw cells (`raw`, by column), and what is wrong with them."""

    row: int
    study: str
    donor: str
    age: age.CodedAge
    sex: Coded
    region: region.CodedRegion
    diagnosis: diagnosis.CodedDiagnosis
    consent: str | None
    consent_date: date | None
    diagnosis_basis: str | None = None
    license: str | None = None
    scope: str | None = None
    consent_version: str | None = None
    consent_language: str | None = None
    given_by: str | None = None
    clinical_use_ended: bool | None = None
    birth_date: date | None = None
    raw: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        """The row's number only: all else is a person's."""
        return f"<StudyRow {self.row}>"

    @property
    def refused(self) -> bool:
        """Whether a finding of the row is an error."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def coded(name: str, raw: str, *, spanish_initials: bool = False) -> Coded:
    """What one of `VOCABULARIES` makes of a raw value."""
    if name == "age":
        return _age(raw)
    if name == "sex":
        return _sex(raw, spanish_initials=spanish_initials)
    return _region(raw) if name == "region" else _diagnosis(raw)


def broken(number: int) -> StudyRow:
    """A row whose cells do not fit the columns, so that nothing of it can be trusted."""
    nothing = (_age(None), _sex(None), _region(None), _diagnosis(None), None, None)
    return StudyRow(number, "", "", *nothing, findings=(Finding("TABLE_ROW_BROKEN", f"row {number}"),))


def study_row(
    number: int,
    raw: dict[str, str],
    found: Iterator[Finding],
    *,
    spanish_initials: bool = False,
    zero_filled: Mapping[str, int],
) -> StudyRow:
    """A row from its raw cells by column; `found` is what the whole table knows against it.

    `spanish_initials` is that of `sex.code`; `zero_filled` the width of columns with leading zeros.
    """
    get = raw.get
    years = _age(raw["age"])
    sexed = _sex(raw["sex"], spanish_initials=spanish_initials)
    where = _region(raw["region"], laterality=get("laterality"))
    what = _diagnosis(raw["diagnosis"], get("diagnosis_basis"))
    said, giver = _consent(raw["consent"]), _given_by(get("given_by"))
    ended, basis = _ended(get("clinical_use_ended")), _basis(get("diagnosis_basis"))
    answers = (years, sexed, where, what, said, giver, ended, basis)
    place = f"row {number}"
    findings = [*found]
    findings += [Finding(each.rule, place, name) for name, each in zip(_CODED, answers, strict=True) if each.rule]
    findings += [Finding(rule, place, name) for name, rule in _identity_rules(raw, zero_filled)]
    findings += [Finding(rule, place, name) for name, rule in _day_rules(raw)]
    return StudyRow(
        row=number,
        study=raw["study"],
        donor=raw["donor"],
        age=years,
        sex=sexed,
        region=where,
        diagnosis=what,
        consent=said.code,
        consent_date=_day(raw["consent_date"]),
        diagnosis_basis=basis.code,
        license=get("license") or None,
        scope=get("scope") or None,
        consent_version=get("consent_version") or None,
        consent_language=get("consent_language") or None,
        given_by=giver.code,
        clinical_use_ended=None if ended.code is None else ended.code == "yes",
        birth_date=_day(get("birth_date")),
        raw=raw,
        findings=tuple(findings),
    )


def _day_rules(raw: dict[str, str]) -> Iterator[tuple[str, str]]:
    if not raw["consent_date"]:
        yield "consent_date", "CONSENT_DATE_MISSING"
    for name in ("consent_date", "birth_date"):
        if raw.get(name) and _day(raw[name]) is None:
            yield name, "DATE_UNREADABLE"


def _identity_rules(raw: dict[str, str], zero_filled: Mapping[str, int]) -> Iterator[tuple[str, str]]:
    """What is wrong with the names of study and donor: absent, damaged, or short of their zeros."""
    for name in ("study", "donor"):
        value = raw[name]
        if not value:
            yield name, f"TABLE_{name.upper()}_MISSING"
        elif _MANGLED.fullmatch(value):
            yield name, "TABLE_NUMBER_DAMAGED"
        elif name in zero_filled and value.isascii() and value.isdigit() and len(value) < zero_filled[name]:
            yield name, "TABLE_ZEROS_LOST"
