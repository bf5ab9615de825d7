"""A bucket as a hub: the folder hub's layout as static objects, `refs.json` last, all versions erasable."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from curate.core import versions
from curate.core.digests import sha256_file
from curate.core.errors import CurateError, DamagedError, HubError, RefusedError
from curate.core.progress import Progress, silent
from curate.core.records import FileEntry
from curate.hub.protocol import (
    ATTESTATIONS,
    RELEASE_FILE,
    Contents,
    Published,
    Purged,
    Remaining,
    Settings,
    UploadPlan,
    contents_of,
    parse_release,
    plan_for,
)
from curate.hub.retry import Patience
from curate.hub.s3 import client as s3
from curate.hub.s3.client import Bucket

REFS = "refs.json"
_LARGEST = 5 << 30  # what S3 takes in one request


@dataclass(frozen=True, slots=True)
class S3Hub:
    """The hub at `s3://BUCKET/PREFIX`; every method may be repeated after a failure, and finishes."""

    bucket: str
    prefix: str
    patience: Patience
    can_erase: bool = True

    @property
    def url(self) -> str:
        """The target as a URL."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def plan(self, release: Path, previous: Path | None = None) -> UploadPlan:
        """What `publish` would send, compared with the release that was published last; no connection."""
        plan = plan_for(contents_of(release), contents_of(previous).files if previous else {})
        return UploadPlan(plan.tag, plan.send, plan.unchanged, ())

    def publish(
        self,
        release: Path,
        *,
        settings: Settings | None = None,
        expected: Contents | None = None,
        progress: Progress = silent,
    ) -> Published:
        """Send a release's objects, each refused by S3 unless it has its digest; then name the tag.

        Raises:
            HubError: the bucket refuses, fails, holds something else, or can erase nothing.
        """
        del settings  # a bucket's policy says who may read
        contents, bucket = contents_of(release, expected), self._connect()
        _refuse_locked(bucket)
        tags, etag = _refs(bucket)
        if tags.get(contents.tag, contents.digest) != contents.digest:
            raise HubError(
                f"{self.url} holds another release under {contents.tag}",
                hint="A published version never changes; cut the next version and publish that.",
            )
        if contents.tag in tags:
            _compare(bucket, contents)
            return _published(self, contents, (0, 0), already=True)
        done = _bring(bucket, contents, tags, progress)
        _write_refs(bucket, {**tags, contents.tag: contents.digest}, etag)
        return _published(self, contents, done)

    def versions(self) -> tuple[str, ...]:
        """The published versions, oldest first."""
        return tuple(versions.normal(tag) for tag in sorted(_refs(self._connect())[0], key=versions.parse))

    def holds(self, version: str) -> dict[str, FileEntry]:
        """The files under a tag, with the digests that S3 computed."""
        bucket, tag = self._connect(), versions.tag(version)
        found = s3.listing(bucket, f"{tag}/")
        if not found:
            raise HubError(f"{self.url} has no {tag}", hint="Ask for a published version.")
        entries = (
            FileEntry(path.removeprefix(f"{tag}/"), size, s3.digest(bucket, path)) for path, size in found.items()
        )
        return {entry.path: entry for entry in entries}

    def read(self, version: str, path: str, offset: int = 0, length: int | None = None) -> bytes:
        """Bytes of a published file by one range request."""
        found = s3.get(self._connect(), f"{versions.tag(version)}/{path}", offset, length)
        if found is None:
            raise HubError(
                f"{self.url} has no {path} in {versions.tag(version)}", hint="List the version's files first."
            )
        return found[0]

    def names(self, version: str, folder: str) -> frozenset[str]:
        """The paths of a version's files below a folder such as `attestations/`."""
        tag = f"{versions.tag(version)}/"
        return frozenset(path.removeprefix(tag) for path in s3.listing(self._connect(), f"{tag}{folder}"))

    def purge(self, recuts: Mapping[str, Path], *, drop: Collection[str] = (), progress: Progress = silent) -> Purged:
        """Replace each version by its re-cut, drop tags, erase every other object version, and look."""
        bucket = self._connect()
        moved = [
            versions.tag(version)
            for version in sorted(recuts, key=versions.parse)
            if _recut(bucket, contents_of(recuts[version]), progress)
        ]
        dropped = tuple(sorted(versions.tag(version) for version in drop))
        tags, etag = _refs(bucket)
        if set(dropped) & set(tags):
            _write_refs(bucket, {tag: tags[tag] for tag in tags if tag not in dropped}, etag)
        gone = tuple(_unaccounted(bucket))
        s3.erase(bucket, gone)
        size = sum(item.size for item in gone)
        left = tuple(sorted(Remaining(self.url, item.path, "bytes") for item in _unaccounted(bucket)))
        return Purged(tuple(moved), dropped, sum(not item.mark for item in gone), size, left)

    def readers(self) -> Settings:
        """Whether public access to the bucket is blocked."""
        return Settings(private=s3.is_blocked(self._connect()))

    def close_to_readers(self) -> Settings:
        """Block public access to the bucket, whatever its policy says."""
        bucket, before = self._connect(), self.readers()
        blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        bucket.call(
            "closing the bucket",
            lambda: bucket.client.put_public_access_block(
                Bucket=bucket.name, PublicAccessBlockConfiguration=dict.fromkeys(blocks, True)
            ),
        )
        return before

    def open_to_readers(self, settings: Settings) -> None:
        """Let the bucket's policy rule again."""
        bucket = self._connect()
        if not settings.private:
            bucket.call("opening the bucket", lambda: bucket.client.delete_public_access_block(Bucket=bucket.name))

    def _connect(self) -> Bucket:
        return s3.connect(self.bucket, f"{self.prefix}/" if self.prefix else "", self.patience)


