"""What a long step shows: a line every half minute in a log, nothing when asked for nothing."""

from __future__ import annotations

import pytest

from curate.cli.progress import Lines, progress
from curate.core.progress import silent


class Clock:
    """A clock that a test moves."""

    seconds = 0.0

    def __call__(self) -> float:
        """Seconds so far."""
        return self.seconds


def test_a_log_gets_a_line_every_half_minute(capsys: pytest.CaptureFixture[str]) -> None:
    """Studies, instances, bytes, rates and the time left are told every 30 s, whatever the pace of the items."""
    clock = Clock()
    shown = Lines(clock)
    for _ in shown.over(range(40), "studies", 40):
        clock.seconds += 10
        shown.add(instances=100, size_bytes=50_000_000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 13
    assert lines[0] == "3 of 40 studies, 300 instances (10/s), 150.0 MB (5.0 MB/s), 6 min left"
    assert lines[-1] == "39 of 40 studies, 3,900 instances (10/s), 1,950.0 MB (5.0 MB/s), 10 s left"


def test_each_stage_counts_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """A second stage starts its amounts and its clock anew; without a total nothing is said of what is left."""
    clock = Clock()
    shown = Lines(clock)
    for _ in shown.over(range(3), "batches of files"):
        clock.seconds += 20
        shown.add(size_bytes=10**9)
    for _ in shown.over(range(2), "studies", 1000):
        clock.seconds += 40
        shown.add(instances=4)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "2 batches of files, 2,000.0 MB (50.0 MB/s)",
        "1 of 1,000 studies, 4 instances (0/s), 11 h 6 min left",
        "2 of 1,000 studies, 8 instances (0/s), 11 h 5 min left",
    ]


def test_a_short_step_says_nothing_in_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    """What takes less than half a minute leaves a log as it is, and --quiet is silent always."""
    shown = progress()
    assert list(shown.over(range(3), "studies", 3)) == [0, 1, 2]
    assert progress(quiet=True) is silent
    assert capsys.readouterr().err == ""
