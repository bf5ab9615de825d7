"""Where donated files come from: folders, single files, `.zip` and `.tar(.gz)`; every file has a safe name.

A donor's folders and files are often named after the person, so no original name is ever shown: a file's
`place` is `<source>:<number>`, both counted from 1 in sorted order. Containers are unpacked under numbers,
so that no member's name, link or path can reach outside the folder given for it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from curate.core import remote
from curate.core.errors import InputError
from curate.core.findings import Finding
from curate.core.remote import RemoteFile
from curate.donation import tar_files, zip_files
from curate.donation.zip_files import BombError, Member, Readable

MAX_MEMBER_BYTES = 8 << 30
_HEAD = 512  # bytes that tell a container
_LONGEST_NAME = 4096  # bytes; no file system takes a longer path
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
            OSError: it cannot be read, or is too large to be (TooLargeError).
        """
        return remote.whole(self.path)


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


def readable(name: str) -> str:
    """A folder's name as a table would name it: one that is not UTF-8 is an older system's, of Western Europe."""
    return name if name.isascii() or _is_utf8(name) else os.fsencode(name).decode("cp1252", "replace")


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _walk(folder: Path, folders: tuple[str, ...]) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Files below a folder, sorted by name; links to folders are not followed, so no loop can arise."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except OSError:
        yield folder, folders
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), (*folders, readable(entry.name)))
        else:
            yield Path(entry.path), folders


def _one(path: Path, folders: tuple[str, ...], place: str, unpack_to: Path, keep: int = 0) -> Iterator[SourceFile]:
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
        yield from _unpacked(path, folders, place, unpack_to, zip_files.zip_members)
    elif _is_tar(path, head):
        yield from _unpacked(path, folders, place, unpack_to, tar_files.tar_members)
    else:
        content = head if len(head) == status.st_size <= keep else b""
        yield SourceFile(place, path, status.st_size, folders, path.name, inode=_inode(status), content=content)


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


def _unpacked(
    path: Path,
    folders: tuple[str, ...],
    place: str,
    unpack_to: Path,
    members: Callable[[Path], Iterator[Member]],
) -> Iterator[SourceFile]:
    folder = unpack_to / place.replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    count, left = 0, zip_files.room(path)
    try:
        for member in members(path):
            count += 1
            here, target = f"{place}.{count}", folder / f"{count:08d}"
            rule = member.rule or _unsafe(member.name)
            inner = PurePosixPath("" if rule == "CONTAINER_PATH" else member.name.replace("\\", "/"))
            inside = (*folders, *map(readable, inner.parts[:-1]))
            if rule or member.stream is None:
                yield SourceFile(here, path, 0, inside, inner.name, rule)
                continue
            with _gone_if_not_whole(target):
                written = _copy(member.stream, target, left)
            left -= written
            yield SourceFile(here, target, written, inside, inner.name, member=f"{path}/{inner}")
    except (BombError, MemoryError):
        yield SourceFile(f"{place}.{count or 1}", path, 0, folders, path.name, "CONTAINER_BOMB")
    except OSError as error:
        if error.errno is not None:  # the disk's own errors; gzip and its like give none
            raise
        yield SourceFile(f"{place}.{count + 1}", path, 0, folders, path.name, "CONTAINER_DAMAGED")
    except zip_files.DAMAGE:
        yield SourceFile(f"{place}.{count + 1}", path, 0, folders, path.name, "CONTAINER_DAMAGED")


def _unsafe(name: str) -> str:
    parts = name.replace("\\", "/").split("/")
    drive = parts[0].endswith(":")
    outside = name.startswith(("/", "\\")) or drive or ".." in parts
    return "CONTAINER_PATH" if outside or len(os.fsencode(name)) > _LONGEST_NAME or "\0" in name else ""


@contextmanager
def _gone_if_not_whole(target: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _copy(stream: Readable, target: Path, room: int) -> int:
    """Bytes copied.

    Raises:
        BombError: the member is larger than what is left of what its container may hold.
    """
    written = 0
    with target.open("wb") as out:
        while piece := stream.read(1 << 20):
            written += len(piece)
            if written > min(room, MAX_MEMBER_BYTES):
                raise BombError
            out.write(piece)
    return written


def finding(file: SourceFile) -> Finding:
    """The finding of a file that cannot be used."""
    return Finding(file.rule, file.place)
