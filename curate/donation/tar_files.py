"""What a `.tar` holds, member by member, compressed or not, whatever its headers say.

The standard library's reader takes a name's whole length into memory, follows sizes below zero, and skips without bound
what it does not look at. Here each read, and all that is skipped, is bounded by the file's size.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from curate.donation.zip_files import BombError, Member, room

_LONGEST_HEADER = 1 << 20  # bytes of names and attributes before a member
_BLOCK = 512
_FOLDER, _LINKS, _DEVICES, _FILES = b"5", (b"1", b"2"), (b"3", b"4", b"6"), (b"0", b"\0", b"7")


def tar_members(path: Path) -> Iterator[Member]:
    """The files of a tar, which may be compressed by gzip, bzip2 or xz, as they come.

    Raises:
        BombError: more is unpacked, or skipped, than its size allows.
        ValueError, EOFError, zlib.error, ...: see `DAMAGE`; an OSError without a number, of the decompressor, too.
    """
    with path.open("rb") as file, _plain(file) as plain:
        yield from _Tar(_Counted(plain, room(path))).members()


def _plain(file: IO[bytes]) -> IO[bytes]:
    head = file.read(6)
    file.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)
    if head == b"\xfd7zXZ\0" or head[:3] == b"]\0\0":
        return lzma.LZMAFile(file)
    return file


class _Counted:
    """A stream that may give so many bytes and no more."""

    def __init__(self, stream: IO[bytes], left: int) -> None:
        self._stream, self._left = stream, left

    def read(self, size: int, /) -> bytes:
        got = self._stream.read(min(size, 1 << 20))
        self._left -= len(got)
        if self._left < 0:
            raise BombError
        return got

    def exactly(self, size: int) -> bytes:
        """So many bytes.

        Raises:
            EOFError: the stream ends before.
        """
        parts = []
        while size:
            if not (part := self.read(size)):
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Pass over so many bytes; EOFError as `exactly`."""
        while size:
            if not (part := self.read(size)):
                raise EOFError
            size -= len(part)


class _Content:
    """The bytes of one member; EOFError where the stream ends before they do."""

    def __init__(self, stream: _Counted, size: int) -> None:
        self._stream, self.left = stream, size

    def read(self, size: int, /) -> bytes:
        got = self._stream.read(min(size, self.left))
        if not got and self.left:
            raise EOFError
        self.left -= len(got)
        return got


@dataclass(frozen=True, slots=True)
class _Header:
    """One block of 512 bytes (POSIX.1-1988 ustar; GNU's numbers)."""

    name: bytes
    size: int
    kind: bytes
    block: bytes

    @classmethod
    def of(cls, block: bytes) -> _Header:
        stated, space = _number(block[148:156]), block[:148] + b" " * 8 + block[156:]
        signed = sum(space) - 256 * sum(byte > 127 for byte in space)
        if stated not in (sum(space), signed):
            raise ValueError("the checksum of a header is wrong")
        name = block[:100].split(b"\0")[0]
        if block[257:263] == b"ustar\0" and (prefix := block[345:500].split(b"\0")[0]):
            name = prefix + b"/" + name
        return cls(name, _number(block[124:136]), block[156:157], block)


def _number(field: bytes) -> int:
    """An octal number, or GNU's of base 256.

    Raises:
        ValueError: neither, or below zero.
    """
    if field[0] & 0x80:
        if field[0] & 0x40:
            raise ValueError("a number below zero")
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    text = field.split(b"\0")[0].strip()
    if re.fullmatch(rb"[0-7]*", text) is None:
        raise ValueError("no octal number")
    return int(text or b"0", 8)


class _Tar:
    """A tar as it passes by."""

    def __init__(self, stream: _Counted) -> None:
        self._stream = stream
        self._long: bytes | None = None  # GNU's long name of the next member
        self._pax: dict[bytes, bytes] = {}

    def members(self) -> Iterator[Member]:
        first = True
        while block := self._stream.read(_BLOCK):
            block += self._stream.exactly(_BLOCK - len(block))
            if not block.strip(b"\0"):
                return
            yield from self._member(_Header.of(block))
            first = False
        if first:
            raise EOFError

    def _member(self, header: _Header) -> Iterator[Member]:
        if header.kind in (b"L", b"K", b"x", b"X", b"g"):
            self._extend(header)
            return
        name, size, sparse = self._told(header)
        self._long, self._pax = None, {}
        if header.kind == _FOLDER or (header.kind == b"\0" and name.endswith("/")):
            return
        if header.kind in _LINKS:
            yield Member(name, None, "CONTAINER_LINK")
        elif header.kind in _DEVICES:
            yield Member(name, None, "FILE_NOT_REGULAR")
        elif sparse or header.kind not in _FILES:
            yield Member(name, None, "CONTAINER_METHOD" if sparse else "FILE_NOT_REGULAR")
            self._skip_sparse(header)
            self._skip(size)
        else:
            content = _Content(self._stream, size)
            yield Member(name, content)
            self._stream.skip(content.left + -size % _BLOCK)

    def _told(self, header: _Header) -> tuple[str, int, bool]:
        """Name, size and whether it is a sparse file, by the header and what was told before it."""
        name = self._pax.get(b"path", header.name if self._long is None else self._long)
        size = header.size
        if b"size" in self._pax:
            if re.fullmatch(rb"\d{1,20}", self._pax[b"size"]) is None:
                raise ValueError("no size")
            size = int(self._pax[b"size"])
        sparse = header.kind == b"S" or any(key.startswith(b"GNU.sparse") for key in self._pax)
        return name.decode("utf-8", "surrogateescape"), size, sparse

    def _extend(self, header: _Header) -> None:
        """What is told of the next member; of all next ones, nothing that matters here."""
        if header.size > _LONGEST_HEADER:
            raise BombError
        data = self._stream.exactly(header.size + -header.size % _BLOCK)[: header.size]
        if header.kind == b"L":
            self._long = data.split(b"\0")[0]
        elif header.kind in (b"x", b"X"):
            self._pax = _records(data)

    def _skip(self, size: int) -> None:
        self._stream.skip(size + -size % _BLOCK)

    def _skip_sparse(self, header: _Header) -> None:
        """Blocks that list more holes (GNU's old form)."""
        more = header.kind == b"S" and header.block[482]
        while more:
            more = self._stream.exactly(_BLOCK)[504]


def _records(data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header, `LENGTH KEY=VALUE` and a new line each.

    Raises:
        ValueError: it is none.
    """
    found, at = {}, 0
    while at < len(data) and data[at]:
        match = re.compile(rb"(\d{1,7}) ").match(data, at)
        end = at + int(match[1]) if match else 0
        if match is None or end > len(data) or end <= match.end() or data[end - 1 : end] != b"\n":
            raise ValueError("no pax header")
        key, equals, value = data[match.end() : end - 1].partition(b"=")
        if not equals:
            raise ValueError("no pax record")
        found[key], at = value, end
    return found
