"""What `publish`, `purge` and `recall` ask of a hub, and the records they exchange."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from curate.core import versions
from curate.core.digests import parse_json, sha256_file
from curate.core.errors import DamagedError, InputError
from curate.core.progress import Progress, silent
from curate.core.records import FileEntry
from curate.untrusted import foreign_files

RELEASE_FILE = "release.json"
ATTESTATIONS = "attestations/"
LARGEST_RELEASE = 64 << 20  # bytes of a release.json: ten times what 90,000 files take
BLOCK = 1 << 20

Gated = Literal["auto", "manual", False]


@dataclass(frozen=True, slots=True)
class Contents:
    """All files of a release folder, by path; `digest` is the SHA-256 of `release.json`."""

    root: Path
    version: str
    digest: str
    files: Mapping[str, FileEntry]

    @property
    def tag(self) -> str:
        """The release's tag on a hub."""
        return versions.tag(self.version)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files."""
        return sum(entry.size_bytes for entry in self.files.values())


@dataclass(frozen=True, slots=True)
class UploadPlan:
    """What publishing would do: files to send, files that are there already, paths to delete."""

    tag: str
    send: tuple[FileEntry, ...]
    unchanged: tuple[FileEntry, ...]
    delete: tuple[str, ...]

    @property
    def send_bytes(self) -> int:
        """Bytes to send."""
        return sum(entry.size_bytes for entry in self.send)

    @property
    def is_empty(self) -> bool:
        """Whether the hub holds the release already."""
        return not self.send and not self.delete


@dataclass(frozen=True, slots=True)
class Published:
    """What was published: `commit` is the hub's own name for it, `already` says that nothing was to do."""

    url: str
    tag: str
    commit: str
    sent_files: int
    sent_bytes: int
    unchanged_files: int
    already: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """Who may read a repository; `None` leaves as is."""

    private: bool | None = None
    gated: Gated | None = None


@dataclass(frozen=True, slots=True)
class Popularity:
    """How a hub says that a repository is used: downloads of the last 30 days, likes; None: it does not say."""

    downloads: int | None
    likes: int | None


