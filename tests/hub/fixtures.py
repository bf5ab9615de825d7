"""Fixtures that start the hub and point the real clients at it; `tests/conftest.py` shares them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.hub.server import HubServer


@contextlib.contextmanager
def pointed_at(server: HubServer, home: Path) -> Iterator[None]:
    """While it lasts, this process's `huggingface_hub` talks to the server."""
    import huggingface_hub
    from huggingface_hub import constants

    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment(home).items():
            patch.setenv(name, value)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # read when it was imported
        huggingface_hub.close_session()  # its connections are shared, and remember proxies
        yield
        huggingface_hub.close_session()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    """A running hub that this process's clients are pointed at."""
    with HubServer() as server, pointed_at(server, tmp_path / "hf"):
        yield server


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The Hub's client does not sleep between its own tries; gives what it would have slept, in seconds."""
    from huggingface_hub.utils import _http

    slept: list[float] = []
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=slept.append, time=_http.time.time))
    return slept


@pytest.fixture
def run_python(hub: HubServer, tmp_path: Path) -> Callable[..., str]:
    """Run Python text in a process of its own that the hub's environment is set for; gives its output."""
    import os
    import subprocess
    import sys

    def run(text: str, *, home: Path | None = None, check: bool = True, **extra: str) -> str:
        environment = {**os.environ, **hub.environment(home or tmp_path / "hf-process"), **extra}
        done: Any = subprocess.run(
            [sys.executable, "-c", text], env=environment, capture_output=True, text=True, timeout=120
        )
        if check and done.returncode:
            raise AssertionError(done.stderr[-3000:])
        return str(done.stdout) if check else f"{done.stdout}{done.stderr}"

    return run
