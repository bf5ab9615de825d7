"""Where a release is read from: a folder, a folder hub, or the Hub; at one version, looked up afresh."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlsplit

import yaml

from curate.errors import DamagedError, HubError, InputError
from curate.hub.folder import FolderHub
from curate.hub.protocol import RELEASE_FILE, is_tag, parse_release
from curate.hub.retry import Patience
from curate.records import FileEntry
from curate.version import normal, parse, tag

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

    from curate.hub.hf_client import Repository

T = TypeVar("T")
CARD = "README.md"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_PACK = re.compile(r"packs/[0-9a-f]{2}/([0-9a-f]{64})\.parquet")
patience = Patience()
"""How long a hub that fails is asked again."""


@dataclass(frozen=True, slots=True)
class Source:
    """One version of a release, on disk (`folder`) or on the Hub (`repository` at `commit`).

    `newest` is the newest published version beside it; `read` gives bytes of one of its files.
    """

    reference: str
    version: str
    newest: str
    folder: Path | None = None
    repository: str = ""
    commit: str = ""

    @property
    def place(self) -> str:
        """What `load_dataset` takes as its path."""
        return str(self.folder) if self.folder else self.repository

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of a file, at the commit that was looked up.

        Raises:
            HubError: the hub fails, or the file is not there.
        """
        if self.folder is None:
            return _read_hub(self, path, offset, length)
        try:
            with (self.folder / path).open("rb") as file:
                file.seek(offset)
                return file.read(-1 if length is None else length)
        except OSError as error:
            raise InputError(
                f"{path} of {self.folder} cannot be read: {error.strerror}.",
                hint="Run `curate check` on the release.",
            ) from None

    def size(self, path: str) -> int:
        """Bytes of a file.

        Raises:
            HubError: the hub fails, or does not hold it.
        """
        if self.folder is not None:
            return (self.folder / path).stat().st_size
        return _listed(self, [path])[path].size

    def read_small(self, paths: Sequence[str]) -> dict[str, bytes]:
        """The bytes of small files, each with the digest that the release or the hub states for it.

        Raises:
            HubError: one arrived otherwise, several times, or is not there.
            DamagedError: one on disk is another one.
        """
        if self.folder is None:
            items = _listed(self, paths)
            return {path: _read_hub(self, path, 0, None, items[path]) for path in paths}
        found = {path: self.read(path) for path in paths}
        stated = digests(self, [path for path in paths if path != RELEASE_FILE])
        for path, data in found.items():
            if path != RELEASE_FILE and hashlib.sha256(data).hexdigest() != stated.get(path):
                raise DamagedError(
                    f"{path} of {self.folder} is not what was released.", hint="Run `curate check` on it."
                )
        return found


def find(reference: str | Path, version: str | None = None) -> Source:
    """The source of `DIR`, a release's folder, `file:///DIR`, `hf://ORG/NAME` or `ORG/NAME`.

    Without a version, the newest published one. Each call looks afresh: no cache answers for the hub.

    Raises:
        InputError: no release there, or not of this version.
        HubError: the hub cannot be read, is gated, or has no such version.
    """
    text = str(reference)
    parts = urlsplit(text)
    if parts.scheme in ("", "file"):
        folder = Path(unquote(parts.path) if parts.scheme else text).expanduser().absolute()
        if folder.is_dir():
            return _on_disk(text, folder, version)
        if parts.scheme or not _REPOSITORY.fullmatch(text):
            raise InputError(f"{text} is not there.", hint="Give a release's folder, or hf://ORG/NAME.")
        return _on_hub(text, text, version)
    if parts.scheme != "hf":
        raise InputError(
            f"{parts.scheme}:// cannot be loaded from.", hint="Use a folder, hf://ORG/NAME or ORG/NAME."
        )
    from curate.hub.huggingface import repository_of

    return _on_hub(text, repository_of(text), version)


def _on_disk(reference: str, folder: Path, version: str | None) -> Source:
    if (folder / RELEASE_FILE).is_file():
        found, _ = parse_release((folder / RELEASE_FILE).read_bytes())
        _same_version(reference, found, version)
        hub = FolderHub(folder.parent)
        newest = (
            max((found, *hub.versions()), key=parse)
            if (folder.parent / "refs.json").is_file()
            else found
        )
        return Source(reference, found, newest, folder)
    versions = FolderHub(folder).versions()
    wanted = _choose(reference, versions, version)
    place = FolderHub(folder).folder_of(wanted)
    if not place.name.startswith("v"):  # closed to readers: renamed
        raise HubError(f"{reference} is closed to readers.", hint="Ask the archive when it opens again.")
    found, _ = parse_release((place / RELEASE_FILE).read_bytes())
    _same_version(reference, found, wanted)
    return Source(reference, wanted, versions[-1], place)


def _on_hub(reference: str, name: str, version: str | None) -> Source:
    repo = _connect(name)
    refs = repo.call(
        "looking for versions",
        lambda: _readable(repo, lambda: repo.api.list_repo_refs(name, repo_type="dataset")),
    )
    tags = {ref.name: ref.target_commit for ref in refs.tags}
    versions = sorted((normal(tag) for tag in tags if is_tag(tag)), key=parse)
    wanted = _choose(reference, versions, version)
    return Source(reference, wanted, versions[-1], None, name, tags[tag(wanted)])


