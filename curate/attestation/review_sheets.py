"""The reviewer's sheet and decisions: `sheet.json` and `decisions.json`, as records and as JSON.

Their JSON Schemas are `manifests/v1/sheet.schema.json` and `manifests/v1/decisions.schema.json`. `evidence.sheet_of`
and `evidence.decisions_of` make both for a release, with the tool's evidence and nothing answered; whoever reviews
fills them in; `curate approve` signs them. They name studies and series by their published ids, and hold no
patient's value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from curate.core.errors import InputError

QUESTIONS = {
    "low_risk": "Is the risk of re-identification low, also combined with other data?",
    "defined_access": "Is access under defined terms and a licence?",
    "no_incentive": "Is there no special incentive to re-identify?",
    "for_health": "Is the use for health?",
    "greater_good": "Does it serve a greater good?",
}
ACCEPT, REFUSE = "accept", "refuse"
EVERY_STUDY = "*"
_SHEET, _DECISIONS = "curate/sheet/v1", "curate/decisions/v1"


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the tool's `evidence`; `answer` (yes, no, empty) and `reason` are the reviewer's."""

    id: str
    question: str
    evidence: Mapping[str, Any]
    answer: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a reviewer is shown and signs.

    `release` is the SHA-256 of `release.json` in hex. `counts` holds studies, series, instances, donors, held,
    quarantined, added and removed. `sampling`: `series` in the release, `opened` as many as the plan asks for, `bound`
    the share below which faults lie at 95% if none is found in these (3/n, as text with four decimals), `chosen_by`
    how anybody finds the same ones. `header_changes` counts attributes by action code of PS3.15, `pixel_changes`
    instances by what masking or defacing did. `consent_text` is the SHA-256 of the consent's text, `dpia` where the
    impact assessment is; both may be empty. `policy` is the digest of `archive.toml`.
    """

    version: str
    release: str
    questions: tuple[Question, ...]
    counts: Mapping[str, int]
    sampling: Mapping[str, Any]
    findings: Mapping[str, int]
    header_changes: Mapping[str, int]
    pixel_changes: Mapping[str, int]
    consent_text: str
    dpia: str
    policy: str
    tool: str


@dataclass(frozen=True, slots=True)
class FindingDecision:
    """What was decided on a finding: `accept`, `refuse` or empty; `study_id` is `*` for all studies that have it."""

    code: str
    study_id: str
    decision: str = ""
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class SeriesDecision:
    """Whether a series of the sample was opened and looked through, and by whom."""

    SeriesInstanceUID: str
    opened: bool = False
    by: str = ""


@dataclass(frozen=True, slots=True)
class Decisions:
    """`decisions.json`: each finding decided, each series of the sample opened or not, and by whom."""

    version: str
    release: str
    findings: tuple[FindingDecision, ...] = field(default=())
    series: tuple[SeriesDecision, ...] = field(default=())


_R = TypeVar("_R")


def read_sheet(path: Path) -> Sheet:
    """The sheet of a `sheet.json`.

    Raises:
        InputError: it cannot be read, or is not of the form of `sheet.schema.json`.
    """
    raw = _read(path, _SHEET)
    raw["questions"] = _records(Question, raw.get("questions"), path)
    sheet = _record(Sheet, raw, path)
    if [(q.id, q.question) for q in sheet.questions] != list(QUESTIONS.items()):
        raise InputError(f"{path} does not hold the five questions.", hint="Make it anew: curate sheet")
    return sheet


def read_decisions(path: Path) -> Decisions:
    """The decisions of a `decisions.json`; what is not decided yet has an empty `decision`, `opened` is false.

    Raises:
        InputError: it cannot be read, or is not of the form of `decisions.schema.json`.
    """
    raw = _read(path, _DECISIONS)
    raw["findings"] = _records(FindingDecision, raw.get("findings"), path)
    raw["series"] = _records(SeriesDecision, raw.get("series"), path)
    made = _record(Decisions, raw, path)
    if {entry.decision for entry in made.findings} - {"", ACCEPT, REFUSE}:
        raise InputError(f"{path}: a decision is accept, refuse, or empty.", hint="Mend the file.")
    return made


def to_json(record: Sheet | Decisions) -> str:
    """A sheet or decisions as the text of their file."""
    kind = _SHEET if isinstance(record, Sheet) else _DECISIONS
    return json.dumps({"format": kind, **asdict(record)}, ensure_ascii=False, indent=1) + "\n"


def _read(path: Path, wanted: str) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON.", hint="Mend the file.") from error
    if not isinstance(raw, dict) or raw.pop("format", None) != wanted:
        raise InputError(f"{path} is not of the format {wanted}.", hint="Make it anew: curate sheet")
    return raw


def _records(kind: type[_R], raw: Any, path: Path) -> tuple[_R, ...]:
    if not isinstance(raw, list):
        raise InputError(f"{path} lacks a list of {kind.__name__}.", hint="Make it anew: curate sheet")
    return tuple(_record(kind, entry, path) for entry in raw)


_TYPES: Mapping[str, type | tuple[type, ...]] = {"str": str, "bool": bool}


def _record(kind: type[_R], raw: Any, path: Path) -> _R:
    """A record of its JSON: known keys only, of the types that the record has."""
    known = {entry.name: str(entry.type) for entry in fields(kind)}  # type: ignore[arg-type]
    good = isinstance(raw, dict) and all(
        name in known and isinstance(value, _TYPES.get(known[name], Mapping | Sequence)) for name, value in raw.items()
    )
    try:
        if good:
            return kind(**raw)
    except TypeError:  # told below, with what else is wrong
        pass
    raise InputError(f"{path} holds a {kind.__name__} of another form.", hint="Make it anew: curate sheet")
