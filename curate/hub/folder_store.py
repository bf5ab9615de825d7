"""The folder hub's files: copied whole or not at all, verified on the way, linked where they lie already."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from curate.errors import CurateError, DamagedError, HubError
from curate.hub.protocol import (
    BLOCK,
    RELEASE_FILE,
    Contents,
    FileEntry,
    Progress,
    contents_of,
    digest_of,
    tag_of,
    version_key,
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
        return {tag_of(tag): str(digest) for tag, digest in found["tags"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError, CurateError):
        raise HubError(
            f"{root / REFS} is not what curate wrote", hint="Restore it from a copy, then publish again."
        ) from None


def write_refs(root: Path, tags: Mapping[str, str]) -> None:
    """Name the tags, all at once."""
    ordered = {tag: tags[tag] for tag in sorted(tags, key=version_key)}
    temporary = root / f".{REFS}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"format": 1, "tags": ordered}, file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(root / REFS)
    _sync(root)


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


def build(root: Path, contents: Contents, progress: Progress | None = None) -> tuple[int, int]:
    """Bring `DIR/<tag>/` to the release; gives the files and bytes that were copied, not linked."""
    final = root / contents.tag
    if final.is_dir() and _is_complete(final, contents):
        return 0, 0  # a run before this one was stopped between the folder and its name
    if final.exists():
        _set_aside(root, contents.tag)
    partial = _partial(root, contents)
    sources = _sources(root)
    files = size = seen = 0
    for entry in contents.files.values():
        if _bring(partial / entry.path, entry, contents.root, sources):
            files, size = files + 1, size + entry.size
        seen += entry.size
        if progress:
            progress(seen, contents.size)
    _seal(partial, contents)
    rename(partial, final)
    return files, size


def _set_aside(root: Path, tag: str) -> None:
    """Move away what a killed run left, or what a purge replaces; a stranger's folder stays.

    Raises:
        HubError: the folder is no release.
    """
    if not (root / tag / RELEASE_FILE).is_file():
        raise HubError(
            f"{root / tag} is in the way and is no release", hint="Move it away, then publish again."
        )
    delete(old(root, tag))
    rename(root / tag, old(root, tag))


def _sources(root: Path) -> dict[str, Path]:
    """Published files by digest, to link instead of copying."""
    found: dict[str, Path] = {}
    for tag in sorted(refs(root), key=version_key)[-2:]:
        folder = place(root, tag)
        with contextlib.suppress(CurateError):
            found |= {entry.sha256: folder / path for path, entry in contents_of(folder).files.items()}
    return found


def _bring(target: Path, entry: FileEntry, source: Path, published: Mapping[str, Path]) -> bool:
    """Put one file in place; says whether its bytes had to be copied."""
    if target.is_file():
        return False  # it got its name only after it was whole, verified and synced
    target.parent.mkdir(parents=True, exist_ok=True)
    if (twin := published.get(entry.sha256)) and twin.stat().st_size == entry.size:
        with contextlib.suppress(OSError):  # other file system, too many links: then copy
            os.link(twin, target)
            return False
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    if _copy(source / entry.path, temporary) != entry.sha256:
        temporary.unlink()
        raise DamagedError(
            f"{entry.path} does not have the digest that {RELEASE_FILE} states",
            hint="Run `curate check` on the release, then cut it again.",
        )
    temporary.chmod(0o444)
    temporary.replace(target)
    return True


def _copy(source: Path, target: Path) -> str:
    """Copy, or share blocks where the file system can, and hash in the same pass; gives the SHA-256."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        shared = _share(reader.fileno(), writer.fileno())
        while block := reader.read(BLOCK):
            digest.update(block)
            if not shared:
                writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def _share(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        return False
    return True


def _seal(folder: Path, contents: Contents) -> None:
    """Nothing missing, nothing extra; then synced and read-only."""
    for path in files(folder):
        if path.relative_to(folder).as_posix() not in contents.files:
            path.unlink()
    if not _is_complete(folder, contents):
        raise HubError(
            f"{folder} does not hold what was copied to it", hint="Check the disk, then publish again."
        )
    for below in [path for path in folder.rglob("*") if path.is_dir()]:
        _sync(below)
        below.chmod(0o555)
    _sync(folder)
    folder.chmod(0o755)  # renaming a folder needs it writable; sealed by its contents


def _is_complete(folder: Path, contents: Contents) -> bool:
    """Whether a folder has the release's files by name and size, and its `release.json` by digest."""
    found = {path.relative_to(folder).as_posix(): path.stat().st_size for path in files(folder)}
    wanted = {entry.path: entry.size for entry in contents.files.values()}
    return found == wanted and digest_of(folder / RELEASE_FILE) == contents.digest


def delete(folder: Path) -> None:
    """Delete a folder that is sealed."""
    if folder.is_dir():
        for below in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            below.chmod(0o755)
        shutil.rmtree(folder)
        _sync(folder.parent)


def files(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def rename(source: Path, target: Path) -> None:
    """Rename, durably."""
    source.rename(target)
    _sync(target.parent)


def _sync(folder: Path) -> None:
    """Make a folder's entries durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
