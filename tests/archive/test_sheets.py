"""The formats of sheets and decisions are those of their schemas."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from curate.attestation import review_sheets
from curate.attestation.evidence import bound, sampled
from curate.attestation.review_sheets import Decisions, FindingDecision, Question, SeriesDecision, Sheet
from curate.core import resources
from tests.regenerate_golden import GOLDEN


def _schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(resources.manifest_text(f"{name}.schema.json"))
    return found


def _golden(name: str) -> Path:
    return next((GOLDEN / "attestations" / name).glob("*.json"))


def test_records_have_the_fields_of_their_schemas() -> None:
    """Each property of the schemas is a field of the record, and the other way."""
    sheet, decisions = _schema("sheet"), _schema("decisions")
    pairs = [
        (Sheet, sheet, {"format"}),
        (Question, sheet["properties"]["questions"]["items"], set()),
        (Decisions, decisions, {"format"}),
        (FindingDecision, decisions["properties"]["findings"]["items"], set()),
        (SeriesDecision, decisions["properties"]["series"]["items"], set()),
    ]
    for record, schema, more in pairs:
        assert {field.name for field in fields(record)} | more == schema["properties"].keys()  # type: ignore[arg-type]
        assert schema["additionalProperties"] is False


def _obeys(value: Any, schema: dict[str, Any]) -> bool:
    """As much of JSON Schema as these two use."""
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):
        return False
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return False
    if "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, list):
        return all(_obeys(entry, schema.get("items", {})) for entry in value)
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        return set(schema.get("required", [])) <= value.keys() and all(
            _obeys(entry, known[name]) if name in known else others is not False and _obeys(entry, others or {})
            for name, entry in value.items()
        )
    return True


@pytest.mark.parametrize(("name", "kind"), [("sheets", "sheet"), ("decisions", "decisions")])
def test_the_golden_ones_obey_their_schemas(name: str, kind: str) -> None:
    """What a reviewer signed in the golden release is of the schema's form; with one key more it is not."""
    content = json.loads(_golden(name).read_text())
    assert _obeys(content, _schema(kind))
    assert not _obeys(content | {"more": 1}, _schema(kind))
    assert not _obeys(content | {"release": "x"}, _schema(kind))


def test_what_is_read_is_written_the_same(tmp_path: Path) -> None:
    """A sheet and decisions go through their records unchanged."""
    for name, read in (("sheets", review_sheets.read_sheet), ("decisions", review_sheets.read_decisions)):
        path = tmp_path / name
        path.write_text(review_sheets.to_json(read(_golden(name))))
        assert json.loads(path.read_text()) == json.loads(_golden(name).read_text())


def test_the_sample_is_the_releases_own() -> None:
    """It is as large as asked for, the same each time, and another one for other bytes."""
    series = sampled(GOLDEN, "00" * 32, 5)
    assert len(set(series)) == 5
    assert series == sampled(GOLDEN, "00" * 32, 7)[:5]
    assert series != sampled(GOLDEN, "01" * 32, 5)
    assert len(sampled(GOLDEN, "00" * 32, 1000)) == 13


def test_the_bound_is_three_over_n() -> None:
    """Nothing found in 300 bounds faults below 1%; few or none opened bound nothing; all of them are no sample."""
    assert [bound(n, 1000) for n in (300, 3, 2, 0)] == ["0.0100", "1.0000", "1.0000", "1.0000"]
    assert [bound(n, 24) for n in (24, 300)] == ["0.0000", "0.0000"]
