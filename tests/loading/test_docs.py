"""The guide for researchers, docs/how-to/load.md, is executed, from its own text."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.loading.archive import SLICES
from tests.loading.client import Client
from tests.loading.conftest import REPO

ROOT = Path(__file__).resolve().parents[2]
GUIDE = ROOT / "docs" / "how-to" / "load.md"


def blocks(kind: str) -> list[str]:
    """The guide's blocks of code of one language."""
    return re.findall(rf"^```{kind}\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.S | re.M)


def test_every_snippet_runs(process: Client) -> None:
    """The Python blocks run one after the other in one process, as a notebook's cells, with the real clients."""
    process.hub.repos["org/name"] = copy.deepcopy(process.hub.repos[REPO])
    process.hub.repos["org/name"].name = "org/name"
    found = blocks("python")
    assert len(found) >= 5
    process.run("\n".join(found))


def test_the_commands_run(process: Client, tmp_path: Path) -> None:
    """The shell blocks run, and leave the files that they speak of."""
    process.hub.repos["org/name"] = copy.deepcopy(process.hub.repos[REPO])
    process.hub.repos["org/name"].name = "org/name"
    environment = {**os.environ, **process.hub.environment(tmp_path / "home")}
    environment["PYTHONPATH"] = str(ROOT)
    for command in "".join(blocks("sh")).splitlines():
        line = re.sub(r"^curate ", f"{sys.executable} -m curate ", command)
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "chest").rglob("*.dcm"))) == 3 * SLICES
