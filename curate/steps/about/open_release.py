"""A release as its readers meet it: found, held against the key of its archive, and read file by file."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from curate import hub
from curate.archive.config import NAME as ARCHIVE_FILE
from curate.attestation import trust
from curate.attestation.trust import Offer, Origin
from curate.core.digests import parse_json
from curate.core.errors import DamagedError, HubError, InputError
from curate.core.records import FileEntry
from curate.core.versions import is_version, normal, parse
from curate.hub.download import copy
from curate.hub.protocol import ATTESTATIONS, RELEASE_FILE, parse_release
from curate.loading import download, trusted
from curate.loading import source as sources

if TYPE_CHECKING:
    from curate.hub.s3.target import S3Hub

_OF_LOADING = ("", "file", "hf")


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a release, whose archive's key was looked at.

    `versions` are those that are published beside it, oldest first; `content` is `release.json`, `digest` its SHA-256;
    `read` gives bytes of a file from an offset, by one range request where it lies on a hub.
    """

    reference: str
    version: str
    versions: tuple[str, ...]
    content: Mapping[str, Any]
    digest: str
    files: Mapping[str, FileEntry]
    origin: Origin
    read: Callable[[str, int, int], bytes]

    def whole(self, path: str) -> bytes:
        """The bytes of a small file, as `release.json` states them.

        Raises:
            HubError, DamagedError: it cannot be read, or holds something else.
        """
        entry = self.files.get(path)
        if entry is None:
            raise DamagedError(f"{self.reference} {self.version} has no {path}.", hint="Get the release again.")
        data = self.read(path, 0, entry.size_bytes)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise DamagedError(
                f"{path} of {self.reference} {self.version} is not what was released.",
                hint="Run `curate check` on the release.",
            )
        return data

    def text(self, path: str) -> str:
        """The text of a small file; bytes that are no UTF-8 are shown as such."""
        return self.whole(path).decode("utf-8", "replace")


def opened(reference: str | Path, version: str | None = None, key: str = "") -> Release:
    """The release at a folder, in an archive's folder, on a folder hub, `hf://ORG/NAME` or `s3://BUCKET/PREFIX`.

    Without a version, the newest. The archive's key is pinned when it is first met, and a warning says so.

    Raises:
        InputError: no release there, or not of this version.
        HubError: the hub cannot be read, is gated, or has no such version.
        UntrustedError: it is not signed by the key that is pinned for its archive, or given.
    """
    text = str(reference)
    if urlsplit(text).scheme in _OF_LOADING:
        found = _from_source(text, version, key)
    else:
        found = _from_target(text, version, key)
    trusted.tell(found.reference, found.version, found.origin)
    return found


def _from_source(reference: str, version: str | None, key: str) -> Release:
    place, held = _in_archive(reference, version)
    source = sources.find(place, None if held else version)
    origin = trusted.confirm(source, newest=version is None, key=key)
    raw = download.small(source, [RELEASE_FILE])[RELEASE_FILE]
    return _release(reference, held or source.versions, raw, origin, source.read)


def _in_archive(reference: str, version: str | None) -> tuple[str, tuple[str, ...]]:
    """Where the release lies of an archive's own folder, with the versions that are cut there; else the reference."""
    root = Path(reference)
    if urlsplit(reference).scheme or not (root / ARCHIVE_FILE).is_file():
        return reference, ()
    releases = root / "releases"
    cut = [path.name for path in releases.iterdir() if is_version(path.name)] if releases.is_dir() else []
    held = tuple(sorted(cut, key=parse))
    return str(releases / sources.choose(reference, held, version)), held


def _from_target(reference: str, version: str | None, key: str) -> Release:
    from curate.hub.s3.target import S3Hub

    target = hub.open_target(reference, patience=sources.patience)
    if not isinstance(target, S3Hub):
        raise InputError(
            f"{reference} holds no release that could be read from here.",
            hint="Give a release's folder, a folder hub, hf://ORG/NAME or s3://BUCKET/PREFIX.",
        )
    held = target.versions()
    wanted = sources.choose(reference, held, version)
    raw = target.read(wanted, RELEASE_FILE)
    if (stated := parse_release(raw)[0]) != wanted:
        raise HubError(f"{reference} serves version {stated} as {wanted}.", hint="Tell the archive.")
    origin = _confirmed(target, wanted, raw, reference, key, newest=version is None)

    def read(path: str, offset: int = 0, length: int | None = None) -> bytes:
        return target.read(wanted, path, offset, length)

    return _release(reference, held, raw, origin, read)


def _confirmed(target: S3Hub, version: str, raw: bytes, reference: str, key: str, *, newest: bool) -> Origin:
    """Who made a release in a bucket, by what signs it, which is brought here for that."""
    with tempfile.TemporaryDirectory(prefix="curate-about-") as temporary:
        folder = Path(temporary)
        for path in sorted(target.names(version, ATTESTATIONS) & set(trusted.PROOFS)):
            copy(target, version, path, folder)
        digest = hashlib.sha256(raw).hexdigest()
        offer = Offer(reference, parse_json(raw), digest, trust.reader(folder), target.url, newest)
        return trust.confirm(offer, trust.public_key(key) if key else None)


def _release(
    reference: str,
    versions: tuple[str, ...],
    raw: bytes,
    origin: Origin,
    read: Callable[[str, int, int], bytes],
) -> Release:
    version, listed = parse_release(raw)
    files = {entry.path: entry for entry in listed}
    digest = hashlib.sha256(raw).hexdigest()
    return Release(reference, normal(version), versions, parse_json(raw), digest, files, origin, read)
