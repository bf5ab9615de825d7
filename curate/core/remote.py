"""Objects at fsspec URLs (`s3://`, `gs://`, ...): listed, read whole or in part, written whole, removed.

The login and the endpoint are those of the machine's environment, as each library finds them: never in a task.
"""

from __future__ import annotations

import io
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

from curate.core.errors import CurateError, InputError, StorageError

T = TypeVar("T")
_AT_ONCE = 8
_AHEAD_BYTES = 64_000_000
_AGAIN = "Check the address, the login and the network, then run the same command again."


def is_url(text: str) -> bool:
    """Whether a text is a URL, not a path."""
    return "://" in text


def filesystem(url: str) -> Any:
    """The file system of a URL; nothing it lists is remembered.

    Raises:
        InputError: no library for this kind of URL.
    """
    import fsspec

    scheme = urlsplit(url).scheme
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except (ImportError, ValueError):
        hint = "pip install 'imaging-curate[cluster]' for s3://, or the fsspec library of this kind of URL."
        raise InputError(f"Nothing here can read {scheme}://.", hint=hint) from None


def call(url: str, doing: str, act: Callable[[Any], T]) -> T:
    """What a call of the file system of `url` gives. `doing` and the server are named, never a path.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: the store refused or failed, after its own library's tries.
    """
    try:
        return act(filesystem(url))
    except (CurateError, FileNotFoundError):
        raise
    except Exception as error:
        parts = urlsplit(url)
        where = f"{parts.scheme}://{parts.netloc}"
        raise StorageError(f"Cannot {doing} {where}: {type(error).__name__}.", hint=_AGAIN) from None


LARGEST_WHOLE = 0x7FFFF000
"""The most bytes that one call of Linux reads or writes (2,147,479,552); little less than a page of Parquet holds."""


class TooLargeError(OSError):
    """A file that is larger than what is read in one piece."""


def whole(path: Path | RemoteFile) -> bytes:
    """All bytes of a file, in one piece.

    Raises:
        TooLargeError: they are more than `LARGEST_WHOLE`.
        OSError: it cannot be read.
    """
    return path.read_bytes() if isinstance(path, RemoteFile) else _read_file(path)


@dataclass(frozen=True, slots=True, repr=False)
class RemoteFile:
    """One object to read, with as much of `Path` as a source needs; its URL may hold a name, so it is not shown."""

    url: str
    size: int

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> str:
        """The last part of its URL."""
        return self.url.rsplit("/", 1)[-1]

    def read_bytes(self) -> bytes:
        """All bytes.

        Raises:
            FileNotFoundError: it is gone.
            TooLargeError: they are more than `LARGEST_WHOLE`.
            StorageError: the store refused or failed.
        """
        if self.size > LARGEST_WHOLE:
            raise TooLargeError
        return read(self.url, 0, self.size) if self.size else b""  # with its size known, one request is enough

    def open(self, mode: str = "rb", buffering: int = 1 << 22) -> BinaryIO:
        """A stream; unbuffered, each read is one request for just these bytes."""
        del mode
        raw = _Ranges(self)
        return cast(BinaryIO, raw if not buffering else io.BufferedReader(raw, buffering))


class _Ranges(io.RawIOBase):
    """An object as a file, read by ranges."""

    def __init__(self, file: RemoteFile) -> None:
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._file.size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        end = min(self._at + view.nbytes, self._file.size)
        if end <= self._at:
            return 0
        data = read(self._file.url, self._at, end)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def read(url: str, start: int, end: int) -> bytes:
    """The bytes of an object from `start` until before `end`.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: the store refused or failed.
    """
    return bytes(call(url, "read from", lambda fs: fs.cat_file(url, start=start, end=end)))


def ahead(files: Iterable[Path | RemoteFile]) -> Iterator[Callable[[], bytes]]:
    """What reads each file, in order. Objects are asked for before their turn: up to 8, and 64 MB, at once."""
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        asked: deque[tuple[int, Callable[[], bytes]]] = deque()
        for file in files:
            if isinstance(file, Path):
                asked.append((0, partial(_read_file, file)))
            else:
                asked.append((file.size, threads.submit(file.read_bytes).result))
            while len(asked) >= _AT_ONCE or sum(size for size, _ in asked) > _AHEAD_BYTES:
                yield asked.popleft()[1]
        yield from (read for _, read in asked)


def _read_file(path: Path) -> bytes:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  half the time of a path's own
        if os.fstat(file.fileno()).st_size > LARGEST_WHOLE:
            raise TooLargeError
        return file.read()


def size(url: str) -> int | None:
    """The size of an object in bytes; None where it is not there."""
    try:
        return int(call(url, "look into", lambda fs: fs.info(url))["size"])
    except FileNotFoundError:
        return None


def files(url: str) -> Iterator[tuple[str, RemoteFile]]:
    """Every object below a URL, or the object that it is, with its path from there; sorted by path."""
    root = url.rstrip("/")
    found = call(url, "list", lambda fs: fs.find(fs._strip_protocol(root), detail=True))
    scheme = urlsplit(url).scheme
    bare = root.split("://", 1)[1]
    for path, entry in sorted(found.items()):
        if entry["type"] == "file":
            yield path[len(bare) :].strip("/"), RemoteFile(f"{scheme}://{path}", int(entry["size"] or 0))


def fetch(url: str, target: Path) -> None:
    """Copy an object into a file.

    Raises:
        FileNotFoundError: it is not there.
        StorageError: the store refused or failed, or the disk did.
    """
    call(url, "copy from", lambda fs: fs.get_file(url, str(target)))


def put(source: Path | bytes, url: str) -> None:
    """Write an object: whole, or not at all.

    Raises:
        StorageError: the store refused or failed.
    """

    def act(fs: Any) -> None:
        fs.pipe_file(url, source) if isinstance(source, bytes) else fs.put_file(str(source), url)

    try:
        call(url, "write to", act)
    except FileNotFoundError:
        parts = urlsplit(url)
        raise StorageError(f"There is no {parts.scheme}://{parts.netloc}.", hint=_AGAIN) from None


def remove(url: str) -> None:
    """Remove an object; nothing happens where it is gone already."""
    try:
        call(url, "remove from", lambda fs: fs.rm_file(url))
    except FileNotFoundError:
        return
