"""Where donated files come from: folders, single files, `.zip` and `.tar(.gz)`; every file has a safe name.

A donor's folders and files are often named after the person, so no original name is ever shown: a file's
`place` is `<source>:<number>`, both counted from 1 in sorted order. Containers are unpacked under numbers,
so that no member's name, link or path can reach outside the folder given for it.
"""

from __future__ import annotations

import lzma
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO

from curate import remote
from curate.errors import InputError
from curate.findings import Finding
from curate.remote import RemoteFile

MAX_MEMBER_BYTES = 8 << 30
MAX_RATIO = 200
_HEAD = 512  # bytes that tell a container
RATIO_FREE_BYTES = 64 << 20
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError, RuntimeError, ValueError),
)
_TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


@dataclass(frozen=True, slots=True, repr=False)
class SourceFile:
    """One file of a source: its safe `place`, where its bytes are, its size.

    `folders` are the folders that hold it, from the source's root, for tables that name folders; they may
    hold a patient's name and are never shown. `rule` is set where it cannot be used at all. `member` is a
    container's path with that of the member in it; `inode` is what the file system knows it by, where that was asked;
    `content` is all of a small file, where that was to be kept.
    """

    place: str
    path: Path | RemoteFile
    size: int
    folders: tuple[str, ...] = ()
    name: str = ""
    rule: str = ""
    member: str = ""
    inode: tuple[int, int] | None = None
    content: bytes = b""

    @property
    def on_disk(self) -> Path:
        """Where its bytes are, of a source that is no URL."""
        assert isinstance(self.path, Path)
        return self.path

    @property
    def origin(self) -> str:
        """Where it came from, for the owner of the data alone."""
        return self.member or str(self.path)

    def read(self) -> bytes:
        """All bytes.

        Raises:
            OSError: it cannot be read.
        """
        return self.path.read_bytes()


def find(sources: Sequence[Path | str], unpack_to: Path, keep: int = 0) -> Iterator[SourceFile]:
    """Every file of the sources (paths, or fsspec URLs), in an order that does not depend on the file system.

    Of files in folders with up to `keep` bytes, the content is read at once and kept with them.

    Raises:
        InputError: a source does not exist.
        StorageError: a URL's store refused or failed.
    """
    for source in sources:
        if not remote.is_url(str(source)) and not Path(source).exists():
            raise InputError(f"There is no {source}.", hint="Check the path of the source.")
    seen: set[tuple[int, int]] = set()
    for number, source in enumerate(sources, 1):
        for file in _of_source(source, number, unpack_to, keep):
            if not file.rule and isinstance(file.path, Path):
                inode = file.inode or _inode(os.stat(file.path))  # noqa: PTH116  a path's own takes longer
                if inode in seen:
                    continue  # the same file, given twice or linked
                seen.add(inode)
            yield file


def _of_source(given: Path | str, number: int, unpack_to: Path, keep: int) -> Iterator[SourceFile]:
    source = Path(given)
    if remote.is_url(str(given)):
        yield from _of_url(str(given), number, unpack_to)
    elif source.is_dir():
        for count, (path, folders) in enumerate(_walk(source, ()), 1):
            yield from _one(path, folders, f"{number}:{count}", unpack_to, keep)
    else:
        yield from _one(source, (), f"{number}:1", unpack_to)


def _of_url(url: str, number: int, unpack_to: Path) -> Iterator[SourceFile]:
    """Objects below a URL; containers are known by their names there, and copied to be unpacked."""
    count = 0
    for count, (path, file) in enumerate(remote.files(url), 1):
        place, folders = f"{number}:{count}", tuple(path.split("/")[:-1])
        if not file.name.lower().endswith((".zip", *_TAR_ENDINGS)):
            yield SourceFile(place, file, file.size, folders, file.name)
            continue
        copy = unpack_to / f"copy-{number}-{count}" / file.name
        copy.parent.mkdir(parents=True, mode=0o700)
        remote.fetch(file.url, copy)
        for member in _one(copy, folders, place, unpack_to):
            yield replace(member, member=member.member.replace(str(copy), file.url, 1))
        copy.unlink()
    if not count:
        raise InputError(f"Nothing lies below {url}.", hint="Check the URL of the source.")


def _walk(folder: Path, folders: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Files below a folder, sorted by name; links to folders are not followed, so no loop can arise."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except OSError:
        yield folder, folders
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), (*folders, entry.name))
        else:
            yield Path(entry.path), folders


