"""Where packs and quarantined files lie: whole objects under names that are not used for other content again.

A store is a folder (the archive's own, or one that workers share), or an fsspec URL. A folder gets files by
rename and gives them by link. An object store has neither: there an object is written whole, under its last name.
"""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from curate.core import durable, remote
from curate.core.digests import sha256_file
from curate.core.errors import DamagedError, InputError

OWNER = "curate-owner"


@dataclass(frozen=True, slots=True)
class Store:
    """A folder or URL below which files lie by their path in the archive, such as `packs/ab/<sha256>.parquet`.

    `unfinished` is the folder for what is not whole yet: on the store's own disk, or any of this machine's (empty)
    where the store is a URL.
    """

    root: str
    unfinished: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether it is a URL."""
        return remote.is_url(self.root)

    def _url(self, name: str) -> str:
        return f"{self.root.rstrip('/')}/{name}"

    def place(self, name: str) -> Path:
        """The path of a file of a folder."""
        return Path(self.root) / name

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A new folder for unfinished files, which goes in the end: two runs of one task never share one."""
        parent = Path(self.unfinished) if self.unfinished else None
        if parent is not None:
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="curate-", dir=parent, ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def witness(self) -> list[Path]:
        """A new file by which a worker knows that it sees the same folder; none for a URL."""
        if self.is_remote:
            return []
        path = Path(self.unfinished) / f"witness-{uuid.uuid4().hex}"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        return [path]

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        if self.is_remote:
            return remote.size(self._url(name)) is not None
        return self.place(name).is_file()

    def holds(self, name: str) -> bool:
        """Whether a file that is named by its digest is there, and has it; reads all of it."""
        if not self.has(name):
            return False
        with self.local(name) as path:
            return sha256_file(path) == Path(name).stem

    def put(self, source: Path, name: str, *, mode: int = 0o400, replace: bool = False) -> None:
        """Give a finished, synced file its place; one that is there stays, unless it is to be replaced."""
        if not replace and self.has(name):
            return
        if self.is_remote:
            durable.step("put", Path(name))
            remote.put(source, self._url(name))
            return
        target = self.place(name)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        source.chmod(mode)
        durable.rename(source, target)

    def open(self, name: str) -> BinaryIO:
        """A file as a stream.

        Raises:
            OSError: it is not there.
        """
        if not self.is_remote:
            return self.place(name).open("rb")
        url = self._url(name)
        size = remote.size(url)
        if size is None:
            raise FileNotFoundError(name)
        return remote.RemoteFile(url, size).open()

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """A file on this machine's disk for as long as it is needed: itself, or a copy."""
        if not self.is_remote:
            yield self.place(name)
            return
        with self.scratch() as folder:
            path = folder / Path(name).name
            self._fetch(name, path)
            yield path

    def take(self, name: str, target: Path, releases: Path) -> None:
        """A file under a second name on this machine: by link to it, or to a release that has it, or as a copy.

        Raises:
            DamagedError: the copy has not the digest that is its name.
        """
        if target.exists():
            return
        near = [self.place(name)] if not self.is_remote else releases.glob(f"*/{name}")
        if (source := next(iter(near), None)) is not None:
            durable.link(source, target)
            return
        durable.step("write", target)
        partial = target.with_name(f".{target.name}.tmp")
        try:
            self._fetch(name, partial)
            if sha256_file(partial) != Path(name).stem:
                raise DamagedError(f"{name} in the store is damaged.", hint="Run `curate doctor`.")
            partial.chmod(0o400)
            durable.fsync_file(partial)
            durable.rename(partial, target)
        finally:
            partial.unlink(missing_ok=True)

    def _fetch(self, name: str, path: Path) -> None:
        try:
            remote.fetch(self._url(name), path)
        except FileNotFoundError:
            hint = "Run `curate doctor` on the archive."
            raise DamagedError(f"{name} is missing in the store.", hint=hint) from None

    def names(self, kind: str) -> Iterator[str]:
        """The names of all files of a kind (`packs`, `quarantine`), sorted."""
        if self.is_remote:
            yield from (f"{kind}/{path}" for path, _ in remote.files(self._url(kind)))
            return
        for path in sorted(self.place(kind).rglob("*")):
            if path.is_file():
                yield path.relative_to(self.root).as_posix()

    def remove(self, name: str) -> None:
        """Remove a file; nothing happens where it is gone already."""
        if self.is_remote:
            durable.step("remove", Path(name))
            remote.remove(self._url(name))
        else:
            durable.remove(self.place(name))

    def claim(self, mark: str) -> None:
        """Make sure that the store is this archive's alone, and that what is removed from it is gone.

        Raises:
            InputError: another archive's store, or a bucket that keeps what is removed.
        """
        if self.is_remote and _keeps_versions(self.root):
            raise InputError(
                f"The bucket of {self.root} keeps old versions of its objects: a withdrawal would not erase.",
                hint="Name a bucket without versioning in [archive] of archive.toml.",
            )
        try:
            with self.open(OWNER) as file:
                owner = file.read(200).decode("ascii", "replace").strip()
        except FileNotFoundError:
            if self.is_remote:
                remote.put(mark.encode() + b"\n", self._url(OWNER))
            else:
                self.place(OWNER).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                durable.write_bytes(self.place(OWNER), mark.encode() + b"\n")
            return
        if owner != mark:
            raise InputError(
                f"The store {self.root} is another archive's.", hint="Give each archive a prefix of its own."
            )


def _keeps_versions(url: str) -> bool:
    if not url.startswith("s3://"):
        return False
    bucket = url.removeprefix("s3://").split("/")[0]
    answer = remote.call(
        url, "ask for the versioning of", lambda fs: fs.call_s3("get_bucket_versioning", Bucket=bucket)
    )
    return answer.get("Status") in ("Enabled", "Suspended")
