"""What a message says to do next works as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_commands_bear_the_path_where_a_shell_finds_no_curate(tmp_path: Path) -> None:
    """After `make demo` the command lies in `.venv/bin`: `curate check ...` alone would not be found."""
    program = tmp_path / "bin" / "curate"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom curate.__main__ import run\nrun()\n")
    program.chmod(0o755)
    words = [str(program), "quarantine", str(tmp_path / "none")]
    plain = {**os.environ, "PATH": "/usr/bin:/bin"}
    told = subprocess.run(words, env=plain, capture_output=True, text=True, check=False)
    assert told.returncode == 2
    assert f"{program} init" in told.stderr
    path = {**os.environ, "PATH": f"{program.parent}:/usr/bin:/bin"}
    told = subprocess.run(words, env=path, capture_output=True, text=True, check=False)
    assert f"{program} init" not in told.stderr
    assert "curate init" in told.stderr
