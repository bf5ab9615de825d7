"""`curate vocabulary FILE`: how raw values would map, in the form that scripts rely on."""

from __future__ import annotations

from pathlib import Path

from tests.steps.archives import curate, curate_json


def test_each_value_is_an_object_with_its_code_or_the_reason(tmp_path: Path) -> None:
    """`--json` is a list of field, raw, code (null where refused), meaning and reason; text says the same."""
    path = tmp_path / "values.csv"
    path.write_bytes("Age;Diagnosis;Region\n45 anys;C50.911;mà\n***;lung cancer;xyz\n".encode("cp1252"))
    told = curate_json("vocabulary", path)
    assert all(list(entry) == ["field", "raw", "code", "meaning", "reason"] for entry in told)
    mapped = {(entry["field"], entry["raw"]): entry["code"] for entry in told}
    assert mapped == {
        ("age", "45 anys"): "045Y",
        ("age", "***"): None,
        ("region", "mà"): "85562004",
        ("region", "xyz"): None,
        ("diagnosis", "C50.911"): "C50",
        ("diagnosis", "lung cancer"): None,
    }
    assert all(bool(entry["reason"]) == (entry["code"] is None) for entry in told)
    assert "85562004" in curate("vocabulary", path).stdout


def test_a_table_without_these_columns_is_one_message(tmp_path: Path) -> None:
    """Exit 2, what is expected, and no traceback."""
    path = tmp_path / "values.csv"
    path.write_text("study\n1.2.3\n")
    assert "age, sex, region, diagnosis" in curate("vocabulary", path, code=2).stderr.replace("\n", " ")
