"""A folder as a hub: `DIR/<tag>/` holds a release, `DIR/refs.json` names the tags and is written last."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from curate.core import durable, versions
from curate.core.digests import sha256_file
from curate.core.errors import HubError
from curate.core.progress import Progress, silent
from curate.core.records import FileEntry
from curate.hub.folder import store
from curate.hub.protocol import (
    Contents,
    Published,
    Purged,
    Remaining,
    Settings,
    UploadPlan,
    contents_of,
    plan_for,
)


@dataclass(frozen=True, slots=True)
class FolderHub:
    """The folder hub at `root`; every method may be repeated after a kill and finishes the work.

    `linked`: published files are links to the archive's, not copies; for a rehearsal.
    """

    root: Path
    can_erase: bool = True
    linked: bool = False

    @property
    def url(self) -> str:
        """The target as a URL."""
        return self.root.as_uri()

    def plan(self, release: Path, previous: Path | None = None) -> UploadPlan:
        """What `publish` would copy; what a published version holds already is linked."""
        contents = contents_of(release)
        held = contents_of(previous).files if previous else {}
        for tag in store.refs(self.root):
            held = {**held, **contents_of(store.place(self.root, tag)).files}
        plan = plan_for(contents, held)
        return UploadPlan(plan.tag, plan.send, plan.unchanged, ())

    def publish(
        self,
        release: Path,
        *,
        settings: Settings | None = None,
        expected: Contents | None = None,
        progress: Progress = silent,
    ) -> Published:
        """Copy a release to `DIR/<tag>/`, verifying each digest on the way, then name the tag.

        Raises:
            HubError: the tag holds another release, or the folder is in the way.
            DamagedError: a file's bytes are not those that `release.json` lists.
            StorageError: the disk is full or read-only.
        """
        del settings  # a folder's readers are those whom its file system lets in
        contents = contents_of(release, expected)
        with durable.storage_errors(f"write to {self.root}"):
            self.root.mkdir(parents=True, exist_ok=True)
            refs = store.refs(self.root)
            if contents.tag in refs:
                _same_or_refuse(self, refs, contents)
                return _published(self, contents, (0, 0), already=True)
            done = store.build(self.root, contents, progress, linked=self.linked)
            store.write_refs(self.root, {**refs, contents.tag: contents.digest})
            _sweep(self.root, contents.tag)
        return _published(self, contents, done)

    def versions(self) -> tuple[str, ...]:
        """The published versions, oldest first."""
        return tuple(versions.normal(tag) for tag in sorted(store.refs(self.root), key=versions.parse))

    def folder_of(self, version: str) -> Path:
        """Where a published version lies.

        Raises:
            HubError: no such version.
        """
        return store.place(self.root, _known(self, version))

    def digest_of(self, version: str) -> str:
        """The SHA-256 of a version's `release.json`, in hex, as `refs.json` names it.

        Raises:
            HubError: no such version.
        """
        return store.refs(self.root)[_known(self, version)]

    def holds(self, version: str) -> dict[str, FileEntry]:
        """The files under a tag, each hashed."""
        folder = store.place(self.root, _known(self, version))
        return {
            name: FileEntry(name, path.stat().st_size, sha256_file(path))
            for name, path in ((path.relative_to(folder).as_posix(), path) for path in store.files(folder))
        }

    def read(self, version: str, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of a published file.

        Raises:
            HubError: no such version or file.
        """
        try:
            with (store.place(self.root, _known(self, version)) / path).open("rb") as file:
                file.seek(offset)
                return file.read(-1 if length is None else length)
        except FileNotFoundError:
            raise HubError(
                f"{self.url} has no {path} in {versions.tag(version)}", hint="List the version's files first."
            ) from None

    def purge(self, recuts: Mapping[str, Path], *, drop: Collection[str] = (), progress: Progress = silent) -> Purged:
        """Replace each version by its re-cut, drop tags, delete the rest, and look at what is left."""
        before = _inventory(self.root)
        with durable.storage_errors(f"write to {self.root}"):
            moved = [
                versions.tag(version)
                for version in sorted(recuts, key=versions.parse)
                if _recut(self.root, _known(self, version), contents_of(recuts[version]), progress)
            ]
            dropped = tuple(sorted(versions.tag(version) for version in drop))
            store.write_refs(self.root, {tag: at for tag, at in store.refs(self.root).items() if tag not in dropped})
            for tag in {*store.refs(self.root), *dropped, *moved}:
                _sweep(self.root, tag)
        gone = set(before) - set(_inventory(self.root))
        size = sum(before[inode] for inode in gone)
        return Purged(tuple(moved), dropped, len(gone), size, tuple(_leftovers(self.root)))

    def readers(self) -> Settings:
        """Whether the versions' folders are hidden."""
        tags = store.refs(self.root)
        return Settings(private=bool(tags) and not any((self.root / tag).is_dir() for tag in tags))

    def close_to_readers(self) -> Settings:
        """Hide every version's folder, at once."""
        before = self.readers()
        for tag in store.refs(self.root):
            if (self.root / tag).is_dir():
                store.delete(store.closed(self.root, tag))  # what a purge, that was killed, had replaced
                durable.rename(self.root / tag, store.closed(self.root, tag))
        return before

    def open_to_readers(self, settings: Settings) -> None:
        """Show every version's folder again."""
        for tag in store.refs(self.root) if not settings.private else ():
            if (self.root / tag).is_dir():
                store.delete(store.closed(self.root, tag))
            elif store.closed(self.root, tag).is_dir():
                durable.rename(store.closed(self.root, tag), self.root / tag)


