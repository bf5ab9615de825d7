"""`curate profile` says what happens to any attribute, and why."""

from __future__ import annotations

from pathlib import Path

from tests.steps.archives import curate, curate_json, make_archive


def test_an_attribute_by_keyword_and_by_tag(tmp_path: Path) -> None:
    """Both name the same; the answer has the action, the reason, and the table's own row."""
    by_name = curate_json("profile", "PatientName", "(0010,0010)", "0018,0050")
    assert by_name[0] == by_name[1]
    assert by_name[0]["action"] == "Z" and by_name[0]["table_e_1_1"] == "Z"
    assert by_name[2]["keyword"] == "SliceThickness" and by_name[2]["table_e_1_1"] == ""
    assert "numbers within a range" in by_name[2]["becomes"]


def test_an_archives_own_policy_applies(tmp_path: Path) -> None:
    """With dates removed by archive.toml, a date is no longer moved."""
    archive = make_archive(tmp_path / "archive")
    before = curate_json("profile", "StudyDate", "--archive", archive)
    config = archive / "archive.toml"
    config.write_text(config.read_text().replace("[profile]", '[profile]\ndates = "remove"'))
    after = curate_json("profile", "StudyDate", "--archive", archive)
    assert (before[0]["action"], after[0]["action"]) == ("C", "Z")


def test_all_of_them() -> None:
    """Every row of the table and every allowed attribute."""
    everything = curate_json("profile", "--all")
    assert len(everything) > 5000 and sum(bool(entry["table_e_1_1"]) for entry in everything) > 600


def test_what_is_no_attribute() -> None:
    """A clear message, and what to type instead."""
    told = curate("profile", "PatientNam", code=2)
    assert "neither a DICOM keyword nor a tag" in told.stderr and "such as PatientName" in told.stderr
