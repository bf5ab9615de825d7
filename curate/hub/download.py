"""A whole version from a hub into a folder, every file with its digest verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from curate.core import durable
from curate.core.errors import HubError
from curate.core.progress import Progress, silent
from curate.hub.protocol import RELEASE_FILE, Target, parse_release

_PIECE = 16 << 20


def download(
    target: Target,
    version: str,
    folder: Path,
    progress: Progress = silent,
    *,
    wanted: Callable[[str], bool] | None = None,
) -> None:
    """Fetch `release.json` and every file that it lists, or those of them that are `wanted` by their path.

    Raises:
        HubError: the hub fails, or what arrived is not what `release.json` lists.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sealed = target.read(version, RELEASE_FILE)
    (folder / RELEASE_FILE).write_bytes(sealed)
    _, listed = parse_release(sealed)
    entries = [entry for entry in listed if wanted is None or wanted(entry.path)]
    for entry in progress.over(entries, "files", len(entries)):
        path = folder / entry.path
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with durable.storage_errors("download the release"), path.open("wb") as out:
            for offset in range(0, entry.size_bytes, _PIECE):
                wanted_bytes = min(_PIECE, entry.size_bytes - offset)
                piece = target.read(version, entry.path, offset, wanted_bytes)
                if len(piece) != wanted_bytes:  # it states more than it has: asking on would take for ever
                    raise HubError(f"{entry.path} is shorter than {RELEASE_FILE} says.", hint="Ask the archive.")
                digest.update(piece)
                out.write(piece)
                progress.add(size_bytes=len(piece))
        if digest.hexdigest() != entry.sha256:
            raise HubError(f"{entry.path} arrived other than it was released.", hint="Run it again.")


def copy(target: Target, version: str, path: str, folder: Path) -> None:
    """Fetch one small file, such as those beside `release.json`, whatever its digest.

    Raises:
        HubError: the hub fails, or has no such file.
    """
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    with durable.storage_errors("download the release"):
        (folder / path).write_bytes(target.read(version, path))
