"""Check `looks`: of each study, its evidence says that its pixels were looked at as the release's profile says."""

from __future__ import annotations

from curate.core.actor import TOOL
from curate.core.findings import Finding
from curate.core.records import CheckResult
from curate.deid import profile
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import connect, scalar

_RULE = "PIXELS_NOT_AS_PROFILE"
_UNSEEN = (  # by option of the profile: what an unseen study has, and what its evidence lacks
    (
        "burned_in",
        "FROM evidence WHERE json_extract(payload, '$.pixels') IS NULL"
        " AND study_id IN (SELECT study_id FROM instances WHERE frames > 0)",
    ),
    (
        "head",
        "FROM evidence WHERE json_extract_string(payload, '$.profile.head') = 'allow'"
        " AND json_extract(payload, '$.faces') IS NULL"
        " AND study_id IN (SELECT study_id FROM series WHERE Modality IN ('CT', 'MR', 'PT', 'NM'))",
    ),
)


def check_pixel_review(seal: Seal) -> CheckResult:
    """Studies that entered unseen, before the profile asked for a look or without what looks: warnings."""
    findings = []
    with connect(seal) as db:
        for option, query in _UNSEEN:
            if seal.profile.get(option) != "allow" and (count := scalar(db, f"SELECT count(*) {query}")):
                findings.append(Finding(_RULE, "evidence", option, count))
        stated = ("json_extract_string(payload, '$.tool') = ?", "json_extract_string(payload, '$.table.sha256')")
        query = f"SELECT count(*) FROM evidence WHERE {stated[0]} AND {stated[1]} IS DISTINCT FROM ?"
        if count := scalar(db, query, (TOOL, profile.rules_digest())):
            findings.append(Finding("EVIDENCE_TABLE", "evidence", "table", count))
        total = scalar(db, "SELECT count(*) FROM evidence")
    return CheckResult("looks", "Pixels were looked at as the profile says", total, tuple(findings))
