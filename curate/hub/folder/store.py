"""The folder hub's files: copied whole or not at all, verified on the way, linked where they lie already."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from curate.core import durable, versions
from curate.core.digests import sha256_file
from curate.core.errors import CurateError, DamagedError, HubError
from curate.core.progress import Progress
from curate.core.records import FileEntry
from curate.hub.protocol import (
    BLOCK,
    RELEASE_FILE,
    Contents,
    contents_of,
)

REFS = "refs.json"
_FICLONE = 0x40049409  # Linux: share the blocks of another file until one of them is written


def refs(root: Path) -> dict[str, str]:
    """The digest of each tag's `release.json`.

    Raises:
        HubError: `refs.json` cannot be read.
    """
    try:
        found = json.loads((root / REFS).read_bytes())
        return {versions.tag(tag): str(digest) for tag, digest in found["tags"].items()}
    except FileNotFoundError:  # nothing was published here yet
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, CurateError):
        raise HubError(
            f"{root / REFS} is not what curate wrote", hint="Restore it from a copy, then publish again."
        ) from None


def write_refs(root: Path, tags: Mapping[str, str]) -> None:
    """Name the tags, all at once."""
    ordered = {tag: tags[tag] for tag in sorted(tags, key=versions.parse)}
    text = json.dumps({"format": 1, "tags": ordered}, indent=1) + "\n"
    temporary = root / f".{REFS}.tmp"
    with durable.writing(root / REFS, temporary) as file:
        file.write(text.encode())


def place(root: Path, tag: str) -> Path:
    """Where a tag's files lie: open, closed to readers, or (a purge was killed) set aside."""
    places = (root / tag, closed(root, tag), old(root, tag))
    return next((place for place in places if place.is_dir()), places[0])


def closed(root: Path, tag: str) -> Path:
    """Where a tag lies that is closed to readers."""
    return root / f".{tag}.closed"


def old(root: Path, tag: str) -> Path:
    """Where a tag lies that is being replaced."""
    return root / f".{tag}.old"


def _partial(root: Path, contents: Contents) -> Path:
    """Named by the release's digest, so that another cut of the version never continues it."""
    return root / f".{contents.tag}.{contents.digest[:16]}.partial"


def build(root: Path, contents: Contents, progress: Progress, *, linked: bool = False) -> tuple[int, int]:
    """Bring `DIR/<tag>/` to the release; gives the files and bytes that were copied, not linked.

    Raises:
        HubError: a folder that is no release is in the way.
    """
    final = root / contents.tag
    if final.is_dir() and _is_complete(final, contents):
        return 0, 0  # a run before this one was stopped between the folder and its name
    if final.exists() and not (final / RELEASE_FILE).is_file():
        raise HubError(f"{final} is in the way and is no release", hint="Move it away, then publish again.")
    partial = _partial(root, contents)
    sources = _sources(root, contents.tag)
    if linked:
        sources |= {entry.sha256: contents.root / path for path, entry in contents.files.items()}
    files = size = 0
    for entry in progress.over(contents.files.values(), "files", len(contents.files)):
        if _bring(partial / entry.path, entry, contents.root, sources):
            files, size = files + 1, size + entry.size_bytes
            progress.add(size_bytes=entry.size_bytes)
    _seal(partial, contents)
    _take_place(partial, final, old(root, contents.tag))
    return files, size


def _take_place(partial: Path, final: Path, aside: Path) -> None:
    """Let a whole folder take the place of what a killed run left, or a purge replaces; `aside` is deleted later."""
    if final.exists():
        delete(aside)
        if durable.exchange(partial, final):
            durable.rename(partial, aside)
            return
        durable.rename(final, aside)  # away for one rename only: readers of this tool find it there
    durable.rename(partial, final)


def _sources(root: Path, own: str) -> dict[str, Path]:
    """Published files by digest, to link instead of copying: of the newest versions and the tag's own."""
    found: dict[str, Path] = {}
    published = sorted(refs(root), key=versions.parse)
    for tag in {*published[-2:], *(tag for tag in published if tag == own)}:
        folder = place(root, tag)
        with contextlib.suppress(CurateError):  # a damaged version only gives no links: its files are copied
            found |= {entry.sha256: folder / path for path, entry in contents_of(folder).files.items()}
    return found


def _bring(target: Path, entry: FileEntry, source: Path, published: Mapping[str, Path]) -> bool:
    """Put one file in place; says whether its bytes had to be copied."""
    if target.is_file():
        return False  # it got its name only after it was whole, verified and synced
    target.parent.mkdir(parents=True, exist_ok=True)
    if (twin := published.get(entry.sha256)) and twin.stat().st_size == entry.size_bytes:
        durable.link(twin, target)
        return False
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)  # of a killed run, and read-only
    with durable.writing(target, temporary, 0o444) as out:
        if _copy(source / entry.path, out) != entry.sha256:
            raise DamagedError(
                f"{entry.path} does not have the digest that {RELEASE_FILE} states",
                hint="Run `curate check` on the release, then cut it again.",
            )
    return True


def _copy(source: Path, out: IO[bytes]) -> str:
    """Copy, or share blocks where the file system can, and hash in the same pass; gives the SHA-256."""
    digest = hashlib.sha256()
    with source.open("rb") as reader:
        shared = _share(reader.fileno(), out.fileno())
        while block := reader.read(BLOCK):
            digest.update(block)
            if not shared:
                out.write(block)
    return digest.hexdigest()


def _share(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:  # a file system that cannot share blocks: the caller copies
        return False
    return True


def _seal(folder: Path, contents: Contents) -> None:
    """Nothing missing, nothing extra; then synced and read-only."""
    for path in files(folder):
        if path.relative_to(folder).as_posix() not in contents.files:
            durable.remove(path)
    if not _is_complete(folder, contents):
        raise HubError(f"{folder} does not hold what was copied to it", hint="Check the disk, then publish again.")
    for below in [path for path in folder.rglob("*") if path.is_dir()]:
        durable.fsync_folder(below)
        below.chmod(0o555)
    durable.fsync_folder(folder)
    folder.chmod(0o755)  # renaming a folder needs it writable; sealed by its contents


def _is_complete(folder: Path, contents: Contents) -> bool:
    """Whether a folder has the release's files by name and size, and its `release.json` by digest."""
    found = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files(folder)}
    wanted = {entry.path: entry.size_bytes for entry in contents.files.values()}
    return found == wanted and sha256_file(folder / RELEASE_FILE) == contents.digest


def delete(folder: Path) -> None:
    """Delete a folder that is sealed."""
    if folder.is_dir():
        for below in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            below.chmod(0o755)
        durable.remove(folder)
        durable.fsync_folder(folder.parent)


def files(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