def _published(hub: FolderHub, contents: Contents, done: tuple[int, int], *, already: bool = False) -> Published:
    """`done` counts the files and bytes that were copied."""
    kept = len(contents.files) - done[0]
    return Published(hub.url, contents.tag, contents.digest, *done, kept, already)


def _known(hub: FolderHub, version: str) -> str:
    tag = versions.tag(version)
    if tag not in store.refs(hub.root):
        raise HubError(f"{hub.url} has no {tag}", hint="`curate publish` it, or ask for a published version.")
    return tag


def _same_or_refuse(hub: FolderHub, refs: Mapping[str, str], contents: Contents) -> None:
    held = contents_of(store.place(hub.root, contents.tag))
    if refs[contents.tag] != contents.digest or dict(held.files) != dict(contents.files):
        raise HubError(
            f"{hub.url} holds another release under {contents.tag}",
            hint="A published version never changes; cut the next version and publish that.",
        )


def _recut(root: Path, tag: str, contents: Contents, progress: Progress) -> bool:
    """Put a re-cut release under its tag; says whether anything changed."""
    if contents.tag != tag:
        raise HubError(f"the re-cut of {tag} says that it is {contents.tag}", hint="Cut it again.")
    if store.refs(root)[tag] == contents.digest and (root / tag).is_dir():
        return False
    store.build(root, contents, progress)
    store.write_refs(root, {**store.refs(root), tag: contents.digest})
    return True


def _sweep(root: Path, tag: str) -> None:
    """Delete what is not published: other cuts, what was set aside, a dropped tag."""
    published = tag in store.refs(root)
    for path in root.glob(f".{tag}.*"):
        if path.suffix in (".partial", ".old") or (root / tag).is_dir() or not published:
            store.delete(path)
    if not published:
        store.delete(root / tag)


def _inventory(root: Path) -> dict[int, int]:
    """Bytes of each distinct file of published versions, by inode: links count once."""
    found = (path.stat() for tag in store.refs(root) for path in store.files(store.place(root, tag)))
    return {state.st_ino: state.st_size for state in found}


def _leftovers(root: Path) -> Iterator[Remaining]:
    """Every file below the hub that no tag's `release.json` accounts for."""
    accounted = {root / store.REFS}
    for tag in store.refs(root):
        accounted |= {store.place(root, tag) / path for path in contents_of(store.place(root, tag)).files}
    for path in store.files(root):
        if path not in accounted:
            yield Remaining(path.relative_to(root).parts[0], path.relative_to(root).as_posix(), "bytes")
