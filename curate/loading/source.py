"""Where a release is read from: a folder, a folder hub, or the Hub; at one version, looked up afresh."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from curate.core.errors import HubError, InputError
from curate.core.versions import normal, parse, tag
from curate.hub.folder.target import FolderHub
from curate.hub.protocol import LARGEST_RELEASE, RELEASE_FILE, is_tag, parse_release
from curate.hub.retry import Patience
from curate.untrusted import foreign_files

if TYPE_CHECKING:
    from curate.hub.huggingface.client import Repository

T = TypeVar("T")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
patience = Patience()
"""How long a hub that fails is asked again."""


@dataclass(frozen=True, slots=True)
class Source:
    """One version of a release, on disk (`folder`) or on the Hub (`repository` at `commit`).

    `newest` is the newest published version beside it; `home` the address of its hub, if it is from one; `versions`
    those that are published there, oldest first; `read` gives bytes of one of its files.
    """

    reference: str
    version: str
    newest: str
    folder: Path | None = None
    repository: str = ""
    commit: str = ""
    home: str = ""
    versions: tuple[str, ...] = ()

    @property
    def place(self) -> str:
        """What `load_dataset` takes as its path."""
        return str(self.folder) if self.folder else self.repository

    @property
    def prefix(self) -> str:
        """What the addresses of its files begin with, as `datasets` writes them."""
        return f"hf://datasets/{self.repository}@{self.commit}/" if self.commit else f"{self.folder}/"

    def read(self, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of a file, at the commit that was looked up.

        Raises:
            HubError: the hub fails, or the file is not there.
        """
        if self.folder is None:
            return _read_hub(self, path, offset, length)
        try:
            with foreign_files.opened(self.folder, path) as file:
                left = os.fstat(file.fileno()).st_size - offset
                if offset < 0 or left < 0:
                    return b""
                file.seek(offset)
                return file.read(left if length is None else max(0, min(length, left)))
        except OSError as error:
            raise InputError(
                f"{path} of {self.folder} cannot be read: {error.strerror}.",
                hint="Run `curate check` on the release.",
            ) from None


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
        raise InputError(f"{parts.scheme}:// cannot be loaded from.", hint="Use a folder, hf://ORG/NAME or ORG/NAME.")
    from curate.hub.huggingface.target import repository_of

    return _on_hub(text, repository_of(text), version)


def _on_disk(reference: str, folder: Path, version: str | None) -> Source:
    if (folder / RELEASE_FILE).is_file():
        found, _ = parse_release(foreign_files.read(folder, RELEASE_FILE, LARGEST_RELEASE))
        _same_version(reference, found, version)
        beside = FolderHub(folder.parent).versions() if (folder.parent / "refs.json").is_file() else ()
        held = tuple(sorted({found, *beside}, key=parse))
        return Source(reference, found, held[-1], folder, versions=held)
    versions = FolderHub(folder).versions()
    wanted = choose(reference, versions, version)
    place = FolderHub(folder).folder_of(wanted)
    if not place.name.startswith("v"):  # closed to readers: renamed
        raise HubError(f"{reference} is closed to readers.", hint="Ask the archive when it opens again.")
    sealed = foreign_files.read(place, RELEASE_FILE, LARGEST_RELEASE)
    found, _ = parse_release(sealed)
    _same_version(reference, found, wanted)
    if FolderHub(folder).digest_of(wanted) != hashlib.sha256(sealed).hexdigest():
        raise HubError(
            f"{reference} serves another release.json under {tag(wanted)} than refs.json names.",
            hint="Do not use it; tell the archive.",
        )
    return Source(reference, wanted, versions[-1], place, home=folder.resolve().as_uri(), versions=versions)


def _on_hub(reference: str, name: str, version: str | None) -> Source:
    repo = connect(name)
    refs = asked(repo, "looking for versions", lambda: repo.api.list_repo_refs(name, repo_type="dataset"))
    tags = {ref.name: ref.target_commit for ref in refs.tags}
    versions = sorted((normal(tag) for tag in tags if is_tag(tag)), key=parse)
    wanted = choose(reference, versions, version)
    commit, held = tags[tag(wanted)], tuple(versions)
    return Source(reference, wanted, versions[-1], None, name, commit, f"hf://{name}", held)


def choose(reference: str, versions: Sequence[str], asked: str | None) -> str:
    """The version asked for, or the newest.

    Raises:
        InputError: none is published there.
        HubError: not this one.
    """
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


def connect(name: str) -> Repository:
    """The repository `ORG/NAME`. Opens no connection."""
    from curate.hub.huggingface import client

    return client.connect(name, patience)


def asked(repo: Repository, doing: str, call: Callable[[], T]) -> T:
    """The result of a client's call, tried again while that helps.

    Raises:
        HubError: it failed for good, or a reader has no access: then what to do for it.
    """
    return repo.call(doing, lambda: _readable(repo, call))


def _read_hub(source: Source, path: str, offset: int, length: int | None) -> bytes:
    from curate.hub.huggingface import client

    repo = connect(source.repository)

    def fetch() -> bytes:
        data = client.ranged(repo, source.commit, path, offset, length)
        if length is not None and len(data) != length:
            raise ConnectionError("the answer was cut short")  # asked for again
        return data

    return asked(repo, f"reading {path}", fetch)
