"""A hub on 127.0.0.1 that the real clients talk to, and that fails on order.

`with HubServer() as hub:` serves the API on `hub.url` and large objects on another origin,
`hub.storage_url`. Point a client at it by `hub.environment()`. State is open to look at:
`hub.repo("org/name").tags`, `.tree("v1.0.0")`, `hub.requests`, `hub.bytes_of("packs/")`.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.hub.endpoints import Answer, Call, route
from tests.hub.faults import Fault, corrupted
from tests.hub.store import ProtocolError, Repo

TOKEN = "hf_TestTokenOfTheHubServer"


@dataclass(frozen=True, slots=True)
class Request:
    """One request that was answered, or broken off: then `status` is 0."""

    endpoint: str
    method: str
    target: str
    status: int
    received: int
    sent: int
    range: str = ""


class HubServer:
    """The hub; everything that a test sets or asks is a plain attribute."""

    def __init__(self, *, token: str = TOKEN, latency: float = 0.0) -> None:
        self.token, self.latency = token, latency
        self.user, self.organizations = "tester", ["org"]
        self.expired = self.read_only = False
        self.verify_uploads = True
        self.multipart_above, self.part_size, self.page_size = 5_000_000, 2_000_000, 1000
        self.repos: dict[str, Repo] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.leaked_logins = 0
        self._lock = threading.RLock()
        self._servers = [_Server(self, storage=False), _Server(self, storage=True)]
        self.url, self.storage_url = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def __enter__(self) -> HubServer:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def repo(self, name: str) -> Repo:
        """The repository `org/name`."""
        return self.repos[name]

    def fail(
        self,
        match: str,
        *,
        nth: int | Collection[int] | None = 1,
        status: int | None = None,
        **how: Any,
    ) -> Fault:
        """Order a fault; see `Fault`. It counts the calls that match from now on."""
        self.faults.append(Fault(match, nth, status, **how))
        return self.faults[-1]

    def heal(self) -> None:
        """No more faults."""
        self.faults.clear()

    def forget(self) -> None:
        """Start counting requests anew."""
        self.requests.clear()

    def calls(self) -> Counter[str]:
        """How many requests each endpoint had."""
        return Counter(request.endpoint for request in self.requests)

    def bytes_of(self, part: str = "", *, method: str = "GET") -> int:
        """Bytes of bodies served (`GET`) or received (`PUT`, `POST`) for targets that contain `part`."""
        found = [request for request in self.requests if request.method == method and part in request.target]
        return sum(request.sent if method == "GET" else request.received for request in found)

    def environment(self, home: Path) -> dict[str, str]:
        """Variables that point a process's `huggingface_hub` and `datasets` here, with caches under `home`."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_TOKEN": self.token,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }

    def struck(self, endpoint: str, line: str) -> Fault | None:
        """The first fault that hits this call."""
        with self._lock:
            hits = [fault for fault in self.faults if fault.strikes(endpoint, line)]
        return hits[0] if hits else None

    def answer(self, endpoint: str, function: Any, call: Call) -> Answer:
        """What the endpoint answers; one call at a time changes the state."""
        try:
            if function is None:
                raise ProtocolError(404, f"no such endpoint: {call.method} {call.target}")
            with self._lock:
                return function(self, call)
        except ProtocolError as error:
            return _refusal(error.status, error.message, error.code)

    def record(self, request: Request) -> None:
        """Remember a request."""
        with self._lock:
            self.requests.append(request)


def _refusal(status: int, message: str, code: str = "", retry_after: float | None = None) -> Answer:
    headers = {"Content-Type": "application/json", "X-Error-Message": message}
    if code:
        headers["X-Error-Code"] = code
    if retry_after is not None:
        headers["Retry-After"] = f"{retry_after:g}"
    return Answer(json.dumps({"error": message}).encode(), status, headers)


class _Server(ThreadingHTTPServer):
    """One origin of the hub."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, hub: HubServer, *, storage: bool) -> None:
        self.hub, self.storage = hub, storage
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no defect of the server."""


class _Broken(Exception):
    """The connection was broken off on order."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16
    server: _Server
    headers: Message

    def do_GET(self) -> None:
        """Answer any method."""
        hub = self.server.hub
        endpoint, function, args = route(self.command, self.path, storage=self.server.storage)
        fault = hub.struck(endpoint, f"{self.command} {self.path}") or Fault("", None)
        time.sleep(hub.latency + fault.delay)
        try:
            body = self._body(fault)
            call = Call(self.command, self.path, args, {k.lower(): v for k, v in self.headers.items()}, body)
            answer = self._decide(fault, endpoint, function, call)
            if fault.lose_answer:
                raise _Broken
            self._send(endpoint, len(body), answer, fault)
        except _Broken:
            hub.record(Request(endpoint, self.command, self.path, 0, 0, 0))
            self._reset()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def _decide(self, fault: Fault, endpoint: str, function: Any, call: Call) -> Answer:
        if fault.before:
            fault.before()
        if fault.status:
            return _refusal(fault.status, fault.message, fault.code, fault.retry_after)
        return self.server.hub.answer(endpoint, function, call)

    def _body(self, fault: Fault) -> bytes:
        """The request's body, plain or chunked; half of it and a reset where that was ordered."""
        if self.headers.get("Transfer-Encoding", "") == "chunked":
            body = self._chunks()
        else:
            length = int(self.headers.get("Content-Length") or 0)
            if fault.reset_midway and length:
                self.rfile.read(length // 2)
                raise _Broken
            body = self.rfile.read(length)
        if fault.corrupt_byte is not None and self.command == "PUT":
            return corrupted(body, fault.corrupt_byte)
        return body

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _send(self, endpoint: str, received: int, answer: Answer, fault: Fault) -> None:
        """Record, then send: what a client has seen is in the records."""
        status, body, extra = _cut(answer, self.headers.get("Range"))
        sent = 0 if self.command == "HEAD" else len(body)
        if not fault.reset_midway:
            range_ = self.headers.get("Range", "")
            self.server.hub.record(Request(endpoint, self.command, self.path, status, received, sent, range_))
        if fault.corrupt_byte is not None and self.command == "GET" and answer.ranged:
            body = corrupted(body, fault.corrupt_byte)
        self.send_response(status)
        for name, value in {**answer.headers, **extra, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault.reset_midway:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            raise _Broken
        self.wfile.write(body)
        self.wfile.flush()

    def _reset(self) -> None:
        """Break the connection with a reset, not a polite end."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()

    def finish(self) -> None:
        """Close the streams, whatever is left of the connection."""
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        """Tests look at `HubServer.requests` instead."""


def _cut(answer: Answer, wanted: str | None) -> tuple[int, bytes, dict[str, str]]:
    """The part of a body that a `Range` header asks for."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", (wanted or "").strip())
    if not (answer.ranged and match and match.group(0) != "bytes=-"):
        return answer.status, answer.body, {}
    first, last, size = match.group(1), match.group(2), len(answer.body)
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= size:
        return 416, b"", {"Content-Range": f"bytes */{size}"}
    return 206, answer.body[start:end], {"Content-Range": f"bytes {start}-{end - 1}/{size}"}
