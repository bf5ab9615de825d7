"""Public functions take what a notebook writes."""

from __future__ import annotations

from pathlib import Path

import pytest

import curate
from curate.core.errors import InputError


def test_a_path_may_be_text_and_one_path_several(tmp_path: Path) -> None:
    """`curate.intake("archive", "incoming", "studies.csv")` works as with `Path` and lists; so do the others."""
    root = tmp_path / "archive"
    curate.init(str(root), curate.ArchiveInfo("A", "B", "CC-BY-4.0", "test"), approvals=0)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "note.txt").write_text("no image")
    table = tmp_path / "t.csv"
    table.write_text("study,donor,age,sex,region,diagnosis,consent,consent_date\n")
    report = curate.intake(str(root), str(tmp_path / "in"), str(table))
    assert (report.files, report.not_instances) == (1, 1)
    assert curate.waiting(str(root)) == []
    with pytest.raises(InputError):
        curate.status(str(root), "no receipt")
    assert curate.intake.__doc__ == curate.intake.__wrapped__.__doc__