def _choose(reference: str, versions: Sequence[str], asked: str | None) -> str:
    if not versions:
        raise InputError(f"{reference} holds no release.", hint="Check the name; or publish one there.")
    wanted = normal(asked) if asked else versions[-1]
    if wanted not in versions:
        raise HubError(
            f"{reference} has no version {wanted}; it has {', '.join(versions[-5:])}.",
            hint="Ask for one of these.",
        )
    return wanted


def _same_version(reference: str, found: str, asked: str | None) -> None:
    if asked and normal(asked) != found:
        raise HubError(
            f"{reference} holds version {found}, not {normal(asked)}.",
            hint="Give the folder of that version, or the hub's own folder.",
        )


def _connect(name: str) -> Repository:
    from curate.hub import hf_client

    return hf_client.connect(name, patience)


def _readable(repo: Repository, call: Callable[[], T]) -> T:
    """The result of a call, or what a reader can do where access is refused."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    try:
        return call()
    except GatedRepoError:
        raise HubError(
            f"{repo.name} is gated: its terms must be accepted first.",
            hint=f"Accept them on the page of {repo.name} on the hub, run `hf auth login`, then try again.",
        ) from None
    except RepositoryNotFoundError:
        raise HubError(
            f"{repo.name} is not on the hub, or not for this login.",
            hint="Check the name; where it is private, run `hf auth login` first.",
        ) from None


def _read_hub(
    source: Source, path: str, offset: int, length: int | None, stated: RepoFile | None = None
) -> bytes:
    """Bytes of a file, all that were asked for; a whole file with the digest `stated`, if that is given."""
    from curate.hub import hf_client

    repo = _connect(source.repository)

    def fetch() -> bytes:
        data = _readable(repo, lambda: hf_client.ranged(repo, source.commit, path, offset, length))
        if (length is not None and len(data) != length) or (stated and not _is(data, stated)):
            raise ConnectionError("the answer was cut short or changed on the way")  # asked for again
        return data

    return repo.call(f"reading {path}", fetch)


def _is(data: bytes, stated: RepoFile) -> bool:
    from curate.hub import hf_client

    if stated.lfs is not None:
        return hashlib.sha256(data).hexdigest() == stated.lfs.sha256
    return hf_client.git_oid(data) == stated.blob_id


def digests(source: Source, paths: Sequence[str]) -> dict[str, str]:
    """The SHA-256, in hex, that is stated of each path: a pack's by its name, others' by release or hub.

    Raises:
        HubError: the hub fails, or does not hold one of them.
    """
    found = {path: match.group(1) for path in paths if (match := _PACK.fullmatch(path))}
    if rest := [path for path in paths if path not in found]:
        found |= _stated_on_disk(source, rest) if source.folder else _stated_by_hub(source, rest)
    return found


def _stated_on_disk(source: Source, paths: Sequence[str]) -> dict[str, str]:
    listed = {entry.path: entry.sha256 for entry in _entries(source.read(RELEASE_FILE))}
    return {path: listed[path] for path in paths if path in listed}


def _entries(raw: bytes) -> Sequence[FileEntry]:
    return parse_release(raw)[1]


def _stated_by_hub(source: Source, paths: Sequence[str]) -> dict[str, str]:
    found = _listed(source, paths)
    large = {path: item.lfs.sha256 for path, item in found.items() if item.lfs is not None}
    if set(large) == set(paths):
        return large
    entries = {
        entry.path: entry.sha256 for entry in _entries(source.read_small([RELEASE_FILE])[RELEASE_FILE])
    }
    return large | {path: entries[path] for path in paths if path in entries and path not in large}


def _listed(source: Source, paths: Sequence[str]) -> dict[str, RepoFile]:
    from huggingface_hub.hf_api import RepoFile

    repo = _connect(source.repository)
    items: list[Any] = repo.call(
        "listing files",
        lambda: _readable(
            repo,
            lambda: repo.api.get_paths_info(
                repo.name, list(paths), revision=source.commit, repo_type="dataset"
            ),
        ),
    )
    found = {item.path: item for item in items if isinstance(item, RepoFile)}
    if missing := sorted(set(paths) - set(found)):
        raise HubError(
            f"{source.repository} has no {missing[0]} in {tag(source.version)}.",
            hint="It may be no release of curate; check the name and the version.",
        )
    return found


def card(source: Source) -> dict[str, Any]:
    """The YAML of a release's card; empty where it cannot be read."""
    text = source.read_small([CARD])[CARD].decode("utf-8", "replace")
    match = re.match(r"---\n(.*?\n)---\n", text, re.S)
    try:
        found = yaml.safe_load(match.group(1)) if match else None
    except yaml.YAMLError:
        found = None
    return found if isinstance(found, dict) else {}


def release_facts(source: Source) -> tuple[dict[str, Any], str]:
    """What `release.json` says, and its own SHA-256: the digest of the release."""
    raw = source.read_small([RELEASE_FILE])[RELEASE_FILE]
    parse_release(raw)
    return json.loads(raw), hashlib.sha256(raw).hexdigest()
