"""An unexpected error on one study is that study's finding, and the others go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curate.donation import head_judgement
from curate.policies import Policy
from curate.steps.deidentify import deidentify, work
from curate.steps.review import look
from curate.verify.checks import faces
from tests.steps.archives import donation


def break_down(*given: Any, **named: Any) -> Any:
    """The fault that is injected: what a thin slab once met."""
    raise IndexError("index -1 is out of bounds")


def test_a_series_that_cannot_be_drawn_has_its_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`review` draws the others."""
    monkeypatch.setattr(look, "_drawn", break_down)
    looked = look.render_series(look.SeriesTask(1, "1.2", "CT", (), tmp_path))
    assert [(one.rule, one.place) for one in looked.findings()] == [("PROGRAM_DEFECT", "series 1.2")]


def test_a_series_that_cannot_be_judged_has_its_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """`check --pixels` judges the others."""
    monkeypatch.setattr(faces, "rules_of", break_down)
    assert [one.rule for one in faces._look(faces._Task("1.2", ()))] == ["PROGRAM_DEFECT"]


def test_a_study_whose_heads_cannot_be_judged_stays_at_the_hospital(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of it is written, by the rule, and the run ends well."""
    monkeypatch.setattr(head_judgement, "plan", break_down)
    assert work.judge(work.Volumes("1.2", (), Policy()), None).failed == "PROGRAM_DEFECT"  # type: ignore[arg-type]
    folder, _ = donation(tmp_path / "in", studies=2, instances=1)
    profile = tmp_path / "profile.toml"
    profile.write_text('[profile]\nhead = "hold"\nburned_in = "allow"\n')
    report = deidentify([folder], tmp_path / "out", profile=profile, workers=1)
    assert (report.written_instances, report.refused_studies) == (0, 2)
    assert report.codes["PROGRAM_DEFECT"] == 2


def test_under_debug_the_error_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for the defect sees it."""
    monkeypatch.setattr(look, "_drawn", break_down)
    monkeypatch.setenv("CURATE_DEBUG", "1")
    with pytest.raises(IndexError):
        look.render_series(look.SeriesTask(1, "1.2", "CT", (), tmp_path))
