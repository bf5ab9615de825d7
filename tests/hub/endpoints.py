"""What the hub of the tests answers, one function an endpoint; no sockets here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from tests.hub.http import Answer, Call, ProtocolError, Routes, as_json
from tests.hub.store import MAIN, Entry, Repo, pointer

if TYPE_CHECKING:
    from tests.hub.server import HubServer


def _writer(hub: HubServer, call: Call) -> None:
    if hub.expired or (hub.token and call.token != hub.token):
        raise ProtocolError(401, "Invalid credentials in Authorization header" if call.token else "Unauthorized")
    if hub.read_only:
        raise ProtocolError(403, "Forbidden: you must use a write token")


def _repo(hub: HubServer, call: Call, *, write: bool = False, content: bool = False) -> Repo:
    """The repository of a call, where the caller may see it.

    Raises:
        ProtocolError: it is not there, private, gated, or the caller may not write.
    """
    if write or (call.token and hub.expired):
        _writer(hub, call)
    repo = hub.repos.get(call.args["repo"])
    owner = not hub.token or call.token == hub.token
    if repo is None or (repo.private and not owner):
        raise ProtocolError(404 if call.token else 401, "Repository not found", "RepoNotFound")
    if content and repo.gated and not owner and call.token not in repo.granted:
        raise ProtocolError(403 if call.token else 401, "Access to this dataset is restricted.", "GatedRepo")
    return repo


def create(hub: HubServer, call: Call) -> Answer:
    """`POST /api/repos/create`."""
    _writer(hub, call)
    asked = call.json
    name = f"{asked.get('organization') or hub.user}/{asked['name']}"
    url = f"{hub.url}/datasets/{name}"
    if name in hub.repos:
        return as_json({"url": url, "error": "You already created this dataset repo"}, 409)
    if asked.get("organization") not in (None, hub.user, *hub.organizations):
        raise ProtocolError(403, f"You don't have the rights to create a dataset under {asked['organization']}")
    private = asked.get("visibility") == "private" or bool(asked.get("private"))
    hub.repos[name] = Repo(name, private=private)
    return as_json({"url": url, "name": name})


def delete_repo(hub: HubServer, call: Call) -> Answer:
    """`DELETE /api/repos/delete`."""
    _writer(hub, call)
    hub.repos.pop(f"{call.json.get('organization') or hub.user}/{call.json['name']}", None)
    return as_json({})


def whoami(hub: HubServer, call: Call) -> Answer:
    """`GET /api/whoami-v2`."""
    _writer(hub, call)
    return as_json({"type": "user", "name": hub.user, "orgs": [{"name": name} for name in hub.organizations]})


def validate_yaml(hub: HubServer, call: Call) -> Answer:
    """`POST /api/validate-yaml`: an error where the card's head is not a YAML mapping."""
    import yaml

    text = call.json["content"]
    head = text.split("---\n")[1] if text.startswith("---\n") else "{}"
    try:
        errors = [] if isinstance(yaml.safe_load(head), dict) else [{"message": "metadata is no mapping"}]
    except yaml.YAMLError:
        errors = [{"message": "metadata is not YAML"}]
    return as_json({"errors": errors, "warnings": []}, 400 if errors else 200)


def preupload(hub: HubServer, call: Call) -> Answer:
    """`POST R/preupload/{rev}`."""
    repo = _repo(hub, call, write=True)
    tree = repo.commit(call.args["rev"]).tree
    files = []
    for asked in call.json["files"]:
        mode = repo.upload_mode(asked["path"], asked["size"])
        info = {"path": asked["path"], "uploadMode": mode, "shouldIgnore": False}
        if held := tree.get(asked["path"]):
            info["oid"] = held.sha256 or held.oid
        files.append(info)
    return as_json({"files": files})


