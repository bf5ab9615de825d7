"""A version's files in the local cache, each with the digest that its name, the release or the hub states."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.core.digests import parse_json, sha256_file
from curate.core.errors import DamagedError, HubError
from curate.core.versions import tag
from curate.describe import markup
from curate.hub.protocol import ATTESTATIONS, RELEASE_FILE, parse_release
from curate.loading import source as sources
from curate.loading.source import Source
from curate.untrusted import foreign_files, parquet

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

    from curate.hub.huggingface.client import Repository

_NAMED = re.compile(r"(?:packs/[0-9a-f]{2}|previews)/([0-9a-f]{64})\.parquet")
_CARD = "README.md"
_AT_ONCE = 4


def files(source: Source, paths: Sequence[str]) -> list[Path]:
    """The local paths of a version's files.

    Raises:
        HubError: the hub fails, or a file arrives otherwise than published, twice.
        DamagedError: a file on disk is not what was released.
    """
    wanted = digests(source, paths)
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
    if digest is None or foreign_files.problem(folder, path) or not has(folder / path, digest):
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
        if has(local, digest):
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
    return _sealed(small(source, [RELEASE_FILE])[RELEASE_FILE])


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
