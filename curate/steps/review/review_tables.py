"""What the reviewer's pages show of the manifest, read from the release's own tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from curate import contract, licenses
from curate.attestation.review_sheets import Decisions
from curate.core.errors import InputError
from curate.core.findings import Finding, Severity, rule
from curate.steps.review.series_rendering import SeriesTask
from curate.verify import limits
from curate.verify.checks import seal
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import connect
from curate.verify.compare import TableDiff, compare

Row = dict[str, Any]

STUDY_COLUMNS = (
    *("study_id", "donor_id", "age_low_years", "age_high_years", "sex", "region", "region_group"),
    *("diagnosis_code", "diagnosis_title", "modalities", "series_count", "first_version", "license"),
)
_SHOWN_PLACES = 20
_ACTIONS = {
    "X": "removed",
    "Z": "emptied",
    "D": "replaced by a value without meaning",
    "U": "replaced by a keyed UID",
    "C": "cleaned",
    "structure": "of the container: padding, group lengths, lengths",
}


@dataclass(frozen=True, slots=True)
class Changes:
    """The difference with another release: its version, its tables, licences whose counts differ."""

    version: str
    tables: tuple[TableDiff, ...]
    licenses: Mapping[str, tuple[int, int]]


def tasks(sealed: Seal, folder: Path, numbers: Mapping[str, int]) -> Iterator[SeriesTask]:
    """The series to draw, with the places of their instances in the order of their slices."""
    query = (
        "SELECT i.SeriesInstanceUID, any_value(s.Modality), list((pack, offset_bytes, i.size_bytes)"
        " ORDER BY slice_index, SOPInstanceUID) FROM instances i JOIN series s USING (SeriesInstanceUID)"
        " WHERE i.SeriesInstanceUID IN (SELECT unnest(?)) GROUP BY ALL ORDER BY 1"
    )
    with connect(sealed) as db:
        found = db.execute(query, [list(numbers)]).fetchall()
    for series, modality, places in found:
        where = tuple((sealed.folder / pack, offset, size) for pack, offset, size in places)
        yield SeriesTask(numbers[series], series, str(modality), where, folder)


def series(db: duckdb.DuckDBPyConnection, uid: str) -> tuple[Row, Row]:
    """A series' row, and the evidence of its study, of a release's opened tables."""
    cursor = db.execute("SELECT * FROM series WHERE SeriesInstanceUID = ?", [uid])
    names = [column[0] for column in cursor.description or ()]
    row = dict(zip(names, cursor.fetchone() or (), strict=True))
    query = "SELECT payload FROM evidence WHERE study_id = ?"
    found = db.execute(query, [row["study_id"]]).fetchone()
    return row, json.loads(found[0]) if found else {}


def applied(counts: Mapping[str, int]) -> list[tuple[str, str, int]]:
    """What the profile did, by action code of PS3.15, in words, with counts."""
    return [(action, _ACTIONS.get(action, ""), count) for action, count in sorted(counts.items())]


def studies(sealed: Seal, rows_a_page: int) -> Iterator[list[Row]]:
    """All studies in parts, each with its series and the codes of its findings."""
    columns = ", ".join(STUDY_COLUMNS)
    with connect(sealed) as db, db.cursor() as beside:
        cursor = db.execute(f"SELECT {columns} FROM studies ORDER BY study_id")  # noqa: S608 - the contract's names
        while part := cursor.fetchmany(rows_a_page):
            rows = [dict(zip(STUDY_COLUMNS, row, strict=True)) for row in part]
            _add_series(beside, rows)
            yield rows


def _add_series(db: Any, rows: list[Row]) -> None:
    ids = [row["study_id"] for row in rows]
    by_study: dict[str, list[Row]] = {}
    query = (
        "SELECT study_id, SeriesInstanceUID, Modality, SeriesDescription, instance_count FROM series"
        " WHERE study_id IN (SELECT unnest(?)) ORDER BY SeriesInstanceUID"
    )
    names = ("uid", "modality", "description", "instances")
    for study, *values in db.execute(query, [ids]).fetchall():
        by_study.setdefault(study, []).append(dict(zip(names, values, strict=True)))
    query = "SELECT study_id, payload FROM evidence WHERE study_id IN (SELECT unnest(?))"
    payloads = dict(db.execute(query, [ids]).fetchall())
    for row in rows:
        row["series"] = by_study.get(row["study_id"], [])
        row["findings"] = sorted(json.loads(payloads.get(row["study_id"], "{}")).get("warnings", {}))


def sample(sealed: Seal, numbers: Mapping[str, int], decisions: Decisions | None) -> list[Row]:
    """The series that were drawn, and who opened them."""
    opened = {entry.SeriesInstanceUID: entry for entry in decisions.series} if decisions else {}
    query = (
        "SELECT SeriesInstanceUID AS uid, study_id AS study, Modality AS modality, SeriesDescription AS description,"
        " frame_count AS frames FROM series WHERE SeriesInstanceUID IN (SELECT unnest(?)) ORDER BY 1"
    )
    with connect(sealed) as db:
        cursor = db.execute(query, [list(numbers)])
        names = [column[0] for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return [{**row, "number": numbers[row["uid"]], "opened": opened.get(row["uid"])} for row in rows]


def grouped(findings: Sequence[Finding]) -> list[Row]:
    """Findings by rule: how many, and the first places."""
    by: dict[str, list[Finding]] = {}
    for finding in findings:
        by.setdefault(finding.rule, []).append(finding)
    return [
        {
            "rule": rule(code),
            "error": rule(code).severity is Severity.ERROR,
            "count": sum(f.count for f in found),
            "places": [" ".join(filter(None, (f.place, f.tag))) for f in found[:_SHOWN_PLACES]],
            "more": max(0, len(found) - _SHOWN_PLACES),
        }
        for code, found in sorted(by.items())
    ]


def by_license(sealed: Seal) -> list[tuple[licenses.License, int]]:
    """Each licence with its number of studies."""
    with connect(sealed) as db:
        counts = db.execute("SELECT license, count(*) FROM studies GROUP BY license ORDER BY 1").fetchall()
    return [(licenses.get(spdx), count) for spdx, count in counts]


def changes(sealed: Seal, against: Path | None) -> Changes | None:
    """The difference with another release folder.

    Raises:
        InputError: it is no release that can be compared with.
    """
    if against is None:
        return None
    other, found = seal.read(against)
    if other is None:
        raise InputError(f"{against} cannot be compared with: {found[0].rule}.", hint="Name a release's folder.")
    limits.guard(against)
    before, after = (
        {name: folder / "manifest" / f"{name}.parquet" for name in contract.MANIFEST_TABLES}
        for folder in (against, sealed.folder)
    )
    return Changes(other.version, *compare(before, after))
