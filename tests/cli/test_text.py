"""Text as a pipe gets it: a record is one line, and nothing in it is cut in two."""

from __future__ import annotations

from pathlib import Path

from tests.steps.archives import curate, donation, make_archive


def test_piped_lines_are_whole(tmp_path: Path) -> None:
    """Long paths and long explanations stand in one line each, without blanks at its end."""
    long = tmp_path / ("a" * 90) / ("b" * 90)
    long.mkdir(parents=True)
    archive = make_archive(long / "archive")
    folder, table = donation(tmp_path / "in", 2, 1)
    shown = curate("intake", archive, folder, "--studies", table).stdout
    assert f"See what waits: curate quarantine {archive}\n" in shown
    waiting = curate("quarantine", archive).stdout.splitlines()
    assert [line.split()[0][0] for line in waiting[1:]] == ["Q", "Q"]
    explained = curate("profile", "PatientName", "StudyDate").stdout.splitlines()
    assert [line.split()[0] for line in explained] == ["tag", "(0010,0010)", "(0008,0020)"]
    assert all(line == line.rstrip() for line in [*shown.splitlines(), *waiting, *explained])
