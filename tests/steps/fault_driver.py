"""Runs commands of `curate` in forks of one process, and stops or fails each at its n-th durable step.

Reads requests as JSON lines: {"arguments", "at", "fault"}; answers {"code", "signal", "steps", "output"}.
"""

from __future__ import annotations

import errno
import hashlib
import importlib
import itertools
import json
import mmap
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import curate.cli.main
import curate.steps.adopt
import curate.steps.intake
import curate.steps.publish
import curate.steps.release
import curate.steps.withdraw
from curate.core import clock, durable


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    count = mmap.mmap(-1, 8)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile("w+") as imported:
        child = os.fork()
        if not child:
            if note := request.get("pid"):  # where to write whom to kill
                Path(note).write_text(str(os.getpid()))
            _child(request, count, output.fileno(), imported)
        status = os.waitpid(child, 0)[1]
        output.seek(0)
        shown = output.read().decode()
        imported.seek(0)
        for name in imported.read().split():  # so that later children need not
            importlib.import_module(name)
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    code = os.waitstatus_to_exitcode(status) if not killed else -1
    return {"code": code, "signal": killed, "steps": int.from_bytes(count[:]), "output": shown}


def _child(request: dict[str, Any], count: mmap.mmap, output: int, imported: IO[str]) -> None:
    os.dup2(output, 1)
    os.dup2(output, 2)

    def step(name: str, path: Path) -> None:
        number = int.from_bytes(count[:]) + 1
        count[:] = number.to_bytes(8)
        if number != request["at"]:
            return
        if request["fault"] == "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError(getattr(errno, request["fault"]), "on order")

    durable.observer = step
    clock.random_bytes = _salts
    sys.argv = ["curate", *request["arguments"]]
    before = set(sys.modules)
    code: Any = 0
    try:
        curate.cli.main.run()
    except SystemExit as ended:
        code = ended.code or 0
    sys.stdout.flush()
    sys.stderr.flush()
    imported.write(" ".join(name for name in sys.modules if name not in before))
    imported.flush()
    os._exit(code)


_drawn = itertools.count()


def _salts(size: int) -> bytes:
    """The same salts in every run, so that what a rerun signs can be compared; receipts' codes stay random."""
    return hashlib.sha256(b"%d" % next(_drawn)).digest() if size == 32 else os.urandom(size)


def main() -> None:
    """Answer until the input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
