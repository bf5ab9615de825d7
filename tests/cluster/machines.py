"""A Dask scheduler with worker processes, and an S3 server, all of this machine; started and ended by the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

S3_LOGIN = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "NO_PROXY": "127.0.0.1",
}
_NO_PAGE = ("--dashboard-address", "127.0.0.1:0")
FIXED = {"SOURCE_DATE_EPOCH": "1767225600"}


def until(what: Callable[[], bool], seconds: float = 90) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def _written(path: Path) -> bool:
    """Whether a file is there and not empty."""
    return path.exists() and path.stat().st_size > 0


@dataclass
class Cluster:
    """A scheduler and its workers; what each process writes goes to files in `folder`."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    protocol: str = "tcp"
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        """Start a process of Dask's."""
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdout=log,
                stderr=log,
                env={**os.environ, **FIXED, **self.environment},
                cwd=Path(__file__).parents[2],
            )

    def start_scheduler(self) -> None:
        """The scheduler, on a free port of this machine."""
        where = ("--host", f"{self.protocol}://127.0.0.1:0", "--scheduler-file", str(self.folder / "scheduler.json"))
        self.start("scheduler", "distributed.cli.dask_scheduler", *where, *_NO_PAGE)
        until(lambda: _written(self.folder / "scheduler.json"))

    def start_worker(self, name: str) -> None:
        """A worker of one thread, without a nanny that would start it again."""
        how = ("--nthreads", "1", "--no-nanny", "--local-directory", str(self.folder / "local"))
        self.start(name, "distributed.cli.dask_worker", self.address, "--name", name, *how, *_NO_PAGE)

    def wait_for(self, *names: str) -> None:
        """Wait until workers are registered."""
        log = self.folder / "scheduler.log"
        until(lambda: all(f"name: {name}" in log.read_text() for name in names))

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return str(json.loads((self.folder / "scheduler.json").read_text())["address"])

    def pause(self, name: str) -> None:
        """Let a process do nothing until `go_on`."""
        self.processes[name].send_signal(signal.SIGSTOP)

    def go_on(self, name: str) -> None:
        """End a pause."""
        self.processes[name].send_signal(signal.SIGCONT)

    def kill(self, name: str) -> None:
        """End a process at once."""
        self.processes[name].send_signal(signal.SIGKILL)
        assert self.processes[name].wait(10) == -signal.SIGKILL

    def told(self) -> str:
        """Everything that scheduler and workers wrote."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


@contextmanager
def cluster(
    folder: Path, workers: int = 2, environment: Mapping[str, str] | None = None, protocol: str = "tcp"
) -> Iterator[Cluster]:
    """A cluster that is ended afterwards."""
    folder.mkdir(parents=True)
    made = Cluster(folder, environment or {}, protocol)
    try:
        made.start_scheduler()
        for number in range(workers):
            made.start_worker(f"worker{number}")
        yield made
    finally:
        for process in made.processes.values():
            process.kill()
        for process in made.processes.values():
            process.wait()


@contextmanager
def s3(folder: Path) -> Iterator[dict[str, str]]:
    """An S3 server with an empty bucket `shared`; gives the variables that point clients to it."""
    import socket

    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **S3_LOGIN,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_CONFIG_FILE": str(folder / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none"),
    }
    with (folder / "s3.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
        )
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}/moto-api/"))
        yield environment
    finally:
        server.kill()
        server.wait()


def _answers(url: str) -> bool:
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=1):
            return True
    except OSError:
        return False
