"""Which studies the findings of a check are about, so that whoever cut the release knows what to take out."""

from __future__ import annotations

from collections.abc import Iterable

import duckdb

from curate import contract
from curate.core.findings import Finding
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import connect

_INSTANCE, _STUDY = "instance ", "study "
_COUNTED = {
    "COUNT_SERIES": "SELECT study_id FROM studies JOIN (SELECT study_id, count(*) n, sum(instance_count) i FROM series"
    " GROUP BY ALL) USING (study_id) WHERE n <> series_count OR i <> studies.instance_count",
    "COUNT_INSTANCES": "SELECT study_id FROM series JOIN (SELECT SeriesInstanceUID, count(*) n FROM instances"
    " GROUP BY ALL) USING (SeriesInstanceUID) WHERE n <> instance_count",
    "SLICE_INDEX": "SELECT study_id FROM instances WHERE SeriesInstanceUID IN (SELECT SeriesInstanceUID FROM instances"
    " GROUP BY ALL HAVING min(slice_index) <> 0 OR max(slice_index) <> count(*) - 1)",
}


def studies_of(seal: Seal, findings: Iterable[Finding]) -> list[str]:
    """The ids of the studies that findings name, sorted; none where they are of the release as a whole."""
    found: set[str] = set()
    try:
        with connect(seal) as db:
            for finding in findings:
                found.update(row[0] for row in _rows(db, finding) if row[0])
    except duckdb.Error:  # tables that nobody can read name no study
        return []
    return sorted(found)


def _rows(db: duckdb.DuckDBPyConnection, finding: Finding) -> list[tuple[str]]:
    place = finding.place
    if place.startswith(_INSTANCE):
        query = "SELECT study_id FROM instances WHERE SOPInstanceUID = ?"
        return db.execute(query, (place.removeprefix(_INSTANCE),)).fetchall()
    if place.startswith(_STUDY):
        return [(place.removeprefix(_STUDY),)]
    if place.startswith("packs/"):
        return db.execute("SELECT DISTINCT study_id FROM instances WHERE pack = ?", (place,)).fetchall()
    if finding.rule in _COUNTED:
        return db.execute(f"SELECT DISTINCT * FROM ({_COUNTED[finding.rule]})").fetchall()
    if finding.rule == "KEY_DOUBLED" and place != "revocations":
        key = ", ".join(f'"{column}"' for column in contract.table(place).key)
        query = f'SELECT DISTINCT study_id FROM "{place}" WHERE ({key}) IN (SELECT ({key}) FROM "{place}"'
        return db.execute(f"{query} GROUP BY {key} HAVING count(*) > 1)").fetchall()
    return []
