"""Completion as a shell has it: installed by the command, then asked by the shell's own means."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.steps.archives import curate

_ROOT = Path(__file__).resolve().parents[2]
# each prints what its shell offers after `curate ver`; bash and zsh run the function as their line editor does
_ASK = {
    "bash": """
        . ~/.bashrc; COMP_WORDS=(curate ver); COMP_CWORD=1
        "$(complete -p curate | sed 's/.*-F //; s/ .*//')" curate; printf '%s\\n' "${COMPREPLY[@]}" """,
    "zsh": """
        compdef() { }; _arguments() { print -r -- "$@" }
        words=(curate ver); CURRENT=2; . ~/.zfunc/_curate; _curate_completion""",
    "fish": "complete --do-complete 'curate ver'",
}


@pytest.mark.parametrize("shell", _ASK)
def test_completion_is_installed_and_offers_commands(shell: str, tmp_path: Path) -> None:
    """`--install-completion` finds the shell that it is called from; that shell then completes commands."""
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    home, programs = tmp_path / "home", tmp_path / "bin"
    for folder in (home, programs):
        folder.mkdir()
    (programs / "curate").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m curate "$@"\n')
    (programs / "curate").chmod(0o755)
    own = {"HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(_ROOT)}
    environment = {**os.environ, **own, "XDG_CONFIG_HOME": str(home / ".config")}

    def said(text: str) -> str:
        done = subprocess.run(
            [shell, "-c", text], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert f"{shell} completion installed in {home}" in said("curate --install-completion; true")
    offered = said(_ASK[shell])
    assert "versions" in offered and "verify-copy" in offered
    assert "publish" not in offered


def test_a_switch_reads_as_a_switch() -> None:
    """Help shows no type of a value behind an option that takes none, in commands and in groups of commands."""
    for words in (["inspect"], ["key"], ["key", "new"], ["trust", "list"], []):
        shown = curate(*words, "--help", COLUMNS="200").stdout
        assert "<bool>" not in shown
        assert "Usage: curate" in shown
    assert "--workers" in (shown := curate("check", "--help", COLUMNS="200").stdout)
    assert "<int" in next(line for line in shown.splitlines() if "--workers" in line)
