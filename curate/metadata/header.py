"""What a study's headers say beside what its row says: where they disagree, and which gaps they fill."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from curate.core.findings import Finding
from curate.metadata import age, consent, region, sex
from curate.metadata.study_row import StudyRow

_GAPS = frozenset({"REGION_MISSING", "REGION_PLACEHOLDER"})


@dataclass(frozen=True, slots=True, repr=False)
class Header:
    """Raw attributes of a study's headers; `body_parts` are its series' BodyPartExamined and Laterality."""

    patient_age: str | None = None
    patient_sex: str | None = None
    patient_birth_date: str | None = None
    study_date: str | None = None
    body_parts: frozenset[tuple[str, str]] = frozenset()


def reconcile(row: StudyRow, header: Header, *, paediatric: bool = False) -> StudyRow:
    """The row, with findings where the header disagrees, an infant's 0 years believed, a region filled in.

    `paediatric` says that the study comes from a paediatric service.
    """
    row = _with_infant(row, header, paediatric)
    seen = _region_of(header.body_parts)
    if row.region.rule in _GAPS and seen.code is not None:
        row = replace(_without(row, row.region.rule), region=seen)
    disagreeing = {
        "age": age.disagree(row.age, age.code(header.patient_age)),
        "sex": sex.disagree(row.sex, sex.code(header.patient_sex)),
        "region": region.disagree(row.region, seen),
    }
    place = f"row {row.row}"
    found = (Finding(f"{name.upper()}_DISAGREES", place, name) for name, differs in disagreeing.items() if differs)
    return replace(row, findings=(*row.findings, *found))


def _with_infant(row: StudyRow, header: Header, paediatric: bool) -> StudyRow:
    """Believe 0 years where a birth date, an age in months or days, or the service shows an infant."""
    if row.age.rule != "AGE_PLACEHOLDER":
        return row
    born = row.birth_date or consent.day(header.patient_birth_date)
    studied = consent.day(header.study_date)
    if not (paediatric or age.is_infant(birth=born, study=studied, header=header.patient_age)):
        return row
    believed = age.code(row.raw.get("age"), infant_evidence=True)
    return replace(_without(row, "AGE_PLACEHOLDER"), age=believed)


def _region_of(body_parts: Iterable[tuple[str, str]]) -> region.CodedRegion:
    """One region for all series: of those that can be read, the union of their parts."""
    coded = [region.of_header(part, side) for part, side in sorted(body_parts)]
    return region.union(each for each in coded if each.code is not None)


def _without(row: StudyRow, rule: str) -> StudyRow:
    return replace(row, findings=tuple(finding for finding in row.findings if finding.rule != rule))