def lfs_batch(hub: HubServer, call: Call) -> Answer:
    """`POST {id}.git/info/lfs/objects/batch`: where to send each object; none for one that is stored."""
    repo = _repo(hub, call, write=True)
    objects = [_upload_action(hub, repo, asked["oid"], asked["size"]) for asked in call.json["objects"]]
    return as_json({"transfer": "basic", "objects": objects})


def _upload_action(hub: HubServer, repo: Repo, oid: str, size: int) -> dict[str, Any]:
    if oid in repo.lfs:
        return {"oid": oid, "size": size}
    verify = {"href": f"{hub.url}/datasets/{repo.id}.git/info/lfs/objects/verify"}
    place = f"{hub.storage_url}/upload/{repo.id}/{oid}"
    if size <= hub.multipart_above:
        return {"oid": oid, "size": size, "actions": {"upload": {"href": place}, "verify": verify}}
    count = -(-size // hub.part_size)
    parts = {str(number): f"{place}/{number}?signature=s" for number in range(1, count + 1)}
    complete = f"{hub.url}/datasets/{repo.id}.git/info/lfs/complete/{oid}"
    upload = {"href": complete, "header": {"chunk_size": str(hub.part_size), **parts}}
    return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}}


def _store(hub: HubServer, repo: Repo, oid: str, data: bytes) -> None:
    if hub.verify_uploads and hashlib.sha256(data).hexdigest() != oid:
        raise ProtocolError(400, "BadDigest: the content does not have the digest that was announced")
    repo.lfs[oid] = data


def lfs_put(hub: HubServer, call: Call) -> Answer:
    """`PUT` of a whole object to the storage."""
    _store(hub, hub.repos[call.args["repo"]], call.args["oid"], call.body)
    return Answer(headers={"ETag": f'"{hashlib.md5(call.body).hexdigest()}"'})


def lfs_part(hub: HubServer, call: Call) -> Answer:
    """`PUT` of one part of an object to the storage."""
    hub.parts[(call.args["oid"], int(call.args["part"]))] = call.body
    return Answer(headers={"ETag": f'"{hashlib.md5(call.body).hexdigest()}"'})


def lfs_complete(hub: HubServer, call: Call) -> Answer:
    """`POST` that joins the parts; the client sends no login with it."""
    oid = call.args["oid"]
    numbers = sorted(part["partNumber"] for part in call.json["parts"])
    _store(hub, hub.repos[call.args["repo"]], oid, b"".join(hub.parts[(oid, number)] for number in numbers))
    return as_json({})


def lfs_verify(hub: HubServer, call: Call) -> Answer:
    """`POST .../objects/verify`."""
    repo = _repo(hub, call, write=True)
    if len(repo.lfs.get(call.json["oid"], b"")) != call.json["size"]:
        raise ProtocolError(404, "the object is not stored")
    return as_json({})


def commit(hub: HubServer, call: Call) -> Answer:
    """`POST R/commit/{rev}`."""
    repo = _repo(hub, call, write=True)
    if "create_pr" in call.query:
        raise ProtocolError(400, "pull requests are opened by the test itself")
    made = repo.apply(call.args["rev"], call.body.splitlines(), trusting=hub.xet is not None)
    url = f"{hub.url}/datasets/{repo.id}/commit/{made.oid}"
    return as_json({"commitUrl": url, "commitOid": made.oid, "pullRequestUrl": None})


def create_tag(hub: HubServer, call: Call) -> Answer:
    """`POST R/tag/{rev}`."""
    repo = _repo(hub, call, write=True)
    return _new_ref(repo, f"refs/tags/{call.json['tag']}", repo.resolve(call.args["rev"]))


def create_branch(hub: HubServer, call: Call) -> Answer:
    """`POST R/branch/{name}`."""
    repo = _repo(hub, call, write=True)
    start = call.json.get("startingPoint", "main")
    return _new_ref(repo, f"refs/heads/{call.args['name']}", repo.resolve(start))


