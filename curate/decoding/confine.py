"""What the decoder process gives up before it reads a byte: files, connections, other processes, memory without end.

Limits of resources are POSIX's; Landlock (Linux 5.13) forbids all files and connections, and a seccomp filter leaves
the system calls that reading, computing and answering need. Where the kernel lacks one, the process says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
from pathlib import Path
from typing import Any

from curate.decoding import filter as calls

_NO_NEW_PRIVS, _SET_DUMPABLE, _SET_SECCOMP, _FILTER = 38, 4, 22, 2
_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same on every architecture
_FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF}  # rights by version; all that there are from 5 on
_ALL_FILES, _ALL_TCP, _ALL_SCOPES = 0xFFFF, 0x3, 0x3
_MOST_BYTES = 64 << 30
_idle_bytes = 0


def confine() -> dict[str, Any]:
    """Give up what decoding does not need, for good; what of it the system could do."""
    _measure()
    library = ctypes.CDLL(None, use_errno=True)
    landlock, seccomp, linux = 0, False, hasattr(library, "prctl")
    if linux:
        library.prctl(_SET_DUMPABLE, 0, 0, 0, 0)
        linux = library.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        landlock = _landlock(library) if linux else 0
    limits = _limit()
    if linux:
        seccomp = _seccomp(library)
    return {"limits": limits, "landlock": landlock, "seccomp": seccomp}


def _measure() -> None:
    """Note how much memory the idle process has."""
    global _idle_bytes
    with contextlib.suppress(OSError, ValueError):  # Linux alone tells it, and bounds it
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        _idle_bytes = pages * resource.getpagesize()


def _limit() -> bool:
    """No file written or opened, no process started, no core dumped; whether memory can be bounded, too."""
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC):
        resource.setrlimit(kind, (0, 0))
    return _idle_bytes > 0


def allow(memory: int, seconds: float) -> None:
    """Bound what one request may take: bytes beyond the idle process, and processor time, after which it ends."""
    if _idle_bytes:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        most = _MOST_BYTES if most == resource.RLIM_INFINITY else min(most, _MOST_BYTES)
        resource.setrlimit(resource.RLIMIT_AS, (min(_idle_bytes + memory, most), most))
    signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends a process that does not handle it


def rest() -> None:
    """The request is done."""
    signal.setitimer(signal.ITIMER_PROF, 0)


def _landlock(library: Any) -> int:
    """Forbid every file, and with later kernels connections and signals; the version of the interface, or 0."""
    version = int(library.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1))
    if version < 1:
        return 0
    fields = [_FILES.get(version, _ALL_FILES), _ALL_TCP if version > 3 else 0, _ALL_SCOPES if version > 5 else 0]
    known = fields[: 3 if version > 5 else 2 if version > 3 else 1]
    attributes = struct.pack(f"<{len(known)}Q", *known)
    rules = library.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    if rules < 0:
        return 0
    held = library.syscall(_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return version if held else 0


def _seccomp(library: Any) -> bool:
    """Leave only the system calls of `filter`; whether the kernel does."""
    program = calls.program(os.uname().machine, os.getpid())
    if not program:
        return False

    class Filter(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))

    given = Filter(len(program) // 8, program)
    return bool(library.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(given), 0, 0) == 0)
