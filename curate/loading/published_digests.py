"""The digests that are stated of a version's files: by a pack's or a shard's own name, the release, or the hub."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from curate.core.digests import sha256_file
from curate.core.errors import HubError
from curate.core.versions import tag
from curate.hub.protocol import ATTESTATIONS, RELEASE_FILE, parse_release
from curate.loading import source as sources
from curate.loading.source import Source

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

_NAMED = re.compile(r"(?:packs/[0-9a-f]{2}|previews)/([0-9a-f]{64})\.parquet")


def digests(source: Source, paths: Sequence[str]) -> dict[str, str]:
    """What is stated of each path: `sha256:` or, of the hub's small files, `git:` and the hex digits.

    `release.json` states it of all but itself and what signs it: of these the hub does.

    Raises:
        HubError: the hub fails, or does not hold one of them.
    """
    found = {path: f"sha256:{match.group(1)}" for path in paths if (match := _NAMED.fullmatch(path))}
    rest = [path for path in paths if path not in found]
    if rest and source.folder is not None:
        listed = _sealed(source.read(RELEASE_FILE))
        listed[RELEASE_FILE] = f"sha256:{sha256_file(source.folder / RELEASE_FILE)}"
        found |= {path: listed[path] for path in rest if path in listed}
    elif rest:
        beside = [path for path in rest if path == RELEASE_FILE or path.startswith(ATTESTATIONS)]
        found |= {path: _stated(item) for path, item in _listed(source, beside).items()} if beside else {}
        found |= _of_release(source, [path for path in rest if path not in beside])
    return found


def _sealed(raw: bytes) -> dict[str, str]:
    return {entry.path: f"sha256:{entry.sha256}" for entry in parse_release(raw)[1]}


def _of_release(source: Source, paths: Sequence[str]) -> dict[str, str]:
    """What `release.json` states of files on the hub: it is what is signed, the hub's own word is not."""
    listed = _of_commit(source) if paths else {}
    if missing := sorted(set(paths) - listed.keys()):
        raise HubError(
            f"{source.repository} has no {missing[0]} in {tag(source.version)}.",
            hint="It may be no release of curate; check the name and the version.",
        )
    return {path: listed[path] for path in paths}


@lru_cache(maxsize=8)
def _of_commit(source: Source) -> dict[str, str]:
    """The same of all files: a commit never changes."""
    from curate.loading import download

    return _sealed(download.small(source, [RELEASE_FILE])[RELEASE_FILE])


def held(source: Source, paths: Sequence[str]) -> frozenset[str]:
    """Those of some paths that a release has."""
    if source.folder is not None:
        return frozenset(path for path in paths if (source.folder / path).is_file())
    return frozenset(_asked(source, paths))


def has(path: Path, digest: str) -> bool:
    """Whether a local file has a stated digest."""
    from curate.hub.huggingface.client import git_oid

    kind, _, digits = digest.partition(":")
    return (sha256_file(path) if kind == "sha256" else git_oid(path.read_bytes())) == digits


def size(source: Source, path: str) -> int:
    """Bytes of a file.

    Raises:
        HubError: the hub fails, or does not hold it.
    """
    if source.folder is not None:
        return (source.folder / path).stat().st_size
    return int(_listed(source, [path])[path].size)


def _stated(item: RepoFile) -> str:
    return f"sha256:{item.lfs.sha256}" if item.lfs is not None else f"git:{item.blob_id}"


def _listed(source: Source, paths: Sequence[str]) -> dict[str, RepoFile]:
    found = _asked(source, paths)
    if missing := sorted(set(paths) - set(found)):
        raise HubError(
            f"{source.repository} has no {missing[0]} in {tag(source.version)}.",
            hint="It may be no release of curate; check the name and the version.",
        )
    return found


def _asked(source: Source, paths: Sequence[str]) -> dict[str, RepoFile]:
    """What the hub says of those of some paths that it has."""
    from huggingface_hub.hf_api import RepoFile

    repo = sources.connect(source.repository)
    items = sources.asked(
        repo,
        "listing files",
        lambda: repo.api.get_paths_info(repo.name, list(paths), revision=source.commit, repo_type="dataset"),
    )
    return {item.path: item for item in items if isinstance(item, RepoFile)}