def _published(hub: S3Hub, contents: Contents, done: tuple[int, int], *, already: bool = False) -> Published:
    kept = len(contents.files) - done[0]
    return Published(hub.url, contents.tag, contents.digest, *done, kept, already)


def _refs(bucket: Bucket) -> tuple[dict[str, str], str]:
    """The digest of each tag's `release.json`, and the ETag of what was read.

    Raises:
        HubError: `refs.json` cannot be read.
    """
    found = s3.get(bucket, REFS)
    if found is None:
        return {}, ""
    try:
        tags = json.loads(found[0])["tags"]
        return {versions.tag(tag): str(digest) for tag, digest in tags.items()}, found[1]
    except (ValueError, KeyError, TypeError, AttributeError, CurateError):
        raise HubError(f"{REFS} of s3://{bucket.name} is not what curate wrote", hint="Restore it.") from None


def _write_refs(bucket: Bucket, tags: Mapping[str, str], etag: str) -> None:
    """Name the tags, unless someone else did so since they were read."""
    ordered = {tag: tags[tag] for tag in sorted(tags, key=versions.parse)}
    body = (json.dumps({"format": 1, "tags": ordered}, indent=1) + "\n").encode()
    if (found := s3.get(bucket, REFS)) and found[0] == body:
        return
    condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
    try:
        s3.put(bucket, REFS, body, hashlib.sha256(body).hexdigest(), **condition)
    except HubError:
        if (found := s3.get(bucket, REFS)) is None or found[0] != body:  # the answer may have been lost
            raise


def _bring(bucket: Bucket, contents: Contents, tags: Collection[str], progress: Progress) -> tuple[int, int]:
    """Bring `<tag>/` to the release; gives the files and bytes that were sent, not copied inside the bucket."""
    there = s3.listing(bucket, f"{contents.tag}/")
    twins = _twins(bucket, tags)
    files = size = 0
    entries = sorted(contents.files.values(), key=lambda entry: (entry.path == RELEASE_FILE, entry.path))
    for entry in progress.over(entries, "files", len(entries)):
        path = f"{contents.tag}/{entry.path}"
        if there.get(path) == entry.size_bytes and s3.digest(bucket, path) == entry.sha256:
            continue
        if entry.sha256 in twins:
            s3.copy(bucket, twins[entry.sha256], path)
            continue
        _send(bucket, path, contents.root / entry.path, entry)
        files, size = files + 1, size + entry.size_bytes
        progress.add(size_bytes=entry.size_bytes)
    wanted = {f"{contents.tag}/{path}" for path in contents.files}
    if set(there) - wanted:  # of another cut that was interrupted
        left = [i for i in s3.stored(bucket) if i.path.startswith(f"{contents.tag}/") and i.path not in wanted]
        s3.erase(bucket, tuple(left))
    _compare(bucket, contents)
    return files, size


