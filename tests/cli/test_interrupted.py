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

from tests.steps.archives import curate_json, donation, make_archive


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("library", ["_multiarray_umath", "libarrow.so"])
def test_ctrl_c_shows_no_traceback(workers: int, library: str, tmp_path: Path) -> None:
    """Exit code 130 and no traceback, even while this process or its workers still import modules."""
    archive = make_archive(tmp_path / "archive")
    folder, table = donation(tmp_path / "in", 60, 1)
    words = ["intake", archive, folder, "--studies", table, "--deidentify", "--workers", workers]
    for of in (_itself, _its_children)[:workers]:
        code, shown = _interrupted(words, lambda pid, of=of: any(_has(library, one) for one in of(pid)))  # type: ignore[misc]
        assert code in (0, 130)
        assert "Traceback" not in shown, shown


def test_what_was_stopped_goes_on(tmp_path: Path) -> None:
    """An intake that was stopped in its midst says so; the same command again takes in what was missing."""
    archive = make_archive(tmp_path / "archive")
    folder, table = donation(tmp_path / "in", 60, 1)
    words = ["intake", archive, folder, "--studies", table, "--deidentify", "--workers", 1]
    code, shown = _interrupted(words, lambda _: any((archive / "packs").iterdir()))
    assert (code, shown) == (
        130,
        "Stopped. What was finished is kept; run the same command again to go on.\n",
    )
    assert curate_json(*words)["admitted_instances"] == 60


def _itself(pid: int) -> list[int]:
    return [pid]


def _its_children(pid: int) -> list[int]:
    return [int(child) for child in _read(Path(f"/proc/{pid}/task/{pid}/children")).split()]


def _has(library: str, pid: int) -> bool:
    """Whether a process has begun to import a package: its library lies in its memory."""
    return library in _read(Path(f"/proc/{pid}/maps"))


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""


def _interrupted(words: list[object], ready: Callable[[int], bool]) -> tuple[int, str]:
    """Run the command in a group of its own, interrupt the group when ready; its exit code, and what it showed.

    The code is a shell's: 130 too where the interpreter, having said its words, ends by the signal itself
    (as CPython does where the signal came while it ran code from a text, as dataclasses do).
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "curate", *map(str, words), "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    while process.poll() is None and not ready(process.pid):
        time.sleep(0.002)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGINT)
    shown, _ = process.communicate(timeout=60)
    return (128 + signal.SIGINT if process.returncode == -signal.SIGINT else process.returncode), shown
