"""An unexpected error on one study is that study's finding, and the others go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curate.donation import gather, head_judgement
from curate.policies import Policy
from curate.steps import inspect as inspection
from curate.steps.deidentify import deidentify, plans, work
from curate.steps.intake import admit, intake, intake_run, late_batch
from curate.steps.review import series_rendering
from curate.verify.checks import faces, instances, pixels
from tests import synth
from tests.steps.archives import donation, make_archive


def break_down(*given: Any, **named: Any) -> Any:
    """The fault that is injected: what a thin slab once met."""
    raise IndexError("index -1 is out of bounds")


def break_once(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
    """The first call of a function breaks down, the others do what they did."""
    sound, calls = getattr(module, name), iter((break_down,))
    monkeypatch.setattr(module, name, lambda *given, **named: next(calls, sound)(*given, **named))


def test_a_series_that_cannot_be_drawn_has_its_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`review` draws the others."""
    monkeypatch.setattr(series_rendering, "_drawn", break_down)
    looked = series_rendering.render_series(series_rendering.SeriesTask(1, "1.2", "CT", (), tmp_path))
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


@pytest.mark.parametrize(("module", "name"), [(gather, "scan"), (work, "_look"), (plans, "_plan"), (work, "_safe")])
def test_at_the_hospital_one_study_stays_and_the_other_leaves(
    module: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether its file is first looked at, its headers, its rows, or its pixels."""
    folder, _ = donation(tmp_path / "in", studies=2, instances=1)
    break_once(monkeypatch, module, name)
    report = deidentify([folder], tmp_path / "out", workers=1)
    assert (report.written_studies, report.written_instances) == (1, 1)
    assert report.codes["PROGRAM_DEFECT"] == 1
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 1


@pytest.mark.parametrize(("module", "name"), [(gather, "scan"), (intake_run._Run, "_task"), (admit, "taken")])
def test_at_intake_one_study_waits_and_the_other_enters(
    module: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the rule, in quarantine."""
    folder, table = donation(tmp_path / "in", studies=2, instances=1)
    break_once(monkeypatch, module, name)
    report = intake(make_archive(tmp_path / "a"), [folder], table, deidentify=True, workers=1)
    assert (report.admitted_studies, report.quarantined_instances) == (1, 1)
    assert report.codes["PROGRAM_DEFECT"] == 1


def test_what_joins_an_admitted_study_waits_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The late instances wait by the rule; the study is as it was."""
    archive = make_archive(tmp_path / "a")
    folder, table = donation(tmp_path / "in", studies=1, instances=1)
    assert intake(archive, [folder], table, deidentify=True, workers=1).admitted_instances == 1
    donation(tmp_path / "in", studies=1, instances=3)
    monkeypatch.setattr(late_batch, "_taken_in", break_down)
    report = intake(archive, [folder], table, deidentify=True, workers=1)
    assert (report.joined_instances, report.quarantined_instances) == (0, 2)
    assert report.codes["PROGRAM_DEFECT"] == 1


def test_inspect_tells_of_one_file_and_one_series(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Judged by its header, by its pixels or in a volume; the other file has its verdict."""
    folder, _ = donation(tmp_path / "in", studies=1, instances=2)
    for module, name in ((inspection, "judge"), (inspection, "_of_pixels"), (faces, "rules_of")):
        with monkeypatch.context() as patch:
            break_once(patch, module, name)
            found = list(inspection.inspect([folder], pixels=True, workers=1))
        rules = [{finding.rule for finding in verdict.findings} for verdict in found]
        assert [one for one in rules if "PROGRAM_DEFECT" in one] == [{"PROGRAM_DEFECT"}], name
        assert sum(verdict.kind == "instance" for verdict in found) == 2, name


def test_check_tells_of_one_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its header and row, and of its pixels."""
    data = synth.instance_bytes(0, 0, 0, 0, rows=16, columns=16)
    monkeypatch.setattr(instances, "_check_instance", break_down)
    found, told = instances._checked((None,) * 6 + ("1.2",), data, Policy())
    assert ([(one.rule, one.place) for one in found], told) == ([("PROGRAM_DEFECT", "instance 1.2")], None)
    monkeypatch.setattr(pixels, "pixels_of", break_down)
    assert pixels._found(data) == [("PROGRAM_DEFECT", 1)]


def test_under_debug_the_error_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for the defect sees it."""
    monkeypatch.setattr(series_rendering, "_drawn", break_down)
    monkeypatch.setenv("CURATE_DEBUG", "1")
    with pytest.raises(IndexError):
        series_rendering.render_series(series_rendering.SeriesTask(1, "1.2", "CT", (), tmp_path))
