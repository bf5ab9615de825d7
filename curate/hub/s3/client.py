"""Requests to an S3 bucket: its own client and login, patience, and one clear line where they fail."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from curate.core.errors import CurateError, HubError, InputError
from curate.hub.retry import Patience, again

T = TypeVar("T")
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_AGAIN = "Run the same command again: it goes on where it stopped."


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket with the prefix below which releases lie; `client` is botocore's."""

    name: str
    prefix: str
    client: Any
    patience: Patience

    def key(self, path: str) -> str:
        """The object's key of a path below the hub."""
        return f"{self.prefix}{path}"

    def call(self, doing: str, call: Callable[[], T]) -> T:
        """The result of a client's call; each of them may be repeated.

        Raises:
            HubError: it failed for good.
        """
        try:
            return again(call, patience=self.patience, wait=_wait)
        except CurateError:
            raise
        except Exception as error:
            failure = _told(error, doing, self.name)
        raise failure  # outside of `except`: the client's error holds the login in its request


def connect(name: str, prefix: str, patience: Patience) -> Bucket:
    """The bucket, by the login and endpoint of the AWS environment and files. Opens no connection.

    Raises:
        InputError: the extra that brings the client is not installed.
    """
    try:
        from botocore.config import Config  # type: ignore[import-untyped]
        from botocore.session import Session  # type: ignore[import-untyped]

        session = Session()
        session.register_component("data_loader", _loader())
    except ImportError:
        raise InputError(
            "s3:// needs botocore, which is not installed", hint="pip install 'imaging-curate[cluster]'"
        ) from None
    config = Config(retries={"total_max_attempts": 1}, connect_timeout=20, read_timeout=300)
    return Bucket(name, prefix, session.create_client("s3", config=config), patience)


@cache
def _loader() -> Any:
    """The client's own description of S3, which takes long to read."""
    from botocore.loaders import create_loader  # type: ignore[import-untyped]

    return create_loader()


def put(bucket: Bucket, path: str, body: Path | bytes, sha256: str, **how: str) -> str:
    """Store an object, refused by S3 itself unless its bytes have the digest; gives its ETag."""
    checksum = base64.b64encode(bytes.fromhex(sha256)).decode()

    def send() -> str:
        where = {"Bucket": bucket.name, "Key": bucket.key(path), "ChecksumSHA256": checksum, **how}
        if isinstance(body, bytes):
            done = bucket.client.put_object(Body=body, **where)
        else:
            with body.open("rb") as file:
                done = bucket.client.put_object(Body=file, **where)
        if done.get("ChecksumSHA256", checksum) != checksum:
            raise HubError(f"the bucket stored other bytes of {path}", hint=_AGAIN)
        return str(done["ETag"])

    return bucket.call(f"sending {path}", send)


def copy(bucket: Bucket, source: str, path: str) -> None:
    """Copy an object inside the bucket; no byte passes here."""
    where = {"Bucket": bucket.name, "Key": bucket.key(source)}
    bucket.call(
        f"copying {path}",
        lambda: bucket.client.copy_object(
            Bucket=bucket.name, Key=bucket.key(path), CopySource=where, ChecksumAlgorithm="SHA256"
        ),
    )


