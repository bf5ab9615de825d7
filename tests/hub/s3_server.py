"""A stand-in for S3, as far as botocore is used here: objects with versions, checksums, listing, erasing."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from tests.hub.http import Answer, Call, FaultyServer, ProtocolError, Routes

KEY = "TESTACCESSKEY"


@dataclass(frozen=True, slots=True)
class Version:
    """A version of an object; no data is a mark of deletion."""

    id: str
    data: bytes | None


class S3Server(FaultyServer):
    """One bucket with versioning; `objects` holds every version, the newest last."""

    def __init__(self, bucket: str = "scans") -> None:
        super().__init__(ROUTES)
        self.url, self.bucket = self.urls[0], bucket
        self.objects: dict[str, list[Version]] = {}
        self.locked = self.closed = self.expired = False
        self.page_size = 1000
        self.serial = itertools.count(1)

    def environment(self, home: Path) -> dict[str, str]:
        """Variables that point botocore here."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": str(home / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "none"),
            "NO_PROXY": "127.0.0.1",
        }

    def tree(self, folder: str) -> dict[str, str]:
        """SHA-256 of what readers find below a folder, by path."""
        newest = {key: found[-1].data for key, found in self.objects.items() if found}
        return {
            key.removeprefix(folder): hashlib.sha256(data).hexdigest()
            for key, data in sorted(newest.items())
            if key.startswith(folder) and data is not None
        }

    def kept(self) -> set[str]:
        """SHA-256 of every version that the bucket still stores."""
        versions = [version.data for found in self.objects.values() for version in found]
        return {hashlib.sha256(data).hexdigest() for data in versions if data is not None}

    def store(self, key: str, data: bytes | None) -> Version:
        """A new version of an object."""
        self.objects.setdefault(key, []).append(Version(f"v{next(self.serial)}", data))
        return self.objects[key][-1]

    def refusal(self, status: int, message: str, code: str = "", retry_after: float | None = None) -> Answer:
        """S3 says no in XML."""
        headers = {"Content-Type": "application/xml"}
        if retry_after is not None:
            headers["Retry-After"] = f"{retry_after:g}"
        body = f"<Error><Code>{code or message}</Code><Message>{escape(message)}</Message></Error>"
        return Answer(body.encode(), status, headers)


def _checked(server: S3Server, call: Call) -> None:
    if server.expired or KEY not in call.headers.get("authorization", ""):
        raise ProtocolError(403, "The provided token has expired.", "ExpiredToken")
    if call.args.get("bucket", server.bucket) != server.bucket:
        raise ProtocolError(404, "no such bucket", "NoSuchBucket")


def _xml(name: str, inner: str) -> Answer:
    text = f'<?xml version="1.0"?><{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inner}</{name}>'
    return Answer(text.encode(), 200, {"Content-Type": "application/xml"})


def _sum(data: bytes) -> str:
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _newest(server: S3Server, key: str) -> bytes:
    found = server.objects.get(key) or [Version("", None)]
    if found[-1].data is None:
        raise ProtocolError(404, "The specified key does not exist.", "NoSuchKey")
    return found[-1].data


def put(server: S3Server, call: Call) -> Answer:
    """`PUT /bucket/key`: refused where the checksum or the condition does not hold; or a copy inside."""
    _checked(server, call)
    key = call.args["key"]
    if source := call.headers.get("x-amz-copy-source"):
        data = _newest(server, source.lstrip("/").partition("/")[2])
        server.store(key, data)
        return _xml("CopyObjectResult", f"<ETag>{_etag(data)}</ETag>")
    _refuse_condition(server, key, call)
    if call.headers.get("x-amz-checksum-sha256") != _sum(call.body):
        raise ProtocolError(400, "The SHA256 you specified did not match.", "BadDigest")
    server.store(key, call.body)
    return Answer(b"", 200, {"ETag": _etag(call.body), "x-amz-checksum-sha256": _sum(call.body)})


def _refuse_condition(server: S3Server, key: str, call: Call) -> None:
    found = server.objects.get(key) or [Version("", None)]
    now = _etag(found[-1].data) if found[-1].data is not None else ""
    wanted, never = call.headers.get("if-match"), call.headers.get("if-none-match")
    if (wanted and wanted != now) or (never == "*" and now):
        raise ProtocolError(412, "At least one condition does not hold.", "PreconditionFailed")


