"""Writes that survive a kill: temporary file, fsync, rename; every step can be counted by a test.

All that changes an archive, a release folder or a folder hub on disk goes through this module, so that a
fault test can stop the process, or fail the call, at any single one of these steps.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from curate.core.errors import CurateError, StorageError

observer: Callable[[str, Path], None] | None = None
"""Called before each step with its name (`write`, `fsync`, `rename`, `link`, `remove`, `commit`) and path."""

_given: list[int] = []  # the umasks in whose place `private` is
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # Linux: of the working directory; exchange two names

_ADVICE = {
    errno.ENOSPC: ("the disk is full", "Free some space, then run the same command again."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space, then run the same command again."),
    errno.EROFS: ("the file system is read-only", "Mount it for writing, then run the same command again."),
    errno.EACCES: ("permission denied", "Give this user access, then run the same command again."),
    errno.EPERM: ("operation not permitted", "Give this user access, then run the same command again."),
    errno.EIO: (
        "the device reports an I/O error",
        "Check the disk, then run the same command again.",
    ),
}


def step(name: str, path: Path) -> None:
    """Tell the observer that a durable step is about to happen."""
    if observer is not None:
        observer(name, path)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn an `OSError` inside into a `StorageError` that says what could not be done and what to do."""
    try:
        yield
    except CurateError:
        raise
    except OSError as error:
        reason, hint = _ADVICE.get(
            error.errno or 0, (error.strerror or "the system refused", "Mend the cause, then run it again.")
        )
        raise StorageError(f"Cannot {what}: {reason}.", hint=hint) from error


@contextmanager
def private() -> Iterator[None]:
    """What is written inside is readable to its owner only, by this process and those that it starts."""
    before = os.umask(0o077)
    os.umask(before | 0o077)
    _given.append(before)
    try:
        yield
    finally:
        _given.pop()
        os.umask(before)


@contextmanager
def public() -> Iterator[None]:
    """What is written inside is for others to read, as the user's own umask lets them; never to write."""
    if not _given:
        yield
        return
    now = os.umask(_given[0] | 0o022)
    try:
        yield
    finally:
        os.umask(now)


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    step("fsync", folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_file(path: Path) -> None:
    """Make a written file's bytes durable."""
    step("fsync", path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename(source: Path, target: Path) -> None:
    """Give a finished file or folder its name, replacing a file of that name, and make the name durable."""
    step("rename", target)
    source.replace(target)
    fsync_folder(target.parent)


def exchange(one: Path, other: Path) -> bool:
    """Let two files or folders change names at one stroke; False where the system cannot."""
    step("rename", other)
    try:
        swap = ctypes.CDLL(None, use_errno=True).renameat2  # of Linux; os.replace knows no such flag
    except AttributeError:
        return False
    if swap(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE):
        if (code := ctypes.get_errno()) in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            return False
        raise OSError(code, os.strerror(code))
    for folder in {one.parent, other.parent}:
        fsync_folder(folder)
    return True


@contextmanager
def writing(target: Path, temporary: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """Write a file under a temporary name; on success it is synced and gets its name, else it goes."""
    step("write", target)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            step("fsync", target)
            os.fsync(file.fileno())
        rename(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_bytes(target: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a small file whole or not at all."""
    with writing(target, target.with_name(f".{target.name}.{os.getpid()}.tmp"), mode) as file:
        file.write(data)


def link(source: Path, target: Path) -> None:
    """Give a file a second name; where the file system has no links, copy it. An existing target stays."""
    if target.exists():
        return
    step("link", target)
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP):
            raise
        with writing(target, target.with_name(f".{target.name}.tmp")) as out, source.open("rb") as read:
            shutil.copyfileobj(read, out, 1 << 20)


def remove(path: Path) -> None:
    """Remove a file or a whole folder; nothing happens where it is gone already."""
    step("remove", path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
