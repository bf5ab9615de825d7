"""`DEST/studies.csv`: the table that intake needs, under the new ids, coded; nothing of the hospital's own."""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from curate import licenses
from curate.core import durable
from curate.core.errors import CurateError
from curate.core.findings import Finding
from curate.core.records import Row
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from curate.metadata.table import StudyRow

NAME = "studies.csv"
COLUMNS = (
    *("study", "donor", "age", "sex", "region", "laterality", "diagnosis", "diagnosis_basis"),
    *("consent", "consent_date", "consent_version", "consent_language", "scope", "given_by"),
    *("license", "clinical_use_ended", "receipt_sha256"),
)
_VERSION = re.compile(r"[vV]?\d{1,4}(?:[.-]\d{1,4}){0,3}")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z]{2})?")
_DUO = re.compile(r"DUO:\d{7}")
_SCOPES = frozenset(
    (
        *("open", "public", "research", "health", "medical", "biomedical", "education", "teaching"),
        *("commercial", "noncommercial", "release", "obert", "recerca", "salut", "docencia", "abierto"),
        *("publico", "investigacion", "salud", "educacion"),
    )
)


def coded_row(
    keys: Keys, study_id: str, donor_id: str, row: StudyRow, coded: Row, receipt: bytes
) -> tuple[dict[str, str], list[Finding]]:
    """One line of the table, and which of the consent's terms stand in it as keyed codes."""
    place = f"row {row.row}"
    findings: list[Finding] = []

    def term(name: str, value: str | None, known: bool) -> str:
        if not value or known:
            return value or ""
        findings.append(Finding("CONSENT_TERM_KEYED", place, name))
        return "X-" + hmac.digest(keys.order, f"{name} {value}".encode(), hashlib.sha256).hex()[:12]

    return {
        "study": study_id,
        "donor": donor_id,
        "age": _age(coded["age_years"]),
        "sex": "" if coded["sex"] == "U" else coded["sex"],
        "region": "+".join(coded["region_codes"]),
        "laterality": coded["laterality"] or "",
        "diagnosis": coded["diagnosis_code"] or "",
        "diagnosis_basis": coded["diagnosis_basis"] or "",
        "consent": row.consent or "",
        "consent_date": row.consent_date.isoformat() if row.consent_date else "",
        "consent_version": term("consent_version", row.consent_version, _matches(_VERSION, row.consent_version)),
        "consent_language": term("consent_language", row.consent_language, _matches(_LANGUAGE, row.consent_language)),
        "scope": term("scope", row.scope, _is_scope(row.scope or "")),
        "given_by": row.given_by or "",
        "license": row.license or "",
        "clinical_use_ended": "" if row.clinical_use_ended is None else "yes",
        "receipt_sha256": receipt.hex(),
    }, findings


def license_findings(row: StudyRow) -> list[Finding]:
    """A licence that is not in the catalogue is no licence, and might be anything."""
    if row.license:
        try:
            licenses.get(row.license)
        except CurateError:
            return [Finding("LICENSE_UNKNOWN", f"row {row.row}", "license")]
    return []


def _age(years: int | None) -> str:
    """Completed years, as intake reads them: 0 as months, since 0 alone stands for an unknown age."""
    if years is None:
        return ""
    return "90+" if years >= 90 else str(years) if years else "000M"


def _matches(pattern: re.Pattern[str], value: str | None) -> bool:
    return value is not None and pattern.fullmatch(value) is not None


def _is_scope(value: str) -> bool:
    words = re.split(r"[\s,;_/-]+", value.casefold())
    return _matches(_DUO, value) or all(word in _SCOPES for word in words)


def write(path: Path, temporary: Path, lines: Iterable[Mapping[str, str]]) -> None:
    """Write the table whole or not at all, sorted by study.

    Raises:
        StorageError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(lines, key=lambda line: line["study"]))
    with durable.storage_errors(f"write {path.name}"), durable.writing(path, temporary) as file:
        file.write(text.getvalue().encode())


def earlier(path: Path) -> dict[str, dict[str, str]]:
    """The lines of batches before this one whose study still lies beside the table.

    Raises:
        StorageError: the table is there and cannot be read: written anew without them, it would lose them.
    """
    if not path.exists():
        return {}
    with durable.storage_errors(f"read {path.name}"), path.open(encoding="utf-8", newline="") as file:
        lines = [{name: line.get(name) or "" for name in COLUMNS} for line in csv.DictReader(file)]
    return {
        line["study"]: line
        for line in lines
        if pseudonyms.is_new_uid(line["study"]) and (path.parent / line["study"]).is_dir()
    }
