"""`curate risk`: how many donors look alike, in the archive and in its next release, and what waits for more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.archive import repository
from curate.core.findings import Finding
from curate.donation import quasi_identifiers
from curate.privacy.cross_release_risk import FIRST
from curate.privacy.forecast import Forecast
from curate.privacy.forecast import forecast as forecast_of
from curate.privacy.risk import Risk
from curate.privacy.risk import risk as count


@dataclass(frozen=True, slots=True)
class RiskReport:
    """The disclosure risk of an archive: counts only, never a value or an id of a person.

    `archive` is all that it holds, as exact as it is, `released` what the next release would show; `levels` name how
    exact each column would be, `suppressed` how many of its cells would be null, `waiting` why studies wait,
    `images_alone` how many of these only more donors can free; `forecast` says how many studies wait for how many
    more donors. `exempt`: test material, released as it is.
    """

    k: int
    access: str
    exempt: bool
    archive: Risk
    released: Risk
    levels: Mapping[str, str]
    suppressed: Mapping[str, int]
    waiting: Mapping[str, int]
    images_alone: Mapping[str, int]
    forecast: Forecast
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        tables = {"archive": self.archive.as_dict(), "released": self.released.as_dict()}
        plain = {name: getattr(self, name) for name in ("k", "access", "exempt")}
        counts = {name: dict(getattr(self, name)) for name in ("levels", "suppressed", "waiting", "images_alone")}
        findings = [asdict(finding) for finding in self.findings]
        return {**plain, **tables, **counts, "forecast": self.forecast.as_dict(), "findings": findings}


def risk(root: Path, k: int | None = None) -> RiskReport:
    """Measure an archive against `k`, or the k of its own policy; nothing is written.

    Raises:
        InputError: no archive, or a k out of range.
    """
    with repository.opened(root, write=False) as archive:
        policy = quasi_identifiers.policy_of(archive.config, k)
        raw = quasi_identifiers.raw_table(archive.ledger)
        made = quasi_identifiers.recoding(archive, policy)
    return RiskReport(
        k=policy.k,
        access=policy.access,
        exempt=policy.exempt,
        archive=_risk(raw, policy.k),
        released=_risk(made.table, policy.k),
        levels=dict(made.levels),
        suppressed=dict(made.suppressed),
        waiting=dict(sorted(Counter(made.held["reason"].to_pylist()).items())),
        images_alone=quasi_identifiers.images_alone(raw, frozenset(made.held["study_id"].to_pylist()), policy.k),
        forecast=forecast_of(made),
        findings=made.findings(),
    )


def _risk(table: pa.Table, k: int) -> Risk:
    first = (FIRST,) if FIRST in table.column_names else ()
    return count(table, (*quasi_identifiers.QUASI_IDENTIFIERS, *first), k, sensitive=quasi_identifiers.SENSITIVE)
