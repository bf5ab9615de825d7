"""A process of its own whose clients are pointed at a hub: they read `HF_ENDPOINT` when they are imported."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from curate.attestation.trust import UntrustedError
from curate.core.errors import CurateError, DamagedError, HubError, InputError
from tests.hub.server import HubServer

_LOOP = """
import json, sys, warnings
from types import SimpleNamespace
from huggingface_hub.utils import _http
_http.time = SimpleNamespace(sleep=lambda _: None, time=_http.time.time)
import datasets
from datasets import load_dataset
from curate.core.errors import CurateError
from curate.hub.retry import Patience
from curate.loading import source
from curate.loading.feature import Dicom
from curate.loading.fetch import fetch
from curate.loading.images import read_instance
from curate.loading.load import load
from curate.loading.volume import volume
datasets.logging.set_verbosity(50)
datasets.disable_progress_bars()
datasets.config.STREAMING_READ_MAX_RETRIES, datasets.config.STREAMING_READ_RETRY_INTERVAL = 3, 0
source.patience = Patience(attempts=3, sleep=lambda _: None)
for line in sys.stdin:
    names = dict(globals())
    said = {"warnings": []}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(json.loads(line), names)
            said["result"] = names.get("result")
        except CurateError as error:
            said["error"] = [type(error).__name__, error.message, error.hint]
        except Exception as error:
            import traceback
            said["crash"] = traceback.format_exc()
            foreign = [frame for frame in traceback.extract_tb(error.__traceback__) if "/curate/" in frame.filename]
            said["foreign"] = not foreign
    said["warnings"] = [str(w.message) for w in caught if w.category.__name__ == "RecutWarning"]
    print("SAID " + json.dumps(said, default=str), flush=True)
"""
_KINDS = (CurateError, DamagedError, HubError, InputError)
_ERRORS: dict[str, Callable[..., CurateError]] = {kind.__name__: kind for kind in _KINDS}
_ERRORS["UntrustedError"] = lambda message, hint: UntrustedError("", message, hint=hint)


class Client:
    """Runs Python text in that process; what the text calls `result` comes back, as JSON has it."""

    def __init__(self, hub: HubServer, home: Path) -> None:
        self.hub, self.home = hub, home
        environment = {**os.environ, **hub.environment(home), "PYTHONWARNINGS": "ignore"}
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-c", _LOOP],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.warnings: list[str] = []

    def run(self, text: str, **values: Any) -> Any:
        """The `result` of a text, with some names set; raises what our own code raised there."""
        given = "".join(f"{name} = {value!r}\n" for name, value in values.items())
        process = self._process
        assert process.stdin and process.stdout
        process.stdin.write(json.dumps(given + textwrap.dedent(text)) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("SAID "):
                said = SimpleNamespace(
                    **{"crash": "", "error": None, "result": None, "foreign": False, **json.loads(line[5:])}
                )
                self.warnings = said.warnings
                if said.error:
                    raise _ERRORS[said.error[0]](said.error[1], hint=said.error[2])
                if said.crash and said.foreign:
                    raise RuntimeError(said.crash)  # another library's error, outside of our functions
                assert not said.crash, said.crash
                return said.result
        raise AssertionError("the client's process ended")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(20)
        assert self._process.stdout
        self._process.stdout.close()
