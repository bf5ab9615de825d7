"""The Hugging Face Hub: packs first, one commit on the expected head, a look at the tree, the tag last."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import DatasetInfo, RepoFile

from curate.core import versions
from curate.core.errors import HubError, InputError
from curate.core.progress import Progress, silent
from curate.core.records import FileEntry
from curate.hub.huggingface import client, files
from curate.hub.huggingface.client import KIND, MAIN, Repository
from curate.hub.huggingface.commit import bring, set_tag, tags
from curate.hub.protocol import (
    Contents,
    Popularity,
    Published,
    Purged,
    Settings,
    UploadPlan,
    contents_of,
    plan_for,
)
from curate.hub.retry import Patience


@dataclass(frozen=True, slots=True)
class HuggingFaceHub:
    """The data set repository `ORG/NAME`; every method may be repeated after a failure, and finishes."""

    name: str
    patience: Patience
    can_erase: bool = True

    @property
    def url(self) -> str:
        """The target as a URL."""
        return f"hf://{self.name}"

    def plan(self, release: Path, previous: Path | None = None) -> UploadPlan:
        """What `publish` would send, compared with the release that was published last; no connection."""
        return plan_for(contents_of(release), contents_of(previous).files if previous else {})

    def publish(
        self,
        release: Path,
        *,
        settings: Settings | None = None,
        expected: Contents | None = None,
        progress: Progress = silent,
    ) -> Published:
        """One commit and one tag, whatever fails on the way and however often it is run.

        Raises:
            HubError: the hub refuses, fails, or holds something else.
            DamagedError: a file's bytes are not those that `release.json` lists.
        """
        contents = contents_of(release, expected)
        repo = client.connect(self.name, self.patience)
        # (1) the repository, and who may read it, before anything is sent
        arrange(repo, settings or Settings())
        # (2) a version is published once
        if (tagged := tags(repo)).get(contents.tag):
            return _already(self, repo, tagged[contents.tag], contents)
        _refuse_older(repo, tagged, contents)
        # (3) to (5) the files, the commit on the head that was seen, and what the hub holds under it
        commit, plan = bring(repo, MAIN, contents, f"Release {contents.version}", progress)
        files.compare(client.tree(repo, commit), contents)
        # (6) the tag
        set_tag(repo, contents.tag, commit)
        kept = len(plan.unchanged)
        return Published(self.url, contents.tag, commit, len(plan.send), plan.send_bytes, kept)

    def versions(self) -> tuple[str, ...]:
        """The published versions, oldest first."""
        found = tags(client.connect(self.name, self.patience))
        return tuple(versions.normal(tag) for tag in sorted(found, key=versions.parse))

    def holds(self, version: str) -> dict[str, FileEntry]:
        """The files under a tag: a large object's digest is its id, a small file is fetched and hashed."""
        repo = client.connect(self.name, self.patience)
        return {path: _fact(repo, versions.tag(version), item) for path, item in _tagged(repo, version).items()}

    def read(self, version: str, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of a published file by one range request."""
        repo, tag = client.connect(self.name, self.patience), versions.tag(version)
        return repo.call(f"reading {path}", lambda: client.ranged(repo, tag, path, offset, length))

    def purge(self, recuts: Mapping[str, Path], *, drop: Collection[str] = (), progress: Progress = silent) -> Purged:
        """Move tags to their re-cut releases, without history, erase what none holds, and look again."""
        from curate.hub.huggingface.purge import purge

        return purge(client.connect(self.name, self.patience), recuts, drop, progress)

    def readers(self) -> Settings:
        """Who may read, as the hub says."""
        found = described(client.connect(self.name, self.patience))
        return Settings(bool(found.private), found.gated)

    def popularity(self) -> Popularity:
        """Downloads of the last 30 days and likes, as the hub counts them."""
        found = described(client.connect(self.name, self.patience))
        return Popularity(found.downloads, found.likes)

    def close_to_readers(self) -> Settings:
        """Make the repository private; gives who could read it before."""
        before = self.readers()
        arrange(client.connect(self.name, self.patience), Settings(private=True))
        return before

    def open_to_readers(self, settings: Settings) -> None:
        """Let those read who could before."""
        arrange(client.connect(self.name, self.patience), settings)


def repository_of(url: str) -> str:
    """`ORG/NAME` of `hf://ORG/NAME` or `hf://datasets/ORG/NAME`.

    Raises:
        InputError: it is no such URL.
    """
    match = re.fullmatch(r"hf://(?:datasets/)?([\w.-]+/[\w.-]+)/?", url)
    if not match:
        raise InputError(f"{url} names no repository", hint="Write it as hf://ORG/NAME.")
    return match.group(1)


def described(repo: Repository) -> DatasetInfo:
    """What the hub says of the repository."""
    return repo.call("reading the settings", lambda: repo.api.dataset_info(repo.name))


def arrange(repo: Repository, settings: Settings) -> None:
    """Create the repository where it is not there; set who may read it, and look that it is so.

    Raises:
        HubError: the hub keeps other settings.
    """
    found = _create(repo, settings)
    if _fits(found, settings):
        return
    repo.call(
        "changing the settings",
        lambda: repo.api.update_repo_settings(
            repo.name, gated=settings.gated, private=settings.private, repo_type=KIND
        ),
    )
    if not _fits(described(repo), settings):
        raise HubError(f"{repo.name} keeps other settings than asked for", hint="Set them on the hub itself.")


def _fits(found: DatasetInfo, settings: Settings) -> bool:
    same_private = settings.private is None or bool(found.private) == settings.private
    return same_private and (settings.gated is None or found.gated == settings.gated)


def _create(repo: Repository, settings: Settings) -> DatasetInfo:
    def look_or_create() -> DatasetInfo:
        try:
            return repo.api.dataset_info(repo.name)
        except RepositoryNotFoundError:
            repo.api.create_repo(repo.name, repo_type=KIND, private=settings.private, exist_ok=True)
            return repo.api.dataset_info(repo.name)

    return repo.call("opening the repository", look_or_create)


def _tagged(repo: Repository, version: str) -> dict[str, RepoFile]:
    return client.tree(repo, versions.tag(version))


def _fact(repo: Repository, tag: str, item: RepoFile) -> FileEntry:
    if item.lfs is not None:
        return FileEntry(item.path, item.size, item.lfs.sha256)
    data = client.small_file(repo, tag, item)
    return FileEntry(item.path, len(data), hashlib.sha256(data).hexdigest())


def _already(hub: HuggingFaceHub, repo: Repository, commit: str, contents: Contents) -> Published:
    """A tag on the same content is work that was finished before.

    Raises:
        HubError: the tag is on another content.
    """
    if files.differences(client.tree(repo, commit), contents):
        raise HubError(
            f"{hub.url} holds another release under {contents.tag}",
            hint="A published version never changes; cut the next version and publish that.",
        )
    return Published(hub.url, contents.tag, commit, 0, 0, len(contents.files), already=True)


def _refuse_older(repo: Repository, tagged: Collection[str], contents: Contents) -> None:
    newest = max(tagged, key=versions.parse, default=contents.tag)
    if versions.parse(newest) > versions.parse(contents.tag):
        raise HubError(
            f"{repo.name} holds {newest} already, which is later than {contents.tag}",
            hint="Publish versions in their order, or cut the next one.",
        )
