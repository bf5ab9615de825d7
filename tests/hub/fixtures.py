"""Fixtures that start the hub and point the real clients at it; `tests/conftest.py` shares them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.hub.server import HubServer


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A running hub; this process's `huggingface_hub` and `datasets` talk to it while the test runs."""
    import huggingface_hub
    from huggingface_hub import constants

    with HubServer() as server:
        for name, value in server.environment(tmp_path / "hf").items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # read when it was imported
        huggingface_hub.close_session()  # its connections are shared, and remember proxies
        yield server
        huggingface_hub.close_session()


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
