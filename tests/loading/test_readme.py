"""The README's section for researchers is executed, from its own text."""

from __future__ import annotations

import copy
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loading.archive import SLICES
from tests.loading.client import Client
from tests.loading.conftest import REPO

README = Path(__file__).resolve().parents[2] / "README.md"


def blocks(kind: str) -> list[str]:
    """The section's blocks of code of one language."""
    text = README.read_text(encoding="utf-8")
    section = re.search(r"^## For researchers\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    if section is None:
        pytest.skip("the README has no section `## For researchers` yet")
    return re.findall(rf"^```{kind}\n(.*?)^```", section.group(1), re.S | re.M)


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
    environment["PYTHONPATH"] = str(README.parent)
    for command in "".join(blocks("sh")).splitlines():
        line = re.sub(r"^curate ", f"{sys.executable} -m curate ", command)
        done = subprocess.run(
            line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "chest").rglob("*.dcm"))) == 3 * SLICES
