"""Pages whose commands are run as they stand, and whose output is compared with what the page shows."""

from __future__ import annotations

import multiprocessing
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.regenerate_docs import ROOT

_SET = re.compile(r"(\w+)=\$\((.*)\)")
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "tests.docs.preloaded"])


@dataclass(frozen=True)
class Command:
    """One command of a page, and the lines that it shows below it."""

    words: str
    shown: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """The exit code: 0 unless the page says `# ends with N` behind the command."""
        stated = re.search(r"  # ends with (\d+)$", self.words)
        return int(stated[1]) if stated else 0


def commands(text: str) -> list[Command]:
    """The commands of a page's blocks of kind `console`, in their order."""
    found: list[Command] = []
    for block in re.findall(r"^```console\n(.*?)^```", text, re.S | re.M):
        for part in re.split(r"^\$ ", block.replace("\\\n", ""), flags=re.M)[1:]:
            words, *shown = part.rstrip("\n").split("\n")
            found.append(Command(words, tuple(shown)))
    return found


def environment(home: Path) -> dict[str, str]:
    """A shell's environment in which `curate` and `python` are these, and nobody's keys and caches are touched."""
    tools = home / "bin"
    tools.mkdir(parents=True, exist_ok=True)
    for name, words in (("curate", "-m curate "), ("python", "")):
        (tools / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words}"$@"\n')
        (tools / name).chmod(0o755)
    own = {"HOME": home, "XDG_CONFIG_HOME": home / "config", "HF_HOME": home / "hf", "PYTHONPATH": ROOT}
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, **{name: str(value) for name, value in own.items()}, "PATH": path}


def run(wanted: list[Command], folder: Path, home: Path) -> list[str]:
    """What each command prints in `folder`; it must end with the code that the page states, else 0.

    `curate` runs in a forked process, all else in a shell; `NAME=$(...)` sets a variable of those that follow.
    """
    variables = environment(home)
    return [_one(one, folder, variables) for one in wanted]


def _one(one: Command, folder: Path, variables: dict[str, str]) -> str:
    if named := _SET.fullmatch(one.words):
        variables[named[1]] = _shell(named[2], folder, variables)[1].strip()
        return ""
    plain = one.words.startswith("curate ") and not re.search(r"[|<>]", one.words)
    code, output = (_forked if plain else _shell)(one.words, folder, variables)
    assert code == one.code, f"$ {one.words}\n{output}exit {code}"
    return output


def _shell(words: str, folder: Path, variables: dict[str, str]) -> tuple[int, str]:
    run = {"cwd": folder, "env": variables, "text": True, "timeout": 300}
    done = subprocess.run(["bash", "-c", words], check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **run)
    return done.returncode, done.stdout


def _forked(words: str, folder: Path, variables: dict[str, str]) -> tuple[int, str]:
    printed = folder / ".printed"
    arguments = [
        re.sub(r"\$(\w+)", lambda name: variables[name[1]], word) for word in shlex.split(words, comments=True)
    ]
    process = _CONTEXT.Process(target=_curate, args=(arguments, folder, variables, printed))
    process.start()
    process.join(300)
    code = process.exitcode
    assert code is not None, f"$ {words}\ntakes more than five minutes"
    return code, printed.read_text(encoding="utf-8")


def _curate(arguments: list[str], folder: Path, variables: dict[str, str], printed: Path) -> None:
    """The command as its entry point runs it, in this process; what it prints goes to a file."""
    from curate.cli.main import run as entry

    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    to = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(to, 1)
    os.dup2(to, 2)
    sys.argv = arguments
    entry()


def differs(one: Command, output: str) -> str:
    """What a command printed, where the page shows something else; `…` stands for anything, or for any lines."""
    pattern = "".join(
        r"(?:.*\n)*" if line == "…" else re.escape(line.rstrip()).replace("…", ".*") + r"\n" for line in one.shown
    )
    lines = "".join(f"{line.rstrip()}\n" for line in output.splitlines())
    return "" if re.fullmatch(pattern, lines) else f"$ {one.words}\n{lines}"