@dataclass(frozen=True, slots=True, order=True)
class Remaining:
    """Something erased that is still there: `place` is a ref or folder."""

    place: str
    path: str
    what: Literal["bytes", "pointer", "small files"]


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge did, and what it found by looking afterwards."""

    moved: tuple[str, ...]
    dropped: tuple[str, ...]
    erased_files: int
    erased_bytes: int
    remaining: tuple[Remaining, ...]


class Target(Protocol):
    """A place where releases are published."""

    @property
    def url(self) -> str:
        """The target as the maintainer wrote it."""
        ...

    @property
    def can_erase(self) -> bool:
        """Whether a purge is possible; a target that cannot erase never receives anything about a person."""
        ...

    def plan(self, release: Path, previous: Path | None = None) -> UploadPlan:
        """What `publish` would send, worked out without a connection.

        `previous` is the folder of the release that was published last, as the archive remembers it.
        """
        ...

    def publish(
        self,
        release: Path,
        *,
        settings: Settings | None = None,
        expected: Contents | None = None,
        progress: Progress = silent,
    ) -> Published:
        """Publish a release as a whole or not at all; its tag comes last. Repeating it finishes the work.

        `expected` is what was checked: bytes that changed since are never sent.

        Raises:
            HubError: the hub refuses, fails, or holds something else.
            DamagedError: the release's bytes are not those that `release.json` lists, or not those expected.
        """
        ...

    def versions(self) -> tuple[str, ...]:
        """The published versions, oldest first, such as `1.2.0`."""
        ...

    def holds(self, version: str) -> dict[str, FileEntry]:
        """The files under a version's tag with the digests of what the hub really holds."""
        ...

    def read(self, version: str, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of a published file."""
        ...

    def purge(self, recuts: Mapping[str, Path], *, drop: Collection[str] = (), progress: Progress = silent) -> Purged:
        """Put each version's re-cut under its tag, drop tags, and erase all that no tag holds then."""
        ...

    def readers(self) -> Settings:
        """Who may read now."""
        ...

    def close_to_readers(self) -> Settings:
        """Let nobody but the owner read; gives the settings of before, for `open_to_readers`."""
        ...

    def open_to_readers(self, settings: Settings) -> None:
        """Undo `close_to_readers`."""
        ...


def is_tag(text: str) -> bool:
    """Whether a ref's name is a release's tag."""
    return re.fullmatch(r"v\d+\.\d+\.\d+", text) is not None


def contents_of(release: Path, expected: Contents | None = None) -> Contents:
    """The files of a release folder with the digests that `release.json` states; nothing listed is read.

    Raises:
        InputError: the folder is no release.
        DamagedError: a listed file is missing or has another size; or they are not the `expected` ones.
    """
    source = release / RELEASE_FILE
    if not source.is_file():
        raise InputError(f"{release} is not a release: it has no {RELEASE_FILE}", hint="Run `curate release`.")
    raw = source.read_bytes()
    version, listed = parse_release(raw)
    files = {entry.path: entry for entry in listed}
    digest = hashlib.sha256(raw).hexdigest()
    files[RELEASE_FILE] = FileEntry(RELEASE_FILE, len(raw), digest)
    files |= {entry.path: entry for entry in _attestations(release)}
    _check_sizes(release, files)
    found = Contents(release, version, digest, dict(sorted(files.items())))
    if expected is not None and found.files != expected.files:
        raise DamagedError(
            f"{release.name} changed since it was checked; nothing was published.",
            hint="Find out who writes there, then run the same command again.",
        )
    return found


def parse_release(raw: bytes) -> tuple[str, tuple[FileEntry, ...]]:
    """The version and the files that a `release.json` lists.

    Raises:
        InputError: it is not what `curate release` writes.
    """
    try:
        found = parse_json(raw)
        listed = tuple(_entry(item) for item in _items(found["files"]))
        return versions.normal(found["version"]), listed
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{RELEASE_FILE} cannot be read ({type(error).__name__})", hint="Cut the release again."
        ) from None


def _items(files: Any) -> list[Mapping[str, Any]]:
    """The file list, written as a list of records or as a mapping by path."""
    if isinstance(files, dict):
        return [{"path": path, **facts} for path, facts in files.items()]
    return list(files)


def _entry(item: Mapping[str, Any]) -> FileEntry:
    path, sha256 = item["path"], item["sha256"]
    size = item["size_bytes"] if "size_bytes" in item else item["size"]
    if type(size) is not int or size < 0 or not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ValueError("size or digest")
    if not foreign_files.is_name(path):
        raise ValueError("path")
    return FileEntry(path, size, sha256)


def _attestations(release: Path) -> list[FileEntry]:
    """The files that sign `release.json`, and that it therefore cannot list."""
    folder = release / ATTESTATIONS
    found = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    return [FileEntry(path.relative_to(release).as_posix(), path.stat().st_size, sha256_file(path)) for path in found]


def _check_sizes(release: Path, files: Mapping[str, FileEntry]) -> None:
    for entry in files.values():
        path = release / entry.path
        if not path.is_file() or path.stat().st_size != entry.size_bytes:
            raise DamagedError(
                f"{entry.path} of {release.name} is missing or has another size than {RELEASE_FILE} says",
                hint="Run `curate check` on the release, then cut it again.",
            )


def plan_for(contents: Contents, held: Mapping[str, FileEntry]) -> UploadPlan:
    """What is to send and to delete where `held` lies already."""
    same = {path for path, entry in contents.files.items() if held.get(path) == entry}
    return UploadPlan(
        contents.tag,
        tuple(entry for path, entry in contents.files.items() if path not in same),
        tuple(entry for path, entry in contents.files.items() if path in same),
        tuple(sorted(set(held) - set(contents.files))),
    )
