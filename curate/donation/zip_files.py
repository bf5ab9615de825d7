"""What a `.zip` holds, member by member, whatever its headers say: each read is bounded by its file's size.

The standard library reads it; the methods that it does not read in bounded pieces are refused by name.
"""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

MAX_RATIO = 200
RATIO_FREE_BYTES = 64 << 20
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
_DEFLATE64 = 9
_END_RECORD, _END_RECORD_64 = b"PK\5\6", b"PK\6\6"
_LISTED_SHARE, _LISTED_FREE = 0.66, 1 << 20  # an entry of a list costs up to fifteen times its bytes


class BombError(Exception):
    """A container that unpacks to more than its size allows."""


class Readable(Protocol):
    """A stream that gives at most as many bytes as are asked for."""

    def read(self, size: int, /) -> bytes:
        """The next bytes; fewer at the end only."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a container: its name for sorting and folders, its stream, or why it is refused."""

    name: str
    stream: Readable | None
    rule: str = ""


def room(path: Path) -> int:
    """How many bytes a container of this size may unpack to."""
    return max(RATIO_FREE_BYTES, MAX_RATIO * path.stat().st_size)


def zip_members(path: Path) -> Iterator[Member]:
    """The files of a zip, in the order of its directory.

    Raises:
        BombError: its directory alone would fill the memory.
        zipfile.BadZipFile, zlib.error, EOFError, ...: see `DAMAGE`.
    """
    _refuse_long_list(path)
    with zipfile.ZipFile(path) as container:
        for info in container.infolist():
            if info.filename.endswith("/"):
                continue
            if rule := _refusal(info):
                yield Member(info.filename, None, rule)
            else:
                with container.open(info) as stream:
                    yield Member(info.filename, stream)


def _refusal(info: zipfile.ZipInfo) -> str:
    if stat.S_ISLNK(info.external_attr >> 16):
        return "CONTAINER_LINK"
    if info.flag_bits & 1:
        return "CONTAINER_ENCRYPTED"
    if info.compress_type == _DEFLATE64:
        return "CONTAINER_DEFLATE64"
    known = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return "" if info.compress_type in known and not info.flag_bits & 0x20 else "CONTAINER_METHOD"


def _refuse_long_list(path: Path) -> None:
    """Look at how long the directory is said to be before all of it is made objects (APPNOTE 4.3.14, 4.3.16)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(size - (1 << 16) - 1024, 0))
        tail = file.read()
    at, wide = tail.rfind(_END_RECORD), tail.rfind(_END_RECORD_64)
    listed = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if wide >= 0:
        listed = max(listed * (listed < 0xFFFFFFFF), int.from_bytes(tail[wide + 40 : wide + 48], "little"))
    if listed > _LISTED_SHARE * size + _LISTED_FREE:
        raise BombError
