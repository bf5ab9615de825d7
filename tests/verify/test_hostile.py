"""Whatever a release brings, each command that reads one says so: no defect, no hang, no gigabyte, no escape."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.verify.hostile import ESCAPE, GOLDEN, HOSTILE, make

SECONDS, MEGABYTES = 60, 1000
ALWAYS = {"leaves_bomb", "image_bomb", "pipes_everywhere", "local_file_as_pack", "escapes"}
COMMANDS: dict[str, list[str]] = {
    "check": ["check", "{release}", "--workers", "1", "-q"],
    "audit": ["audit", "{release}", "-q"],
    "review": ["review", "{release}", "--out", "{out}/site", "--sample", "1", "--workers", "1", "-q"],
    "diff": ["diff", "{golden}", "{release}"],
    "risk": ["risk", "{release}"],
    "verify-copy": ["verify-copy", "{golden}/LICENSES", "--release", "{release}", "-q"],
    "fetch": ["fetch", "{release}", "--to", "{out}/fetched", "-q"],
}


class Server:
    """A process that has imported all that the commands need, and forks itself for each release: imports cost most."""

    def __init__(self) -> None:
        words = [sys.executable, "-c", "from tests.verify.test_hostile import serve; serve()"]
        environ = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # what is forked has no threads
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=environ)

    def __call__(self, work: str, *arguments: str) -> float:
        """What a fork of it did with these: the MB that the fork took at most."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps([work, *arguments]) + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def serve() -> None:
    """What the process does: one fork at a time, each of which ends as a process of its own does."""
    import curate.cli.main  # noqa: F401

    for line in sys.stdin:
        work, *arguments = json.loads(line)
        if child := os.fork():
            _, _, used = os.wait4(child, 0)
            sys.stdout.write(f"{used.ru_maxrss / 1000}\n")
            sys.stdout.flush()
        else:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            {"make": make, "commands": commands}[work](*arguments)
            return


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One for all releases of this file."""
    one = Server()
    with one.process:
        yield one


def _run(server: Server, release: Path, root: Path) -> tuple[dict[str, Any], float]:
    """All commands over a release, in one process of its own: how each ended and what it said; MB at most."""
    megabytes = server("commands", str(release), str(root))
    ended = {}
    for command in COMMANDS:
        status, said = root / f"{command}.status", root / f"{command}.said"
        code = int(status.read_text()) if status.is_file() else -1
        ended[command] = code, said.read_text("utf-8", "replace") if said.is_file() else ""
    return ended, megabytes


def commands(release: str, root: str) -> None:
    """What a fork does with a release."""
    place = Path(root)
    os.environ |= {"XDG_CONFIG_HOME": str(place / "config"), "COLUMNS": "200"}
    for command, words in COMMANDS.items():
        _run_one(command, [w.format(release=release, out=place / command, golden=GOLDEN) for w in words], place)


def _run_one(command: str, words: list[str], root: Path) -> None:
    """One command as its process would run it; the alarm ends what hangs."""
    from curate.cli.main import run

    (root / command).mkdir()
    said = os.open(root / f"{command}.said", os.O_WRONLY | os.O_CREAT)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = ["curate", *words]
    sys.stdout, sys.stderr = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(2), "w")
    code = 0
    signal.alarm(SECONDS)
    try:
        run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        sys.stderr.write(f"TRACEBACK {error!r}")
        code = 99
    signal.alarm(0)
    sys.stdout.flush()
    sys.stderr.flush()
    (root / f"{command}.status").write_text(str(code))


@pytest.mark.sampled(8)
@pytest.mark.parametrize(
    "name", [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.long) for name in HOSTILE]
)
def test_a_hostile_release_is_told_by_every_command(name: str, server: Server, tmp_path: Path) -> None:
    """A finding, or one clear message: never a defect, a hang, over a gigabyte, or what a terminal obeys."""
    (tmp_path / "secret.txt").write_text("a private line\n" * 1000)
    release = tmp_path / "release"
    server("make", name, str(release))  # in a fork too: the memory that it takes stays there
    ended, megabytes = _run(server, release, tmp_path)
    for command, (code, said) in ended.items():
        shown = f"{name}, {command}: {code}\n{said[-2000:]}"
        assert code in ((1,) if command == "check" else (0, 1, 2, 3)), shown
        assert "defect of its own" not in said, shown
        assert "The system refused" not in said, shown
        assert not set(ESCAPE) & set(said), shown
        texts = [path for path in (tmp_path / command).rglob("*") if path.suffix in (".html", ".csv", ".json")]
        assert not any("a private line" in path.read_text("utf-8", "replace") for path in texts), shown
    assert megabytes < MEGABYTES
    assert not list(tmp_path.rglob("escaped*"))


def test_the_golden_release_passes_all_of_them(server: Server, tmp_path: Path) -> None:
    """The same commands over what is no hostile release: so the test above does not find what is always there."""
    ended, _ = _run(server, GOLDEN, tmp_path)
    assert {command: code for command, (code, _) in ended.items()} == dict.fromkeys(COMMANDS, 0), ended


def test_what_a_terminal_obeys_is_escaped_in_json_too() -> None:
    """JSON bears the same text, in characters that steer nothing."""
    from curate.cli.shared import json_text, visible

    assert json.loads(json_text({"a": ESCAPE + "\ud800"})) == {"a": ESCAPE + "\ud800"}
    assert not set(ESCAPE) & set(json_text(ESCAPE))
    assert visible("à\tb\n") == "à\tb\n"
    assert not set(ESCAPE) & set(visible(ESCAPE))
