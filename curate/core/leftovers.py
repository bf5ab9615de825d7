"""What a killed run left unpacked, which is identified and in plain text: removed by whichever command comes next.

A living run holds a lock beside its folder, which the kernel lets go when the process is gone.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from curate.core import durable
from curate.core.errors import InputError

PREFIX, LOCK = "inspect-", "lock"


def cache() -> Path:
    """Where `inspect` unpacks containers unless told otherwise: in the user's own cache.

    Raises:
        InputError: this account has none.
    """
    home = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(home) if home else Path.home() / ".cache") / "curate"
    except RuntimeError:
        raise InputError("This account has no home folder.", hint="Name a folder with --temporary.") from None


def sweep(base: Path) -> None:
    """Remove what killed runs of `inspect` unpacked below a folder."""
    for folder in base.glob(f"{PREFIX}*"):
        remove(folder, folder / LOCK)


def remove(folder: Path, lock: Path) -> None:
    """Remove a folder unless a living run holds the lock."""
    if not folder.is_dir():
        return
    try:
        with lock.open("r+", encoding="utf-8") as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            durable.remove(folder)
    except BlockingIOError:  # a living run's
        return
    except FileNotFoundError:  # killed before it made its lock
        durable.remove(folder)


def clear(key: Path | None = None) -> None:
    """Remove what was left in the user's cache, or beside a hospital's key; where it cannot be, the next one tries."""
    with suppress(OSError, InputError):  # the next command tries again
        if key is None:
            sweep(cache())
        else:
            remove(key.with_name(f"{key.name}.tmp"), key.with_name(f"{key.name}.lock"))
