"""A stand-in for Zenodo, from InvenioRDM's published REST API: drafts, DOIs, files, publication, versions."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.hub.http import Answer, Call, FaultyServer, ProtocolError, Routes, as_json

TOKEN = "zenodo-TestToken"


@dataclass
class Record:
    """A draft or published record; `files` maps names to their bytes, or to nothing before they arrive."""

    id: str
    parent: str
    body: dict[str, Any]
    pids: dict[str, Any] = field(default_factory=dict)
    published: bool = False
    files: dict[str, bytes | None] = field(default_factory=dict)
    completed: set[str] = field(default_factory=set)


class ZenodoServer(FaultyServer):
    """The stand-in; `records` is all that it holds."""

    def __init__(self) -> None:
        super().__init__(ROUTES)
        self.url = self.urls[0]
        self.records: dict[str, Record] = {}
        self.serial = itertools.count(1)

    def add(self, body: dict[str, Any], parent: str = "") -> Record:
        """A new draft."""
        name = f"rec-{next(self.serial)}"
        self.records[name] = Record(name, parent or f"parent-of-{name}", body)
        return self.records[name]


def _shown(server: ZenodoServer, record: Record, status: int = 200) -> Answer:
    html = "records" if record.published else "uploads"
    return as_json(
        {
            **record.body,
            "id": record.id,
            "pids": record.pids,
            "parent": {"id": record.parent},
            "is_published": record.published,
            "links": {"self_html": f"{server.url}/{html}/{record.id}"},
        },
        status,
    )


def _record(server: ZenodoServer, call: Call, *, published: bool = False) -> Record:
    if call.token != TOKEN:
        raise ProtocolError(403, "Permission denied.")
    found = server.records.get(call.args["id"])
    if found is None or found.published != published:
        raise ProtocolError(404, "The persistent identifier does not exist.")
    return found


def create(server: ZenodoServer, call: Call) -> Answer:
    """`POST /api/records`."""
    if call.token != TOKEN:
        raise ProtocolError(403, "Permission denied.")
    return _shown(server, server.add(call.json), 201)


def mine(server: ZenodoServer, call: Call) -> Answer:
    """`GET /api/user/records`."""
    if call.token != TOKEN:
        raise ProtocolError(403, "Permission denied.")
    shown = [_shown(server, record).body for record in reversed(list(server.records.values()))]
    return Answer(b'{"hits": {"hits": [' + b",".join(shown) + b"]}}", 200, {"Content-Type": "application/json"})


def draft(server: ZenodoServer, call: Call) -> Answer:
    """`GET /api/records/{id}/draft`."""
    return _shown(server, _record(server, call))


def update(server: ZenodoServer, call: Call) -> Answer:
    """`PUT /api/records/{id}/draft`: what is not sent is gone, the DOI too."""
    record = _record(server, call)
    record.pids = call.json.get("pids", {})
    record.body = {key: value for key, value in call.json.items() if key != "pids"}
    return _shown(server, record)


def reserve(server: ZenodoServer, call: Call) -> Answer:
    """`POST /api/records/{id}/draft/pids/doi`."""
    record = _record(server, call)
    if "doi" in record.pids:
        raise ProtocolError(400, "A PID already exists for type doi")
    record.pids["doi"] = {"identifier": f"10.5072/zenodo.{record.id}", "provider": "datacite"}
    return _shown(server, record, 201)


def version(server: ZenodoServer, call: Call) -> Answer:
    """`POST /api/records/{id}/versions`: the same draft as long as there is one."""
    before = _record(server, call, published=True)
    drafts = [r for r in server.records.values() if r.parent == before.parent and not r.published]
    made = drafts[0] if drafts else server.add({"metadata": {"title": "copied"}}, before.parent)
    return _shown(server, made, 201)


def _entries(record: Record) -> Answer:
    listed = []
    for name, data in record.files.items():
        entry: dict[str, Any] = {"key": name, "status": "pending"}
        if data is not None and name in record.completed:
            digest = hashlib.md5(data).hexdigest()
            entry |= {"status": "completed", "checksum": f"md5:{digest}", "size": float(len(data))}
        listed.append(entry)
    return as_json({"enabled": True, "entries": listed})


def files(server: ZenodoServer, call: Call) -> Answer:
    """`GET /api/records/{id}/draft/files`."""
    return _entries(_record(server, call))


def published_files(server: ZenodoServer, call: Call) -> Answer:
    """`GET /api/records/{id}/files`."""
    return _entries(_record(server, call, published=True))


def announce(server: ZenodoServer, call: Call) -> Answer:
    """`POST /api/records/{id}/draft/files`."""
    record = _record(server, call)
    for asked in call.json:
        if asked["key"] in record.files:
            raise ProtocolError(400, "File with this key already exists")
        record.files[asked["key"]] = None
    return Answer(_entries(record).body, 201, {"Content-Type": "application/json"})


def content(server: ZenodoServer, call: Call) -> Answer:
    """`PUT /api/records/{id}/draft/files/{name}/content`."""
    record = _record(server, call)
    if call.args["name"] not in record.files or call.args["name"] in record.completed:
        raise ProtocolError(404, "no such pending file")
    record.files[call.args["name"]] = call.body
    return as_json({"key": call.args["name"], "status": "pending"})


def complete(server: ZenodoServer, call: Call) -> Answer:
    """`POST /api/records/{id}/draft/files/{name}/commit`."""
    record = _record(server, call)
    if record.files.get(call.args["name"]) is None or call.args["name"] in record.completed:
        raise ProtocolError(400, "nothing to complete")
    record.completed.add(call.args["name"])
    return as_json({"key": call.args["name"], "status": "completed"})


def drop_file(server: ZenodoServer, call: Call) -> Answer:
    """`DELETE /api/records/{id}/draft/files/{name}`."""
    record = _record(server, call)
    if record.files.pop(call.args["name"], b"missing") == b"missing":
        raise ProtocolError(404, "no such file")
    record.completed.discard(call.args["name"])
    return Answer(b"", 204)


def publish(server: ZenodoServer, call: Call) -> Answer:
    """`POST /api/records/{id}/draft/actions/publish`."""
    record = _record(server, call)
    if set(record.files) != record.completed or not record.files:
        raise ProtocolError(400, "files are missing")
    record.published = True
    return _shown(server, record, 202)


def shown(server: ZenodoServer, call: Call) -> Answer:
    """`GET /api/records/{id}`."""
    return _shown(server, _record(server, call, published=True))


_ID = r"/api/records/(?P<id>[\w-]+)"
_FILE = _ID + r"/draft/files/(?P<name>[^/]+)"
ROUTES: Routes = (
    ("z-create", "POST", r"/api/records", create),
    ("z-mine", "GET", r"/api/user/records", mine),
    ("z-draft", "GET", _ID + r"/draft", draft),
    ("z-update", "PUT", _ID + r"/draft", update),
    ("z-reserve", "POST", _ID + r"/draft/pids/doi", reserve),
    ("z-version", "POST", _ID + r"/versions", version),
    ("z-files", "GET", _ID + r"/draft/files", files),
    ("z-announce", "POST", _ID + r"/draft/files", announce),
    ("z-content", "PUT", _FILE + r"/content", content),
    ("z-complete", "POST", _FILE + r"/commit", complete),
    ("z-drop", "DELETE", _FILE, drop_file),
    ("z-publish", "POST", _ID + r"/draft/actions/publish", publish),
    ("z-record", "GET", _ID, shown),
    ("z-record-files", "GET", _ID + r"/files", published_files),
)
