"""May a study enter at all: its row, its consent, its licence; before any of its bytes are rewritten."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from curate import licenses
from curate.core import remote
from curate.core.errors import CurateError
from curate.core.findings import Finding
from curate.donation.scan_index import StoredStudy
from curate.metadata import cells
from curate.metadata.table import StudyRow


@dataclass(frozen=True, slots=True, repr=False)
class RowIndex:
    """Rows by what they name: a StudyInstanceUID, or a folder (its name, or its path from the source).

    `findings` are of rows that name a file, or a folder that holds a part of a study; `others` counts the rows that
    name nothing of this donation.
    """

    by_name: Mapping[str, StudyRow]
    findings: tuple[Finding, ...]
    others: int

    @classmethod
    def of(
        cls, rows: Iterable[StudyRow], studies: Iterable[StoredStudy], sources: Iterable[Path | str] = ()
    ) -> RowIndex:
        """The rows that name one of the studies; the others are counted only, so that memory stays flat."""
        wanted: set[str] = set()
        parts: set[str] = set()
        for study in studies:
            wanted.update((study.study_uid, *_names(study.folders)))
            parts.update(name for path in study.parts for name in ("/".join(map(_name, path)), _name(path[-1])))
        local = [Path(source) for source in sources if not remote.is_url(str(source))]
        found: dict[str, StudyRow] = {}
        findings: list[Finding] = []
        others = 0
        for row in rows:
            name = _name(row.study)
            if name in wanted:
                found[name] = row
            elif name in parts:
                findings.append(Finding("ROW_FOLDER_PARTIAL", f"row {row.row}", "study"))
            elif _is_file(name, local):
                findings.append(Finding("ROW_NAMES_FILE", f"row {row.row}", "study"))
            else:
                others += 1
        return cls(found, tuple(findings), others)

    def of_study(self, study: StoredStudy) -> list[StudyRow]:
        """The rows that name a study: by its UID, and by the innermost folder that holds all of its files."""
        by_uid = self.by_name.get(study.study_uid)
        by_folder = next((self.by_name[f] for f in _names(study.folders) if f in self.by_name), None)
        found = {row.row: row for row in (by_uid, by_folder) if row is not None}  # a folder may be named by the UID
        return list(found.values())

    @property
    def unmatched(self) -> list[Finding]:
        """What is to be said of rows that name no study of this donation."""
        others = [Finding("ROW_WITHOUT_STUDY", "table", count=self.others)] if self.others else []
        return [*self.findings, *others]


def _name(study: str) -> str:
    """A name to compare by: as a person reads it, for macOS writes folders' names decomposed."""
    return cells.tidy(study).strip().replace("\\", "/").strip("/")


def _names(folders: Sequence[str]) -> Iterator[str]:
    """What a folder may be called in a table, the innermost first: its path, then its bare name."""
    plain = [_name(folder) for folder in folders]
    for depth in range(len(plain), 0, -1):
        yield "/".join(plain[:depth])
        yield plain[depth - 1]


def _is_file(name: str, sources: Sequence[Path]) -> bool:
    """Whether a row names a file of a source; UIDs are not asked for, since a table may have a million."""
    if not name or name.replace(".", "").isdigit():
        return False
    spellings = {name, unicodedata.normalize("NFD", name)}  # composed, as a table is read, and as macOS writes names
    try:
        return any(
            (source.name in spellings and source.is_file()) or (source / spelling).is_file()
            for source in sources
            for spelling in spellings
        )
    except (OSError, ValueError):  # longer than a name may be, or with a NUL
        return False


HEADER_MAY_TELL = frozenset(("AGE_MISSING", "AGE_PLACEHOLDER", "SEX_UNKNOWN", "REGION_MISSING", "REGION_PLACEHOLDER"))
"""What the table leaves out is no finding until the header does not say it either."""


def judge(row: StudyRow, today: date, cooling_off_days: int, archive_license: str) -> tuple[list[Finding], str]:
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
