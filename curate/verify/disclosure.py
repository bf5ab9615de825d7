"""Check (10): whoever joins all that the manifest says of a donor finds at least k donors who look the same."""

from __future__ import annotations

from dataclasses import replace

import duckdb
import pyarrow as pa

from curate import contract
from curate.findings import Finding
from curate.privacy.policy import DEFAULT_K
from curate.privacy.risk import DONOR, STUDY, risk
from curate.records import CheckResult
from curate.verify.seal import Seal
from curate.verify.tables import connect

_TITLE = "No donor stands out: at least k share all that is published of each"
_SENSITIVE = "diagnosis_code"


def check_disclosure(seal: Seal) -> CheckResult:
    """The release's own rows, studies joined with their series, against the k that it states.

    What earlier versions add can't be seen from here; the archive holds it against them before it cuts.
    """
    if seal.content["population"] == "test":
        return CheckResult("disclosure", "Test material: no disclosure risk", 0, ())
    stated = seal.content.get("privacy")
    k, access = (stated.get("k"), str(stated.get("access"))) if isinstance(stated, dict) else (None, "")
    if not isinstance(k, int) or isinstance(k, bool) or k < 2 or access not in DEFAULT_K:
        return CheckResult(
            "disclosure", _TITLE, 0, (Finding("PRIVACY_NOT_STATED", "release.json", "privacy"),)
        )
    with connect(seal) as db:
        table = joined(db)
    names = [name for name in table.column_names if name not in (STUDY, DONOR)]
    found = risk(table, names, k, sensitive=_SENSITIVE).findings()
    if seal.content.get("recut"):  # a withdrawal is never held: what it shrinks, the next version mends
        inherited = "PRIVACY_INHERITED_BELOW_K"
        found = tuple(replace(f, rule=inherited) if f.rule == "PRIVACY_BELOW_K" else f for f in found)
    low = (Finding("PRIVACY_LOW_K", "release.json", "k"),) if k < DEFAULT_K[access] else ()
    return CheckResult("disclosure", _TITLE, table.num_rows, (*found, *low))


def joined(db: duckdb.DuckDBPyConnection) -> pa.Table:
    """Every study with all its quasi-identifiers as text, those of its series together in one column."""
    studies = ", ".join(f'CAST("{name}" AS VARCHAR) AS "{name}"' for name in _quasi("studies"))
    series = ", ".join(f'"{name}"' for name in _quasi("series"))
    query = (
        f"SELECT study_id, donor_id, {studies}, said AS series FROM studies LEFT JOIN (SELECT study_id,"
        f" string_agg(said, ';' ORDER BY said) AS said"
        f" FROM (SELECT study_id, CAST(row({series}) AS VARCHAR) AS said FROM series) GROUP BY study_id)"
        " USING (study_id) ORDER BY study_id"
    )
    return db.sql(query).to_arrow_table()


def _quasi(name: str) -> list[str]:
    return [column.name for column in contract.table(name).columns if column.role == "quasi-identifier"]
