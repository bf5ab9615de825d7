"""Check `disclosure`: whoever joins all that the manifest says of a donor finds at least k donors who look the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from curate import contract
from curate.core.errors import DamagedError, quoted
from curate.core.findings import Finding
from curate.core.records import CheckResult
from curate.policies import DEFAULT_K
from curate.privacy.risk import DONOR, STUDY, Risk, class_sizes, risk
from curate.verify import limits
from curate.verify.checks import seal as sealing
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import connect

_TITLE = "No donor stands out: at least k share all that is published of each"
_SENSITIVE = "diagnosis_code"
_SAME = ("diagnosis_title",)  # says what the code says: a class is not made of it
_BANDS = (1, 2, 5, 11, 20, 50, 100, 1_000, 10_000, 100_000)


@dataclass(frozen=True, slots=True)
class ReleaseRisk:
    """The disclosure risk of a release, counted from its own bytes: counts only.

    `k` and `access` are what it states (None, empty: it does not); `exempt`: test material, which is not counted;
    `nulls` says in how many studies each column says nothing; `sizes` how many donors stand in classes of each size,
    by the lower end of the band 1, 2, 5, 11, 20, 50, 100, ...
    """

    version: str
    k: int | None
    access: str
    exempt: bool
    risk: Risk | None
    nulls: Mapping[str, int]
    sizes: Mapping[int, int]
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = {name: getattr(self, name) for name in ("version", "k", "access", "exempt")}
        risk = self.risk.as_dict() if self.risk else None
        sizes = {str(size): count for size, count in self.sizes.items()}
        findings = [asdict(finding) for finding in self.findings]
        return {**plain, "risk": risk, "nulls": dict(self.nulls), "sizes": sizes, "findings": findings}


def release_risk(folder: Path) -> ReleaseRisk:
    """How many donors share all that a release says of each, for its reviewer; needs nothing but the folder.

    What earlier versions add can't be seen from here; the archive holds it against them before it cuts.

    Raises:
        InputError: the folder is no release.
        DamagedError: its seal or its tables can't be read.
    """
    seal, _ = sealing.read(folder)
    if seal is None:
        raise DamagedError(f"{folder} has no seal that can be read.", hint=f"See why: curate check {quoted(folder)}")
    limits.guard(folder)
    try:
        return _counted(seal)
    except (duckdb.Error, pa.ArrowException) as error:
        raise DamagedError(
            f"The tables of {folder} can't be read.", hint=f"See why: curate check {quoted(folder)}"
        ) from error


def check_disclosure(seal: Seal) -> CheckResult:
    """The release's own rows, studies joined with their series, against the k that it states."""
    if seal.content["population"] == "test":
        return CheckResult("disclosure", "Test material: no disclosure risk", 0, ())
    found = _counted(seal)
    return CheckResult("disclosure", _TITLE, found.risk.studies if found.risk else 0, found.findings)


def _counted(seal: Seal) -> ReleaseRisk:
    stated = seal.content.get("privacy")
    k, access = (stated.get("k"), str(stated.get("access"))) if isinstance(stated, dict) else (None, "")
    if seal.content["population"] == "test":
        return ReleaseRisk(seal.version, None, access, True, None, {}, {}, (Finding("PRIVACY_EXEMPT", "studies"),))
    if not isinstance(k, int) or isinstance(k, bool) or k < 2 or access not in DEFAULT_K:
        missing = Finding("PRIVACY_NOT_STATED", "release.json", "privacy")
        return ReleaseRisk(seal.version, None, "", False, None, {}, {}, (missing,))
    with connect(seal) as db:
        table = joined(db)
    names = [name for name in table.column_names if name not in (STUDY, DONOR)]
    found = risk(table, names, k, sensitive=_SENSITIVE, same=_SAME)
    findings = found.findings()
    if seal.content.get("recut"):  # a withdrawal is never held: what it shrinks, the next version mends
        inherited = "PRIVACY_INHERITED_BELOW_K"
        findings = tuple(replace(f, rule=inherited) if f.rule == "PRIVACY_BELOW_K" else f for f in findings)
    low = (Finding("PRIVACY_LOW_K", "release.json", "k"),) if k < DEFAULT_K[access] else ()
    nulls = {name: table[name].null_count for name in names if name != "series"}
    return ReleaseRisk(seal.version, k, access, False, found, nulls, _sizes(table, names), (*findings, *low))


def _sizes(table: pa.Table, names: Sequence[str]) -> dict[int, int]:
    """How many donors stand in classes of each band of sizes."""
    sizes = class_sizes(table, names).append_column(DONOR, table[DONOR])
    each = sizes.group_by(DONOR).aggregate([("donors_like_donor", "min")])["donors_like_donor_min"].to_pylist()
    return dict(sorted(Counter(max(low for low in _BANDS if low <= size) for size in each).items()))


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
