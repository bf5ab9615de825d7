"""May a study enter at all: its row, its consent, its licence; before any of its bytes are rewritten."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from curate import licenses
from curate.donation.looked import StoredStudy
from curate.errors import CurateError
from curate.findings import Finding
from curate.metadata.table import StudyRow


@dataclass(frozen=True, slots=True, repr=False)
class RowIndex:
    """Rows by what they name: a StudyInstanceUID, or a folder (its name, or its path from the source).

    `others` counts the rows that name nothing of this donation.
    """

    by_name: Mapping[str, StudyRow]
    others: int

    @classmethod
    def of(cls, rows: Iterable[StudyRow], studies: Iterable[StoredStudy]) -> RowIndex:
        """The rows that name one of the studies; the others are counted only, so that memory stays flat."""
        wanted = {name for study in studies for name in (study.study_uid, *_common_folders(study))}
        found: dict[str, StudyRow] = {}
        others = 0
        for row in rows:
            name = _name(row.study)
            if name in wanted:
                found[name] = row
            else:
                others += 1
        return cls(found, others)

    def of_study(self, study: StoredStudy) -> list[StudyRow]:
        """The rows that name a study: by its UID, and by the innermost folder that holds all of its files."""
        by_uid = self.by_name.get(study.study_uid)
        by_folder = next((self.by_name[f] for f in _common_folders(study) if f in self.by_name), None)
        found = {
            row.row: row for row in (by_uid, by_folder) if row is not None
        }  # a folder may be named by the UID
        return list(found.values())


def _name(study: str) -> str:
    return study.strip().replace("\\", "/").strip("/")


def _common_folders(study: StoredStudy) -> Iterator[str]:
    """Folders that hold all files of the study, the innermost first: as a path, then as a bare name."""
    common = study.folders
    for depth in range(len(common), 0, -1):
        yield "/".join(common[:depth])
        yield common[depth - 1]


HEADER_MAY_TELL = frozenset(
    ("AGE_MISSING", "AGE_PLACEHOLDER", "SEX_UNKNOWN", "REGION_MISSING", "REGION_PLACEHOLDER")
)
"""What the table leaves out is no finding until the header does not say it either."""


def judge(
    row: StudyRow, today: date, cooling_off_days: int, archive_license: str
) -> tuple[list[Finding], str]:
    """Findings that keep a study out for now or for ever, and the licence that it would have."""
    place = f"row {row.row}"
    findings = [f for f in row.findings if f.rule not in HEADER_MAY_TELL]
    if row.consent == "withdrawn":
        findings.append(Finding("CONSENT_WITHDRAWN", place, "consent"))
    elif row.consent == "given" and row.consent_date is not None:
        if row.consent_date > today:
            findings.append(Finding("CONSENT_DATE_FUTURE", place, "consent_date"))
        elif row.consent_date + timedelta(days=cooling_off_days) > today:
            findings.append(Finding("CONSENT_COOLING_OFF", place, "consent_date"))
    if row.clinical_use_ended is False:
        findings.append(Finding("CLINICAL_USE_NOT_ENDED", place, "clinical_use_ended"))
    spdx = archive_license
    try:
        spdx = licenses.of_study(row.license, archive_license).spdx_id
    except CurateError:
        findings.append(Finding("LICENSE_NOT_CHOSEN", place, "license"))
    return findings, spdx
