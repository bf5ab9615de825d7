"""What is wrong with data: a rule's code, the place, the attribute; never the value."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from curate.core import resources


class Severity(StrEnum):
    """How much a finding weighs: an error blocks, a warning is decided by a person, a note informs."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `manifests/v1/rules.json`."""

    code: str
    severity: Severity
    title: str
    next: str
    cites: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong, where.

    `rule` is a code of `rules.json`; `place` names a file, row, table or id; `tag` is a DICOM
    keyword path such as `RequestAttributesSequence[0].StudyID`, or a column; `count` merges equal
    findings. No field ever holds a patient's value.
    """

    rule: str
    place: str = ""
    tag: str = ""
    count: int = 1

    @property
    def severity(self) -> Severity:
        """The severity of the rule."""
        return rule(self.rule).severity


@cache
def rules() -> dict[str, Rule]:
    """All rules by code, as `manifests/v1/rules.json` lists them."""
    raw = json.loads(resources.manifest_text("rules.json"))
    return {
        entry["code"]: Rule(
            entry["code"], Severity(entry["severity"]), entry["title"], entry["next"], entry.get("cites", "")
        )
        for entry in raw["rules"]
    }


def rule(code: str) -> Rule:
    """The rule of a code.

    Raises:
        KeyError: no such rule; a defect of the program, not of data.
    """
    return rules()[code]


def defect(place: str = "") -> Finding:
    """What an unexpected error is told as, where it is caught; under CURATE_DEBUG it is raised instead."""
    if os.environ.get("CURATE_DEBUG"):
        raise
    return Finding("PROGRAM_DEFECT", place)


def merge(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Equal findings as one with their sum as count, sorted."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for finding in findings:
        counts[(finding.rule, finding.place, finding.tag)] += finding.count
    return tuple(sorted(Finding(*key, count) for key, count in counts.items()))


def has_errors(findings: Iterable[Finding]) -> bool:
    """Whether any finding is an error."""
    return any(finding.severity is Severity.ERROR for finding in findings)
