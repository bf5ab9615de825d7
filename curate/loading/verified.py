"""A version's whole files in the local cache, each with the digest that was published."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from curate.digests import sha256_file
from curate.errors import DamagedError, HubError
from curate.loading import source as sources
from curate.loading.source import Source

if TYPE_CHECKING:
    from curate.hub.hf_client import Repository

_AT_ONCE = 4


def files(source: Source, paths: Sequence[str]) -> tuple[list[Path], bool]:
    """The local paths of a version's files, and whether a damaged copy had to be fetched anew.

    Raises:
        HubError: a file arrives otherwise than published, twice.
        DamagedError: a file on disk is not what was released.
    """
    stated = sources.digests(source, paths)
    if source.folder is not None:
        return [_on_disk(source.folder / path, stated.get(path)) for path in paths], False
    repo = sources._connect(source.repository)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = repo.call(
            "fetching",
            lambda: sources._readable(
                repo, lambda: list(pool.map(lambda path: _from_hub(repo, source, path, stated[path]), paths))
            ),
        )
    return [path for path, _ in found], any(again for _, again in found)


def _on_disk(path: Path, stated: str | None) -> Path:
    if stated is None or not path.is_file() or sha256_file(path) != stated:
        raise DamagedError(
            f"{path} is not what was released.", hint="Run `curate check` on the release; fetch it again."
        )
    return path


def _from_hub(repo: Repository, source: Source, path: str, stated: str) -> tuple[Path, bool]:
    """Fetch through the client's own cache; a copy that is damaged, there or on the way, goes."""
    for again in (False, True):
        local = Path(
            repo.api.hf_hub_download(
                source.repository, path, repo_type="dataset", revision=source.commit, force_download=again
            )
        )
        if sha256_file(local) == stated:
            return local, again
        local.resolve().unlink(missing_ok=True)
        local.unlink(missing_ok=True)
    raise HubError(
        f"{path} of {source.repository} arrives otherwise than it was published.",
        hint="Try again later, or over another connection; tell the archive if it stays.",
    )