def _one(
    path: Path, folders: tuple[str, ...], place: str, unpack_to: Path, keep: int = 0
) -> Iterator[SourceFile]:
    try:
        status = os.stat(path)  # noqa: PTH116  of every file, and a path's own takes longer
        if stat.S_ISDIR(status.st_mode):
            rule = "FOLDER_LINK" if path.is_symlink() else "FOLDER_UNREADABLE"
            yield SourceFile(place, path, 0, folders, path.name, rule)
            return
        if not stat.S_ISREG(status.st_mode):
            yield SourceFile(place, path, 0, folders, path.name, "FILE_NOT_REGULAR")
            return
        head = _first_bytes(path, max(_HEAD, keep if status.st_size <= keep else 0))
    except OSError:
        yield SourceFile(place, path, 0, folders, path.name, "FILE_UNREADABLE")
        return
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        yield from _unpacked(path, folders, place, unpack_to, _zip_members)
    elif _is_tar(path, head):
        yield from _unpacked(path, folders, place, unpack_to, _tar_members)
    else:
        content = head if len(head) == status.st_size <= keep else b""
        yield SourceFile(
            place, path, status.st_size, folders, path.name, inode=_inode(status), content=content
        )


def _inode(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _first_bytes(path: Path, count: int) -> bytes:
    number = os.open(path, os.O_RDONLY)
    try:
        return os.read(number, count)
    finally:
        os.close(number)


def _is_tar(path: Path, head: bytes) -> bool:
    if head[128:132] == b"DICM":
        return False
    return head[257:262] == b"ustar" or path.name.lower().endswith(_TAR_ENDINGS)


@dataclass(frozen=True, slots=True)
class _Member:
    """A member of a container: its name for sorting and folders, its stream, or why it is refused."""

    name: str
    size: int
    stream: IO[bytes] | None
    rule: str = ""


def _unpacked(
    path: Path,
    folders: tuple[str, ...],
    place: str,
    unpack_to: Path,
    members: Callable[[Path], Iterator[_Member]],
) -> Iterator[SourceFile]:
    folder = unpack_to / place.replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    count = total = 0
    packed_size = path.stat().st_size
    try:
        for member in members(path):
            count += 1
            inner = PurePosixPath(member.name.replace("\\", "/"))
            inside = (*folders, *inner.parts[:-1])
            here = f"{place}.{count}"
            rule = member.rule or _unsafe(inner)
            if not rule and member.stream is not None:
                target = folder / f"{count:08d}"
                written = _copy(member.stream, target, max(RATIO_FREE_BYTES, MAX_RATIO * packed_size) - total)
                total += max(written, 0)
                if written < 0:
                    target.unlink()
                    yield SourceFile(here, path, 0, inside, inner.name, "CONTAINER_BOMB")
                    return
                yield SourceFile(here, target, written, inside, inner.name, member=f"{path}/{inner}")
            else:
                yield SourceFile(here, path, 0, inside, inner.name, rule)
    except OSError as error:
        if error.errno is not None:  # the disk's own errors; gzip and its like give none
            raise
        yield SourceFile(f"{place}.{count + 1}", path, 0, folders, path.name, "CONTAINER_DAMAGED")
    except _DAMAGE:
        yield SourceFile(f"{place}.{count + 1}", path, 0, folders, path.name, "CONTAINER_DAMAGED")


def _unsafe(name: PurePosixPath) -> str:
    drive = len(name.parts) > 0 and name.parts[0].endswith(":")
    return "CONTAINER_PATH" if name.is_absolute() or drive or ".." in name.parts else ""


def _copy(stream: IO[bytes], target: Path, room: int) -> int:
    """Bytes copied; -1 where the member is larger than a container of this size may hold."""
    written = 0
    with target.open("wb") as out:
        while piece := stream.read(1 << 20):
            written += len(piece)
            if written > min(room, MAX_MEMBER_BYTES):
                return -1
            out.write(piece)
    return written


def _zip_members(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as container:
        for info in container.infolist():
            if info.is_dir():
                continue
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                yield _Member(info.filename, 0, None, "CONTAINER_LINK")
            elif info.flag_bits & 1:
                yield _Member(info.filename, 0, None, "CONTAINER_ENCRYPTED")
            else:
                with container.open(info) as stream:
                    yield _Member(info.filename, info.file_size, stream)


def _tar_members(path: Path) -> Iterator[_Member]:
    with tarfile.open(path, "r:*") as container:
        for info in container:
            if info.isdir():
                continue
            if info.issym() or info.islnk():
                yield _Member(info.name, 0, None, "CONTAINER_LINK")
            elif not info.isreg():
                yield _Member(info.name, 0, None, "FILE_NOT_REGULAR")
            else:
                with container.extractfile(info) as stream:  # type: ignore[union-attr]
                    yield _Member(info.name, info.size, stream)


def finding(file: SourceFile) -> Finding:
    """The finding of a file that cannot be used."""
    return Finding(file.rule, file.place)
