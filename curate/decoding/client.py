"""The decoder process as those see it who ask: started when first needed, kept, replaced when it dies."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.decoding.errors import DecoderDiedError, UndecodableError

_TRIES = 2
_START_SECONDS = 120.0
_PATIENCE = 30  # times a request's processor time: on a machine that is busy with other things
_PIPE_BYTES = 1 << 20
_MOST_SAID = 1 << 16  # bytes of an answer's own words
_KEPT = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_PROGRAM = "import json,sys; sys.path[:]=json.loads(sys.argv[1]); from curate.decoding.worker import main; main()"


@dataclass(frozen=True, slots=True)
class Confinement:
    """What the system holds the decoder process to; `landlock` is the version of the kernel's interface, or 0."""

    limits: bool
    seccomp: bool
    landlock: int

    @property
    def is_whole(self) -> bool:
        """Whether the process can open no file and no connection, whatever a file makes it do."""
        return self.limits and self.seccomp


class _Gone(Exception):  # noqa: N818  an answer, not an error
    """The process ended, or did not answer in time."""


class _Process:
    """One decoder process, its pipes, and how it is confined."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-c", _PROGRAM, json.dumps(_paths())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env=_environment(),
        )
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._in, self._out = self._popen.stdin.fileno(), self._popen.stdout.fileno()
        for end in (self._in, self._out):
            with contextlib.suppress(AttributeError, OSError):  # a smaller pipe will do
                fcntl.fcntl(end, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(self._in, False)
        said, _ = self._answer(time.monotonic() + _START_SECONDS)
        self.confinement = Confinement(bool(said["limits"]), bool(said["seccomp"]), int(said["landlock"]))

    def ask(self, request: Mapping[str, Any], payload: bytes | memoryview) -> tuple[dict[str, Any], bytearray]:
        """The answer to a request.

        Raises:
            _Gone: there is none.
        """
        words = json.dumps({**request, "size": len(payload)}).encode()
        until = time.monotonic() + _START_SECONDS + _PATIENCE * float(request["seconds"])
        self._write(struct.pack("<I", len(words)) + words, until)
        self._write(payload, until)
        return self._answer(until)

    def _answer(self, until: float) -> tuple[dict[str, Any], bytearray]:
        (length,) = struct.unpack("<I", self._read(4, until))
        if length > _MOST_SAID:
            raise _Gone
        try:
            said = json.loads(bytes(self._read(length, until)))
            size = int(said["size"])
        except (ValueError, KeyError, TypeError):
            raise _Gone from None
        return said, self._read(size, until)

    def _write(self, data: bytes | memoryview, until: float) -> None:
        rest = memoryview(data).cast("B") if len(data) else memoryview(b"")
        while rest:
            _wait(self._in, select.POLLOUT, until)
            try:
                rest = rest[os.write(self._in, rest[:_PIPE_BYTES]) :]
            except BlockingIOError:  # less room than a piece needs
                continue
            except OSError:
                raise _Gone from None

    def _read(self, size: int, until: float) -> bytearray:
        try:
            data = bytearray(size)
        except (MemoryError, ValueError, OverflowError):
            raise _Gone from None
        view, got = memoryview(data), 0
        while got < size:
            _wait(self._out, select.POLLIN, until)
            count = os.readv(self._out, [view[got:]])
            if not count:
                raise _Gone
            got += count
        return data

    def end(self) -> int:
        """Kill it, if it is still there; its return code."""
        with contextlib.suppress(OSError):  # it is gone
            self._popen.kill()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # it was broken
                    pipe.close()
        return self._popen.wait()


def _wait(end: int, event: int, until: float) -> None:
    poll = select.poll()
    poll.register(end, event)
    if not poll.poll(max(until - time.monotonic(), 0) * 1000):
        raise _Gone


def _paths() -> list[str]:
    """Where the packages lie; not the working folder, unless they lie there."""
    here = Path.cwd() if _has_cwd() else None
    return [
        path for path in sys.path if path and (Path(path) != here or (Path(path) / "curate" / "__init__.py").exists())
    ]


def _has_cwd() -> bool:
    """Whether the working folder is still there."""
    try:
        return bool(Path.cwd())
    except OSError:
        return False


def _environment() -> dict[str, str]:
    """No token and no passphrase: what a loader of libraries needs, and one thread for each of them."""
    threads = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "OPJ_NUM_THREADS"), "1")
    return {name: os.environ[name] for name in _KEPT if name in os.environ} | threads | {"LC_ALL": "C.UTF-8"}


_one_at_a_time = threading.RLock()
_process: _Process | None = None


def ask(request: Mapping[str, Any], payload: bytes | memoryview) -> tuple[dict[str, Any], bytearray]:
    """What the decoder process answers; one that died is replaced, and asked once more.

    Raises:
        UndecodableError: it said that it cannot.
        DecoderDiedError: it died twice.
    """
    with _one_at_a_time:
        for _ in range(_TRIES):
            try:
                said, data = _running().ask(request, payload)
            except _Gone:
                if close() == -signal.SIGPROF:  # it would take as long again
                    break
                continue
            if "error" in said:
                raise UndecodableError(str(said["error"])[:60])
            return said, data
    raise DecoderDiedError


def confinement() -> Confinement:
    """How this machine confines the decoder process."""
    with _one_at_a_time:
        return _running().confinement


def _running() -> _Process:
    global _process  # a process of ours has one decoder
    if _process is None:
        try:
            _process = _Process()
        except _Gone:
            raise UndecodableError("NoDecoder") from None
    return _process


def close() -> int:
    """End the decoder process; the next request starts another. How it ended, as a process tells it."""
    global _process
    with _one_at_a_time:
        ended, _process = _process, None
        return ended.end() if ended is not None else 0


def _forget() -> None:
    """A forked child has the parent's pipes, which it must not use."""
    global _process, _one_at_a_time
    _process, _one_at_a_time = None, threading.RLock()


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