def _new_ref(repo: Repo, ref: str, oid: str) -> Answer:
    if ref in repo.refs:
        raise ProtocolError(409, "Reference already exists")
    repo.refs[ref] = oid
    return as_json({})


def delete_tag(hub: HubServer, call: Call) -> Answer:
    """`DELETE R/tag/{tag}`."""
    return _drop_ref(_repo(hub, call, write=True), f"refs/tags/{call.args['rev']}")


def delete_branch(hub: HubServer, call: Call) -> Answer:
    """`DELETE R/branch/{name}`."""
    return _drop_ref(_repo(hub, call, write=True), f"refs/heads/{call.args['name']}")


def _drop_ref(repo: Repo, ref: str) -> Answer:
    if ref not in repo.refs or ref == MAIN:
        raise ProtocolError(404, "Reference not found", "RevisionNotFound")
    del repo.refs[ref]
    return as_json({})


def refs(hub: HubServer, call: Call) -> Answer:
    """`GET R/refs`."""
    repo = _repo(hub, call)
    kinds = {"branches": "refs/heads/", "tags": "refs/tags/", "converts": "refs/convert/"}
    if "include_prs" in call.query:
        kinds["pullRequests"] = "refs/pr/"
    found = {
        kind: [
            {
                "name": name.removeprefix(prefix) if kind != "pullRequests" else name,
                "ref": name,
                "targetCommit": oid,
            }
            for name, oid in sorted(repo.refs.items())
            if name.startswith(prefix)
        ]
        for kind, prefix in kinds.items()
    }
    return as_json(found)


def commits(hub: HubServer, call: Call) -> Answer:
    """`GET R/commits/{rev}`, paged."""
    repo = _repo(hub, call)
    listed = [
        {
            "id": made.oid,
            "title": made.title,
            "message": made.message,
            "authors": [{"user": hub.user}],
            "date": made.date.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        }
        for made in repo.history(call.args["rev"])
    ]
    return _page(hub, call, listed)


def _page(hub: HubServer, call: Call, items: list[Any]) -> Answer:
    """A page of a list, with a link to the next."""
    start = int(call.query.get("cursor", "0"))
    end = start + hub.page_size
    if end >= len(items):
        return as_json(items[start:end])
    path, _, query = call.target.partition("?")
    kept = "&".join(part for part in query.split("&") if part and not part.startswith("cursor="))
    return as_json(items[start:end], Link=f'<{hub.url}{path}?{kept}&cursor={end}>; rel="next"')


def info(hub: HubServer, call: Call) -> Answer:
    """`GET R` and `GET R/revision/{rev}`."""
    repo = _repo(hub, call)
    made = repo.commit(call.args.get("rev") or "main")
    when = made.date.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return as_json(
        {
            "id": repo.id,
            "author": repo.id.split("/")[0],
            "sha": made.oid,
            "private": repo.private,
            "gated": repo.gated,
            "disabled": False,
            "lastModified": when,
            "createdAt": when,
            "downloads": repo.downloads,
            "likes": repo.likes,
            "tags": [],
            "siblings": [{"rfilename": path} for path in sorted(made.tree)],
        }
    )


def settings(hub: HubServer, call: Call) -> Answer:
    """`PUT R/settings`."""
    repo, asked = _repo(hub, call, write=True), call.json
    if "gated" in asked:
        repo.gated = asked["gated"]
    if "visibility" in asked:
        repo.private = asked["visibility"] == "private"
    return as_json({"private": repo.private, "gated": repo.gated})


def super_squash(hub: HubServer, call: Call) -> Answer:
    """`POST R/super-squash/{branch}`."""
    _repo(hub, call, write=True).squash(call.args["rev"], call.json["message"])
    return as_json({})


