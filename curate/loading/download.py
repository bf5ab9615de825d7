"""A version's files in the local cache, each with the digest that was published."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.core.digests import parse_json
from curate.core.errors import DamagedError, HubError
from curate.describe import markup
from curate.hub.protocol import RELEASE_FILE, parse_release
from curate.loading import published_digests
from curate.loading import source as sources
from curate.loading.source import Source
from curate.untrusted import foreign_files, parquet

if TYPE_CHECKING:
    from curate.hub.huggingface.client import Repository

_CARD = "README.md"
_AT_ONCE = 4


def files(source: Source, paths: Sequence[str]) -> list[Path]:
    """The local paths of a version's files.

    Raises:
        HubError: the hub fails, or a file arrives otherwise than published, twice.
        DamagedError: a file on disk is not what was released.
    """
    wanted = published_digests.digests(source, paths)
    if source.folder is not None:
        return [_readable(_on_disk(source.folder, path, wanted.get(path)), path) for path in paths]
    repo = sources.connect(source.repository)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sources.asked(
            repo,
            "fetching",
            lambda: list(pool.map(lambda path: _readable(_from_hub(repo, source, path, wanted[path]), path), paths)),
        )


def _on_disk(folder: Path, path: str, digest: str | None) -> Path:
    if digest is None or foreign_files.problem(folder, path) or not published_digests.has(folder / path, digest):
        raise DamagedError(
            f"{folder / path} is not what was released.", hint="Run `curate check` on the release; fetch it again."
        )
    return folder / path


def _readable(local: Path, path: str) -> Path:
    """A file whose tables, if it holds any, take no more to read than they can need.

    Raises:
        TooMuchError: they would.
    """
    if path.endswith(".parquet"):
        parquet.check(local, path, pack=path.startswith("packs/"))
    return local


def _from_hub(repo: Repository, source: Source, path: str, digest: str) -> Path:
    """Fetch through the client's own cache; a copy that is damaged, there or on the way, goes."""
    for again in (False, True):
        local = Path(
            repo.api.hf_hub_download(
                source.repository, path, repo_type="dataset", revision=source.commit, force_download=again
            )
        )
        if published_digests.has(local, digest):
            return local
        local.resolve().unlink(missing_ok=True)
        local.unlink(missing_ok=True)
    raise HubError(
        f"{path} of {source.repository} arrives otherwise than it was published.",
        hint="Try again later, or over another connection; tell the archive if it stays.",
    )


def small(source: Source, paths: Sequence[str]) -> dict[str, bytes]:
    """The bytes of small files, verified."""
    return {name: path.read_bytes() for name, path in zip(paths, files(source, paths), strict=True)}


def card(source: Source) -> dict[str, Any]:
    """The YAML of a release's card; empty where it cannot be read."""
    text = small(source, [_CARD])[_CARD].decode("utf-8", "replace")
    match = re.match(r"---\n(.*?\n)---\n", text, re.S)
    try:
        found = markup.load_yaml(match.group(1)) if match else None
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def release_facts(source: Source) -> tuple[dict[str, Any], str]:
    """What `release.json` says, and its own SHA-256: the digest of the release."""
    raw = small(source, [RELEASE_FILE])[RELEASE_FILE]
    parse_release(raw)
    return parse_json(raw), hashlib.sha256(raw).hexdigest()
