"""The seccomp filter of the decoder process: system calls that reading, computing and answering need, and no other.

Any other fails with EPERM. Memory never becomes executable, limits change for the process itself alone, and it can
signal nobody else.
"""

from __future__ import annotations

import struct

_LOAD, _EQUAL, _SET, _GREATER, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050001, 0x80000000
_X32 = 0x40000000
_EXECUTABLE = 4

# read write readv writev close lseek munmap brk rt_sigaction rt_sigprocmask rt_sigreturn sched_yield mremap madvise
# setitimer getpid gettid exit exit_group getrusage sigaltstack futex sched_getaffinity clock_gettime clock_nanosleep
# set_robust_list getrandom membarrier rseq restart_syscall, in the order of the architecture's numbers
_PLAIN = {
    "x86_64": (
        *(0, 1, 3, 8, 11, 12, 13, 14, 15, 19, 20, 24, 25, 28, 38, 39, 60, 98, 131, 186, 202, 204, 219, 228),
        *(230, 231, 273, 318, 324, 334),
    ),
    "aarch64": (
        *(57, 62, 63, 64, 65, 66, 93, 94, 98, 99, 103, 113, 115, 123, 124, 128, 132, 134, 135, 139, 165, 172),
        *(178, 214, 215, 216, 233, 278, 283, 293),
    ),
}
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_MMAP_MPROTECT = {"x86_64": (9, 10), "aarch64": (222, 226)}
_PRLIMIT = {"x86_64": 302, "aarch64": 261}
_TGKILL = {"x86_64": 234, "aarch64": 131}


def program(machine: str, process: int) -> bytes:
    """The filter as classic BPF, 8 bytes an instruction; nothing for a machine whose calls are not known here."""
    if machine not in _PLAIN:
        return b""
    code = [
        _instruction(_LOAD, _ARCHITECTURE),
        _instruction(_EQUAL, _AUDIT[machine], 1, 0),
        _instruction(_RETURN, _KILL),
        _instruction(_LOAD, _NUMBER),
    ]
    if machine == "x86_64":
        code += [_instruction(_GREATER, _X32, 0, 1), _instruction(_RETURN, _DENY)]
    for number in _PLAIN[machine]:
        code += [_instruction(_EQUAL, number, 0, 1), _instruction(_RETURN, _ALLOW)]
    for number in _MMAP_MPROTECT[machine]:
        code += _when(number, [(_ARGUMENTS + 16, _SET, _EXECUTABLE, False)])
    whole = [(_ARGUMENTS, _EQUAL, 0, True), (_ARGUMENTS + 4, _EQUAL, 0, True)]
    code += _when(_PRLIMIT[machine], whole)
    code += _when(_TGKILL[machine], [(_ARGUMENTS, _EQUAL, process, True)])
    return b"".join([*code, _instruction(_RETURN, _DENY)])


def _when(number: int, conditions: list[tuple[int, int, int, bool]]) -> list[bytes]:
    """Allow a call whose arguments meet all conditions (offset, test, value, wanted); deny it else."""
    body: list[bytes] = []
    for offset, test, value, wanted in conditions:
        body += [_instruction(_LOAD, offset), _instruction(test, value, *((1, 0) if wanted else (0, 1)))]
        body.append(_instruction(_RETURN, _DENY))
    body.append(_instruction(_RETURN, _ALLOW))
    return [_instruction(_EQUAL, number, 0, len(body)), *body]


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("<HBBI", code, then, otherwise, value)
