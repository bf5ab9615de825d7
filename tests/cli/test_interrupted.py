"""Ctrl-C, as a terminal sends it: to the command and to all of its workers at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.steps.archives import curate, curate_json, donation, make_archive


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_shows_no_traceback(workers: int, tmp_path: Path) -> None:
    """Exit code 130 and no traceback, even while this process or its workers still import modules."""
    archive = make_archive(tmp_path / "archive")
    folder, table = donation(tmp_path / "in", 60, 1)
    words = ["intake", archive, folder, "--studies", table, "--deidentify", "--workers", workers]
    started = time.monotonic()
    curate("--version")
    start = time.monotonic() - started  # of a process, however busy the machine is
    for share in (1.5, 2.5, 3.5):  # while modules are imported, here or in the workers
        code, shown = _interrupted(words, _after(start * share))
        assert code in (0, 130)
        assert "Traceback" not in shown, shown


def test_what_was_stopped_goes_on(tmp_path: Path) -> None:
    """An intake that was stopped in its midst says so; the same command again takes in what was missing."""
    archive = make_archive(tmp_path / "archive")
    folder, table = donation(tmp_path / "in", 60, 1)
    words = ["intake", archive, folder, "--studies", table, "--deidentify", "--workers", 1]
    code, shown = _interrupted(words, lambda: any((archive / "packs").iterdir()))
    assert (code, shown) == (130, "Stopped. What was finished is kept; run the same command again to go on.\n")
    assert curate_json(*words)["admitted_instances"] == 60


def _after(seconds: float) -> Callable[[], bool]:
    at = time.monotonic() + seconds
    return lambda: time.monotonic() > at


def _interrupted(words: list[object], ready: Callable[[], bool]) -> tuple[int, str]:
    """Run the command in a group of its own, interrupt the group when ready, and give exit code and texts."""
    process = subprocess.Popen(
        [sys.executable, "-m", "curate", *map(str, words), "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while process.poll() is None and not ready():
        time.sleep(0.01)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    shown, _ = process.communicate(timeout=60)
    return process.returncode, shown
