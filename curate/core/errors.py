"""Everything that stops a step: one clear message, what to do next, and an exit code."""

from __future__ import annotations

import shlex


def quoted(word: object) -> str:
    """A path or name as a shell takes it, for a hint that shows a command."""
    return shlex.quote(str(word))


UNSUPPORTED = (
    "curate runs on Linux and macOS. On Windows, install and run it inside of WSL 2, the Windows Subsystem for Linux."
)
"""What is said on a system whose files and processes lack what archives rest on (POSIX locks, links, renames)."""


class CurateError(Exception):
    """A step cannot go on.

    `message` says what and where and never holds a patient's value; `hint` says what to do next.
    """

    exit_code = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        """What a notebook shows: the message, and what to do next."""
        return f"{self.message} {self.hint}".strip()

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[CurateError], message: str, hint: str) -> CurateError:
    """Keep `hint` when an error crosses a process boundary."""
    return kind(message, hint=hint)


class InputError(CurateError):
    """What the user gave (a path, a table, an option) cannot be used."""


class RefusedError(CurateError):
    """The step is possible, but a rule of the archive forbids it."""


class LockedError(CurateError):
    """Another process holds the archive."""


class StorageError(CurateError):
    """The disk is full, read-only, or answers with an I/O error."""


class DamagedError(CurateError):
    """What is stored is not what was written."""


class HubError(CurateError):
    """The hub refused, failed, or holds something else than what was sent."""

    exit_code = 3


class AbsentError(HubError):
    """There is no such place on the hub, or not for this login."""
