"""Damaged and hostile files: coded refusals within bounds of time and memory, whatever the bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz import memory, run

SECONDS = float(os.environ.get("CURATE_FUZZ_SECONDS", "3"))
ROOT = Path(__file__).resolve().parents[2]


def test_damaged_files_are_released_clean_or_refused() -> None:
    """No damage crashes or hangs the program, or lets it write what its checker would not pass."""
    run.seeds()
    tally = run.fuzz(SECONDS, int(os.environ.get("CURATE_PLANT_SEED", "1")))
    assert tally.files > 10 * SECONDS
    assert tally.outcomes["released"] > 0
    assert not tally.failures, [(reason, len(data)) for reason, data in tally.failures[:10]]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_hostile_files_are_bounded_in_time_and_memory() -> None:
    """Ten times the file and a constant are enough for any file, and seconds: two more for each megabyte."""
    done = subprocess.run([sys.executable, "-m", "tests.fuzz.memory"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(done.stdout)
    over = {
        name: row
        for name, row in measured.items()
        if row["peak"] > memory.TIMES * row["size"] + memory.BESIDE or row["seconds"] > 8 + 2 * row["size"] / 1e6
    }
    assert len(measured) > 50
    assert not over
