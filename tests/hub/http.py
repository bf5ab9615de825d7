"""A server on 127.0.0.1 that answers by a table of routes, counts what passes, and fails on order."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote

from tests.hub.faults import Fault, corrupted


class ProtocolError(Exception):
    """What the server refuses: status, the client's error code, and a message."""

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


@dataclass(frozen=True, slots=True)
class Call:
    """A request as an endpoint sees it; `args` are the groups of its route, unquoted."""

    method: str
    target: str
    args: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    @property
    def query(self) -> dict[str, str]:
        """The last value of each parameter."""
        return {key: values[-1] for key, values in parse_qs(self.target.partition("?")[2]).items()}

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body or b"{}")

    @property
    def token(self) -> str:
        """The bearer token, or nothing."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; `body` is cut to the range asked for when it is sent."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    ranged: bool = False


Endpoint = Callable[[Any, Call], Answer]
Routes = tuple[tuple[str, str, str, Endpoint], ...]
"""Name, methods, pattern of the path, and the function that answers."""


def as_json(value: object, status: int = 200, **headers: str) -> Answer:
    """An answer of JSON."""
    named = {key.replace("_", "-"): text for key, text in headers.items()}
    return Answer(json.dumps(value).encode(), status, {"Content-Type": "application/json", **named})


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


class FaultyServer:
    """One or several origins, each with its table of routes; all that a test sets or asks is an attribute."""

    def __init__(self, *origins: Routes, latency: float = 0.0) -> None:
        self.latency = latency
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self._lock = threading.RLock()
        self._servers = [_Server(self, routes) for routes in origins]
        self.urls = [f"http://127.0.0.1:{server.server_port}" for server in self._servers]

    def __enter__(self) -> Self:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

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
            return self.refusal(error.status, error.message, error.code)

    def refusal(self, status: int, message: str, code: str = "", retry_after: float | None = None) -> Answer:
        """How this server says no."""
        headers = {"Content-Type": "application/json", "X-Error-Message": message}
        if code:
            headers["X-Error-Code"] = code
        if retry_after is not None:
            headers["Retry-After"] = f"{retry_after:g}"
        return Answer(json.dumps({"error": message}).encode(), status, headers)

    def record(self, request: Request) -> None:
        """Remember a request."""
        with self._lock:
            self.requests.append(request)


class _Server(ThreadingHTTPServer):
    """One origin of the hub."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, hub: FaultyServer, routes: Routes) -> None:
        self.hub, self.routes = hub, routes
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no defect of the server."""


class _Broken(Exception):  # noqa: N818  (no error: it was ordered)
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
        endpoint, function, args = _route(self.command, self.path, self.server.routes)
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

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815  (the base class's names)

    def handle_expect_100(self) -> bool:
        """Say at once that the body may come; the stream is buffered."""
        found = super().handle_expect_100()
        self.wfile.flush()
        return found

    def _decide(self, fault: Fault, endpoint: str, function: Any, call: Call) -> Answer:
        if fault.before:
            fault.before()
        if fault.status:
            return self.server.hub.refusal(fault.status, fault.message, fault.code, fault.retry_after)
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


def _route(method: str, target: str, routes: Routes) -> tuple[str, Endpoint | None, dict[str, str]]:
    """The endpoint's name, its function, and the groups of its path; a pattern with `?` sees the query too."""
    for name, methods, pattern, function in routes:
        seen = target if r"\?" in pattern else target.partition("?")[0]
        if method in methods.split("|") and (match := re.fullmatch(pattern, seen)):
            return name, function, {key: unquote(text) for key, text in match.groupdict().items() if text}
    return "unknown", None, {}
