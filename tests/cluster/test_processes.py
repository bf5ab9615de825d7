"""Worker processes that die, and a coordinator that dies before them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from multiprocessing import forkserver
from pathlib import Path

import psutil
import pytest

from curate import parallel
from curate.core.errors import CurateError
from tests.cluster.machines import FIXED, until
from tests.cluster.test_dask import make, release_of
from tests.steps.archives import curate, donation


def die_once(task: tuple[int, Path], private: str) -> str:
    """End this process by SIGKILL on the first sight of task 5."""
    number, marks = task
    if number == 5 and not (marks / "died").exists():
        (marks / "died").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{private} {number}"


def die(task: int, private: None) -> int:
    """End this process by SIGKILL whenever it sees task 2."""
    del private
    if task == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return task


def test_what_a_killed_worker_had_is_done_by_others(tmp_path: Path) -> None:
    """A worker ends by SIGKILL in the middle: every task has its result, once, and workers have what is private."""
    with parallel.opened(2, "told") as pool:
        done = list(pool.map(die_once, [(number, tmp_path) for number in range(30)]))
    assert (tmp_path / "died").exists()
    assert sorted(task[0] for task, _ in done) == list(range(30))
    assert all(result == f"told {task[0]}" for task, result in done)


def die_and_count(task: tuple[int, Path], private: None) -> int:
    """End this process by SIGKILL whenever it sees task 2, and leave a mark."""
    del private
    number, marks = task
    if number == 2:
        (marks / f"{os.getpid()}").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_task_that_kills_two_workers_is_not_sent_again(tmp_path: Path) -> None:
    """It has the result of what is lost; every other task, those that died along with it too, has its own."""
    with parallel.opened(2, None) as pool:
        done = dict(pool.map(die_and_count, [(n, tmp_path) for n in range(12)], lambda task: -task[0]))
    assert {task[0]: result for task, result in done.items()} == {n: -n if n == 2 else n for n in range(12)}
    assert len(list(tmp_path.iterdir())) == 2


def test_where_nothing_is_lost_the_step_ends_with_one_message() -> None:
    """A step that must have every result stops, and says what to do."""
    with parallel.opened(2, None) as pool, pytest.raises(CurateError, match="Two worker processes") as stopped:
        list(pool.map(die, range(4)))
    assert "memory" in stopped.value.hint


def environment_of(task: int, private: None) -> tuple[str, bytes]:
    """What this process knows of its environment."""
    del task, private
    started = Path("/proc/self/environ")
    return repr(sorted(os.environ.items())), started.read_bytes() if started.exists() else b""


@pytest.mark.parametrize("remote", [False, True])
def test_workers_inherit_no_token(monkeypatch: pytest.MonkeyPatch, remote: bool) -> None:
    """No token or passphrase reaches them; a store's login does where they read from it, and by the pipe alone."""
    for name in ("HF_TOKEN", "ZENODO_TOKEN", "CURATE_PASSPHRASE"):
        monkeypatch.setenv(name, "neverneverever")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "storestorestore")
    monkeypatch.setattr("multiprocessing.forkserver._forkserver", forkserver.ForkServer())  # started anew
    server = forkserver._forkserver
    monkeypatch.setattr("multiprocessing.forkserver.ensure_running", server.ensure_running)
    monkeypatch.setattr("multiprocessing.forkserver.connect_to_new_process", server.connect_to_new_process)
    with parallel.opened(2, None, remote=remote) as pool:
        for _, (now, started) in pool.map(environment_of, range(3)):
            assert "neverneverever" not in now
            assert b"neverneverever" not in started
            assert b"storestorestore" not in started
            assert ("storestorestore" in now) is remote
    server._stop()
    assert os.environ["HF_TOKEN"] == "neverneverever"


def test_a_killed_coordinator_takes_its_workers_along_and_the_next_run_ends_the_intake(tmp_path: Path) -> None:
    """SIGKILL on the coordinator in mid-run: its workers end, the same command again gives the undisturbed bytes."""
    folder, table = donation(tmp_path / "in", studies=6, instances=25)
    for name in ("quiet", "killed"):
        make(tmp_path / name)
    how = (folder, "--studies", table, "--deidentify")
    curate("intake", tmp_path / "quiet", *how, "--workers", 1, **FIXED)
    run = subprocess.Popen(
        [sys.executable, "-m", "curate", "intake", str(tmp_path / "killed"), *map(str, how), "--workers", "2"],
        env={**os.environ, **FIXED},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until(lambda: any((tmp_path / "killed" / "packs").rglob("*.parquet")))
    workers = [child for child in psutil.Process(run.pid).children(recursive=True) if child.is_running()]
    run.kill()
    run.wait()
    assert len(list((tmp_path / "killed" / "packs").rglob("*.parquet"))) < 6
    assert workers
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    curate("intake", tmp_path / "killed", *how, "--workers", 2, **FIXED)
    assert release_of(tmp_path / "killed") == release_of(tmp_path / "quiet")
    assert list((tmp_path / "killed" / "tmp").iterdir()) == []