def get(bucket: Bucket, path: str, offset: int = 0, length: int | None = None) -> tuple[bytes, str] | None:
    """Bytes and ETag of an object; nothing where it is not there."""
    how: dict[str, str] = {}
    if offset or length is not None:
        how["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"

    def fetch() -> tuple[bytes, str] | None:
        try:
            found = bucket.client.get_object(Bucket=bucket.name, Key=bucket.key(path), **how)
        except bucket.client.exceptions.NoSuchKey:  # the answer asked for: it is not there
            return None
        return found["Body"].read(), str(found["ETag"])

    return bucket.call(f"reading {path}", fetch)


def digest(bucket: Bucket, path: str) -> str:
    """SHA-256 of an object as S3 computed it when it was stored; empty where it keeps none."""
    found = bucket.call(
        f"asking for {path}",
        lambda: bucket.client.head_object(Bucket=bucket.name, Key=bucket.key(path), ChecksumMode="ENABLED"),
    )
    return base64.b64decode(found.get("ChecksumSHA256", "")).hex()


def listing(bucket: Bucket, folder: str) -> dict[str, int]:
    """Bytes of each object below a folder of the hub, by path."""

    def pages() -> dict[str, int]:
        paginator = bucket.client.get_paginator("list_objects_v2")
        found = paginator.paginate(Bucket=bucket.name, Prefix=bucket.key(folder)).search("Contents[]")
        return {item["Key"].removeprefix(bucket.prefix): int(item["Size"]) for item in found if item}

    return bucket.call(f"listing {folder or bucket.name}", pages)


@dataclass(frozen=True, slots=True)
class Stored:
    """A version of an object, or the mark of a deletion."""

    path: str
    version: str
    size: int
    latest: bool
    mark: bool


def stored(bucket: Bucket) -> tuple[Stored, ...]:
    """Everything that the bucket keeps below the hub, older versions and marks of deletion too."""

    def pages() -> tuple[Stored, ...]:
        paginator = bucket.client.get_paginator("list_object_versions")
        return tuple(_stored(bucket, paginator.paginate(Bucket=bucket.name, Prefix=bucket.prefix)))

    return bucket.call("listing the stored versions", pages)


def _stored(bucket: Bucket, pages: Any) -> Iterator[Stored]:
    for page in pages:
        for kind in ("Versions", "DeleteMarkers"):
            for item in page.get(kind, []):
                path, mark = item["Key"].removeprefix(bucket.prefix), kind == "DeleteMarkers"
                yield Stored(path, item["VersionId"], int(item.get("Size", 0)), item["IsLatest"], mark)


def erase(bucket: Bucket, gone: tuple[Stored, ...]) -> None:
    """Delete versions for good, 1,000 a request.

    Raises:
        HubError: the bucket keeps some.
    """
    for start in range(0, len(gone), 1000):
        some = gone[start : start + 1000]
        objects = [{"Key": bucket.key(item.path), "VersionId": item.version} for item in some]
        done = bucket.call(
            "erasing",
            lambda objects=objects: bucket.client.delete_objects(  # type: ignore[misc]
                Bucket=bucket.name, Delete={"Objects": objects, "Quiet": True}
            ),
        )
        if refused := done.get("Errors"):
            raise HubError(
                f"bucket {bucket.name} keeps {len(refused)} objects that must be erased",
                hint="Give the login s3:DeleteObjectVersion, or lift the bucket's lock, then run this again.",
            )


def is_blocked(bucket: Bucket) -> bool:
    """Whether public access to the bucket is blocked, whatever its policy says."""

    def ask() -> bool:
        try:
            found = bucket.client.get_public_access_block(Bucket=bucket.name)
        except bucket.client.exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchPublicAccessBlockConfiguration":
                return False
            raise
        return all(found.get("PublicAccessBlockConfiguration", {}).values())

    return bucket.call("asking who may read", ask)


def _wait(error: Exception) -> float | None:
    from botocore.exceptions import ClientError, HTTPClientError  # type: ignore[import-untyped]

    if isinstance(error, ClientError):
        answer = error.response
        status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        asked = str(answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "0"))
        passing = status in _PASSING or answer.get("Error", {}).get("Code") in ("BadDigest", "SlowDown")
        return (float(asked) if asked.isdigit() else 0.0) if passing else None
    return 0.0 if isinstance(error, HTTPClientError | ConnectionError) else None


def _told(error: Exception, doing: str, name: str) -> HubError:
    from botocore.exceptions import ClientError, NoCredentialsError

    if isinstance(error, NoCredentialsError):
        return HubError(f"{doing}: no login for s3://{name}", hint="Run `aws configure`, or set AWS_PROFILE.")
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in ("AccessDenied", "403", "ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"):
            return HubError(
                f"{doing}: s3://{name} does not accept the login ({code})",
                hint="Renew it, or give it the right to do this; then run the same command again.",
            )
        if code == "NoSuchBucket":
            return HubError(f"there is no bucket {name}", hint="Create it, then publish again.")
        if code == "BadDigest":
            return HubError(
                f"{doing}: the bytes are not those that release.json states",
                hint="Run `curate check` on the release; if it passes, run the same command again.",
            )
        return HubError(f"{doing}: s3://{name} answered {code}", hint=_AGAIN)
    return HubError(f"{doing}: the connection to s3://{name} failed ({type(error).__name__})", hint=_AGAIN)