def lfs_files(hub: HubServer, call: Call) -> Answer:
    """`GET R/lfs-files`: every stored large object, pointed at or not."""
    repo = _repo(hub, call, write=True)
    listed = [
        {
            "fileOid": sha256,
            "filename": repo.lfs_names.get(sha256, ""),
            "oid": Entry(pointer(sha256, len(data)).hex()[:40], 0).oid,
            "pushedAt": "2024-01-01T00:00:00.000Z",
            "size": len(data),
        }
        for sha256, data in sorted(repo.lfs.items())
    ]
    return _page(hub, call, listed)


def lfs_delete(hub: HubServer, call: Call) -> Answer:
    """`POST R/lfs-files/batch`."""
    asked = call.json["deletions"]
    _repo(hub, call, write=True).erase(asked["sha"], rewrite=asked["rewriteHistory"])
    return as_json({})


def _described(path: str, entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "file", "oid": entry.oid, "size": entry.size, "path": path}
    if entry.sha256:
        length = len(pointer(entry.sha256, entry.size))
        found["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": length}
    return found


def _folders(tree: Mapping[str, Entry]) -> set[str]:
    return {path[: match.start()] for path in tree for match in re.finditer("/", path)}


def _folder(path: str) -> dict[str, Any]:
    return {"type": "directory", "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0, "path": path}


def tree(hub: HubServer, call: Call) -> Answer:
    """`GET R/tree/{rev}[/{path}]`, paged."""
    repo = _repo(hub, call)
    held = repo.commit(call.args["rev"]).tree
    folder = call.args.get("path") or ""
    prefix = f"{folder}/" if folder else ""
    listed = [_described(path, entry) for path, entry in held.items()] + [_folder(path) for path in _folders(held)]
    deep = call.query.get("recursive", "").lower() == "true"
    found = [
        item
        for item in sorted(listed, key=lambda item: str(item["path"]))
        if item["path"].startswith(prefix) and (deep or "/" not in item["path"][len(prefix) :])
    ]
    if folder and not found:
        raise ProtocolError(404, f"{folder} does not exist", "EntryNotFound")
    return _page(hub, call, found)


def paths_info(hub: HubServer, call: Call) -> Answer:
    """`POST R/paths-info/{rev}`."""
    repo = _repo(hub, call)
    if "json" in call.headers.get("content-type", ""):
        asked = call.json["paths"]
    else:
        asked = parse_qs(call.body.decode()).get("paths", [])
    held = repo.commit(call.args["rev"]).tree
    folders = _folders(held)
    files = [_described(path, held[path]) for path in asked if path in held]
    return as_json(files + [_folder(path) for path in asked if path in folders])


def resolve(hub: HubServer, call: Call) -> Answer:
    """`HEAD|GET /datasets/{id}/resolve/{rev}/{path}`: the bytes, or for a large object where they are."""
    repo = _repo(hub, call, content=True)
    made = repo.commit(call.args["rev"])
    headers = {"X-Repo-Commit": made.oid, "Accept-Ranges": "bytes"}
    entry = made.tree.get(call.args["path"])
    if entry is None:
        missing = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", **headers}
        return Answer(b"Entry not found", 404, missing)
    if entry.sha256 is None:
        return Answer(repo.blobs[entry.oid], 200, {"ETag": f'"{entry.oid}"', **headers}, ranged=True)
    place = f"{hub.storage_url}/object/{repo.id}/{entry.sha256}?file={quote(call.args['path'])}&signature=s"
    linked = {
        "X-Linked-Size": str(entry.size),
        "X-Linked-Etag": f'"{entry.sha256}"',
        "ETag": f'"{entry.sha256}"',
    }
    return Answer(b"", 302, {"Location": place, **linked, **headers})


def stored(hub: HubServer, call: Call) -> Answer:
    """`GET` of a large object from the storage, which asks for no login."""
    if "authorization" in call.headers:
        hub.leaked_logins += 1
    repo = hub.repos.get(call.args["repo"])
    data = repo.lfs.get(call.args["oid"]) if repo else None
    if data is None:
        raise ProtocolError(404, "NoSuchKey")
    return Answer(data, 200, {"ETag": f'"{call.args["oid"]}"', "Accept-Ranges": "bytes"}, ranged=True)


def xet_token(hub: HubServer, call: Call) -> Answer:
    """`GET R/xet-{read,write}-token/{rev}`: where the Xet client stores chunks; a folder of this machine."""
    _repo(hub, call, write=True)
    if hub.xet is None:
        raise ProtocolError(404, "this repository is not on Xet")
    found = {"casUrl": f"local://{hub.xet}", "accessToken": "xet", "exp": 4_000_000_000}
    headers = {
        "X-Xet-Cas-Url": found["casUrl"],
        "X-Xet-Access-Token": "xet",
        "X-Xet-Token-Expiration": "4000000000",
    }
    return Answer(json.dumps(found).encode(), 200, {"Content-Type": "application/json", **headers})


_R = r"/api/datasets/(?P<repo>[^/]+/[^/]+)"
_GIT = r"/datasets/(?P<repo>[^/]+/[^/]+?)\.git/info/lfs"
ROUTES: Routes = (
    ("create", "POST", r"/api/repos/create", create),
    ("delete-repo", "DELETE", r"/api/repos/delete", delete_repo),
    ("whoami", "GET", r"/api/whoami-v2", whoami),
    ("validate-yaml", "POST", r"/api/validate-yaml", validate_yaml),
    ("preupload", "POST", _R + r"/preupload/(?P<rev>[^/]+)", preupload),
    ("lfs-batch", "POST", _GIT + r"/objects/batch", lfs_batch),
    ("lfs-verify", "POST", _GIT + r"/objects/verify", lfs_verify),
    ("lfs-complete", "POST", _GIT + r"/complete/(?P<oid>\w+)", lfs_complete),
    ("commit", "POST", _R + r"/commit/(?P<rev>[^/]+)", commit),
    ("tag", "POST", _R + r"/tag/(?P<rev>[^/]+)", create_tag),
    ("delete-tag", "DELETE", _R + r"/tag/(?P<rev>[^/]+)", delete_tag),
    ("branch", "POST", _R + r"/branch/(?P<name>[^/]+)", create_branch),
    ("delete-branch", "DELETE", _R + r"/branch/(?P<name>[^/]+)", delete_branch),
    ("refs", "GET", _R + r"/refs", refs),
    ("commits", "GET", _R + r"/commits/(?P<rev>[^/]+)", commits),
    ("settings", "PUT", _R + r"/settings", settings),
    ("super-squash", "POST", _R + r"/super-squash/(?P<rev>[^/]+)", super_squash),
    ("lfs-files", "GET", _R + r"/lfs-files", lfs_files),
    ("lfs-delete", "POST", _R + r"/lfs-files/batch", lfs_delete),
    ("tree", "GET", _R + r"/tree/(?P<rev>[^/]+)(?:/(?P<path>.+))?", tree),
    ("paths-info", "POST", _R + r"/paths-info/(?P<rev>[^/]+)", paths_info),
    ("xet-token", "GET", _R + r"/xet-(?:read|write)-token/(?P<rev>[^/]+)", xet_token),
    ("info", "GET", _R + r"(?:/revision/(?P<rev>[^/]+))?", info),
    ("resolve", "GET|HEAD", r"/datasets/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)", resolve),
)
STORAGE_ROUTES: Routes = (
    ("lfs-put", "PUT", r"/upload/(?P<repo>[^/]+/[^/]+)/(?P<oid>\w+)", lfs_put),
    ("lfs-part", "PUT", r"/upload/(?P<repo>[^/]+/[^/]+)/(?P<oid>\w+)/(?P<part>\d+)", lfs_part),
    ("storage", "GET|HEAD", r"/object/(?P<repo>[^/]+/[^/]+)/(?P<oid>\w+)", stored),
)