def get(server: S3Server, call: Call) -> Answer:
    """`GET|HEAD /bucket/key`."""
    _checked(server, call)
    data = _newest(server, call.args["key"])
    headers = {"ETag": _etag(data), "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    if call.headers.get("x-amz-checksum-mode") == "ENABLED" and "range" not in call.headers:
        headers["x-amz-checksum-sha256"] = _sum(data)
    return Answer(data, 200, headers, ranged=True)


def listing(server: S3Server, call: Call) -> Answer:
    """`GET /bucket?list-type=2`, paged."""
    _checked(server, call)
    prefix, after = call.query.get("prefix", ""), call.query.get("continuation-token", "")
    keys = [
        key
        for key, found in sorted(server.objects.items())
        if found and found[-1].data is not None and key.startswith(prefix) and key > after
    ]
    page, more = keys[: server.page_size], len(keys) > server.page_size
    inner = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(server.objects[key][-1].data or b'')}</Size></Contents>"
        for key in page
    )
    token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
    return _xml("ListBucketResult", f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{inner}")


def versions(server: S3Server, call: Call) -> Answer:
    """`GET /bucket?versions`."""
    _checked(server, call)
    inner = ""
    for key, found in sorted(server.objects.items()):
        for version in found if key.startswith(call.query.get("prefix", "")) else ():
            kind = "DeleteMarker" if version.data is None else "Version"
            size = "" if version.data is None else f"<Size>{len(version.data)}</Size>"
            latest = str(version is found[-1]).lower()
            inner += (
                f"<{kind}><Key>{escape(key)}</Key><VersionId>{version.id}</VersionId>"
                f"<IsLatest>{latest}</IsLatest>{size}</{kind}>"
            )
    return _xml("ListVersionsResult", f"<IsTruncated>false</IsTruncated>{inner}")


def delete_many(server: S3Server, call: Call) -> Answer:
    """`POST /bucket?delete`: the named versions, for good."""
    _checked(server, call)
    for asked in re.findall(r"<Object>(.*?)</Object>", call.body.decode(), re.S):
        key = re.search(r"<Key>(.*?)</Key>", asked)
        version = re.search(r"<VersionId>(.*?)</VersionId>", asked)
        assert key
        assert version
        left = [item for item in server.objects.get(key.group(1), []) if item.id != version.group(1)]
        server.objects[key.group(1)] = left
    return _xml("DeleteResult", "")


def lock(server: S3Server, call: Call) -> Answer:
    """`GET /bucket?object-lock`."""
    _checked(server, call)
    if not server.locked:
        raise ProtocolError(404, "no lock", "ObjectLockConfigurationNotFoundError")
    return _xml("ObjectLockConfiguration", "<ObjectLockEnabled>Enabled</ObjectLockEnabled>")


def close(server: S3Server, call: Call) -> Answer:
    """`GET|PUT|DELETE /bucket?publicAccessBlock`."""
    _checked(server, call)
    if call.method == "GET":
        if not server.closed:
            raise ProtocolError(404, "no block", "NoSuchPublicAccessBlockConfiguration")
        names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
        return _xml("PublicAccessBlockConfiguration", "".join(f"<{name}>TRUE</{name}>" for name in names))
    server.closed = call.method == "PUT"
    return Answer(b"", 200 if server.closed else 204)


_BUCKET = r"/(?P<bucket>[\w.-]+)/?\?"
ROUTES: Routes = (
    ("s3-list", "GET", _BUCKET + r"list-type=2.*", listing),
    ("s3-versions", "GET", _BUCKET + r"versions.*", versions),
    ("s3-lock", "GET", _BUCKET + r"object-lock.*", lock),
    ("s3-close", "GET|PUT|DELETE", _BUCKET + r"publicAccessBlock.*", close),
    ("s3-delete", "POST", _BUCKET + r"delete.*", delete_many),
    ("s3-put", "PUT", r"/(?P<bucket>[\w.-]+)/(?P<key>.+)", put),
    ("s3-head", "HEAD", r"/(?P<bucket>[\w.-]+)/(?P<key>.+)", get),
    ("s3-get", "GET", r"/(?P<bucket>[\w.-]+)/(?P<key>.+)", get),
)
