"""Files of a folder that somebody else wrote: relative names below it, regular files, no link on the way, bounded.

A name is opened one component after the other, each below the folder that was opened before it and none through a
symbolic link, so that what is read is what lies in the folder, whatever changes meanwhile (openat with O_NOFOLLOW).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from curate.core.errors import DamagedError

LONGEST_NAME, LONGEST_COMPONENT, DEEPEST = 1024, 255, 16  # bytes, bytes, components
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe without a writer must not block


class UnsafeFileError(DamagedError):
    """A file that is not opened; `rule` says why, as a code of `rules.json`."""

    def __init__(self, rule: str, message: str, *, hint: str = "Do not use this copy; get the release again.") -> None:
        super().__init__(message, hint=hint)
        self.rule = rule

    def __reduce__(self) -> tuple[object, ...]:
        return (UnsafeFileError, (self.rule, self.message))


def is_name(name: object) -> bool:
    """Whether a text is a file's path from the root of a folder: relative, plain, and not too long."""
    if not isinstance(name, str) or not name.isprintable() or "\\" in name:
        return False
    parts = name.split("/")
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:  # half of a pair of surrogates is no character: the answer asked for
        return False
    if len(parts) > DEEPEST or sum(sizes) + len(parts) > LONGEST_NAME:
        return False
    return not {"", ".", ".."} & set(parts) and max(sizes) <= LONGEST_COMPONENT


def problem(root: Path, name: str) -> str:
    """The rule that keeps a file from being read: FILE_NAME, FILE_MISSING, FILE_LINK, FILE_KIND; or nothing."""
    try:
        with opened(root, name):
            return ""
    except UnsafeFileError as error:
        return error.rule


@contextmanager
def opened(root: Path, name: str) -> Iterator[IO[bytes]]:
    """A regular file below a folder, for reading.

    Raises:
        UnsafeFileError: no such file, or one that must not be read.
    """
    if not is_name(name):
        raise UnsafeFileError("FILE_NAME", f"{root} names a file in a way that leads out of it.")
    with os.fdopen(_descriptor(root, name), "rb") as file:
        yield file


def read(root: Path, name: str, limit: int) -> bytes:
    """All bytes of a small file.

    Raises:
        UnsafeFileError: as `opened`; or it has more than `limit` bytes.
    """
    with opened(root, name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise UnsafeFileError("FILE_TOO_LARGE", f"{name} in {root} is larger than such a file can be.")
    return data


def _descriptor(root: Path, name: str) -> int:
    *folders, last = name.split("/")
    here = -1
    try:
        here = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for folder in folders:
            above, here = here, os.open(folder, _FOLDER, dir_fd=here)
            os.close(above)
        found = os.open(last, _FILE, dir_fd=here)
    except OSError as error:
        raise _refusal(error, root, name) from None
    finally:
        if here >= 0:
            os.close(here)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise UnsafeFileError("FILE_KIND", f"{name} in {root} is no regular file.")
    return found


def _refusal(error: OSError, root: Path, name: str) -> UnsafeFileError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR) and (root / name).is_symlink() | _through_link(root, name):
        return UnsafeFileError("FILE_LINK", f"{name} in {root} is a symbolic link.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return UnsafeFileError("FILE_MISSING", f"{name} is missing in {root}.")
    if error.errno in (errno.ENXIO, errno.ENODEV):
        return UnsafeFileError("FILE_KIND", f"{name} in {root} is no regular file.")
    return UnsafeFileError("FILE_UNREADABLE", f"{name} in {root} cannot be read: {error.strerror}.")


def _through_link(root: Path, name: str) -> bool:
    here = root
    for part in name.split("/"):
        here = here / part
        if here.is_symlink():
            return True
    return False