def _send(bucket: Bucket, path: str, source: Path, entry: FileEntry) -> None:
    if entry.size_bytes > _LARGEST:
        raise HubError(
            f"{entry.path} is larger than the 5 GiB that S3 takes in one request",
            hint="Lower the packs' target size in archive.toml, or publish to another target.",
        )
    try:
        s3.put(bucket, path, source, entry.sha256)
    except HubError:
        if sha256_file(source) != entry.sha256:
            raise DamagedError(
                f"{entry.path} does not have the digest that {RELEASE_FILE} states; the bucket refused it",
                hint="Run `curate check` on the release, then cut it again.",
            ) from None
        raise


def _twins(bucket: Bucket, tags: Collection[str]) -> dict[str, str]:
    """Published objects of the newest versions by digest, to copy inside the bucket."""
    found: dict[str, str] = {}
    for tag in sorted(tags, key=versions.parse)[-2:]:
        found |= {entry.sha256: f"{tag}/{entry.path}" for entry in _listed(bucket, tag)}
    return found


def _listed(bucket: Bucket, tag: str) -> tuple[FileEntry, ...]:
    sealed = s3.get(bucket, f"{tag}/{RELEASE_FILE}")
    return parse_release(sealed[0])[1] if sealed else ()


def _compare(bucket: Bucket, contents: Contents) -> None:
    """Refuse to name what is not the release; S3 compared each digest when it stored the object."""
    held = s3.listing(bucket, f"{contents.tag}/")
    wanted = {f"{contents.tag}/{path}": entry.size_bytes for path, entry in contents.files.items()}
    if held != wanted:
        raise HubError(
            f"s3://{bucket.name} holds other files under {contents.tag} than the release has",
            hint="Run the same command again; if it stays, look who else writes there.",
        )


def _recut(bucket: Bucket, contents: Contents, progress: Progress) -> bool:
    """Put a re-cut release under its tag, which is not named meanwhile; says whether anything changed."""
    tags, etag = _refs(bucket)
    if tags.get(contents.tag) == contents.digest:
        return False
    if contents.tag in tags:
        _write_refs(bucket, {tag: tags[tag] for tag in tags if tag != contents.tag}, etag)
    _bring(bucket, contents, tags, progress)
    tags, etag = _refs(bucket)
    _write_refs(bucket, {**tags, contents.tag: contents.digest}, etag)
    return True


def _unaccounted(bucket: Bucket) -> Iterator[s3.Stored]:
    """Every stored version that is not the newest of an object which a named tag's release accounts for."""
    wanted, signed = {REFS}, []
    for tag in _refs(bucket)[0]:
        wanted |= {f"{tag}/{entry.path}" for entry in _listed(bucket, tag)} | {f"{tag}/{RELEASE_FILE}"}
        signed.append(f"{tag}/{ATTESTATIONS}")
    for item in s3.stored(bucket):
        kept = item.path in wanted or item.path.startswith(tuple(signed))
        if item.mark or not item.latest or not kept:
            yield item


def _refuse_locked(bucket: Bucket) -> None:
    """A bucket that keeps what is deleted never receives anything about a person.

    Raises:
        RefusedError: the bucket has an object lock.
    """

    def locked() -> bool:
        try:
            found = bucket.client.get_object_lock_configuration(Bucket=bucket.name)
        except bucket.client.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ObjectLockConfigurationNotFoundError":
                return False
            raise
        return bool(found.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled")

    if bucket.call("asking for the bucket's lock", locked):
        raise RefusedError(
            f"bucket {bucket.name} has an object lock: nothing could be erased from it",
            hint="Publish to a bucket without a lock.",
        )
