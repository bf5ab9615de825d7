"""The demo does the whole job on what pydicom's package holds, and the README shows what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from curate import contract
from tests.regenerate_docs import README


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    """Line by line; ids are new each time, and so is the study that comes first; `…` stands for what is left out."""
    command = [sys.executable, "-m", "curate", "demo", "demo"]
    own = {"HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(README.parent)}
    run = {
        "capture_output": True,
        "text": True,
        "cwd": tmp_path,
        "env": {**os.environ, **own},
        "timeout": 300,
    }
    done = subprocess.run(command, check=True, **run)
    block = README.read_text(encoding="utf-8").partition("\n\n```\ninit ")[1:]
    block = "".join(block).lstrip("\n`").partition("```")[0]
    assert block.startswith("init ")
    shown = iter(done.stdout.splitlines())
    columns = [column.name for column in contract.table("studies").columns]
    for line in block.splitlines():
        name, equals, _ = line.strip().partition(" = ")
        if equals:
            assert name in columns
        elif name != "…":
            assert any(re.fullmatch(_pattern(line), printed) for printed in shown), f"{line}\n{done.stdout}"
    images = pq.read_table(tmp_path / "demo" / "hub" / "v1.0.0" / "manifest" / "instances.parquet")
    assert max(images["size_bytes"].to_pylist()) > 100_000  # something that a person can look at


def _pattern(line: str) -> str:
    """A line of the README with what differs from run to run left open."""
    return re.sub(r"\d+\\\.\d\\ kB", r"[\\d.]+\\ kB", re.escape(line).replace("…", ".*"))
