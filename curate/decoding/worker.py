"""The decoder process: it answers requests on its standard input until that ends, and can do nothing else."""

from __future__ import annotations

import gc
import json
import os
import signal
import struct
import warnings
from typing import Any

from curate.decoding import codecs, confine

_PIECE = 1 << 20


def main() -> None:
    """Import every decoder and use it once, give up all rights that decoding does not need, then serve."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the asker's
    codecs.warm_up()
    gc.freeze()
    held = confine.confine()
    _send(held, b"")
    while True:
        request = json.loads(_read(struct.unpack("<I", _read(4))[0]))
        payload = _read(request["size"])
        confine.allow(request["memory"], request["seconds"])
        try:
            said, data = codecs.do(request, payload)
        except Exception as error:  # decoders raise what they like; no message, which could quote values
            said, data = {"error": type(error).__name__}, b""
        confine.rest()
        _send(said, data)
        del payload, data


def _read(size: int) -> bytes:
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        count = os.readv(0, [view[got : got + _PIECE]])
        if not count:
            os._exit(0)  # who asked is gone
        got += count
    return bytes(data)


def _send(said: dict[str, Any], data: bytes | memoryview) -> None:
    words = json.dumps({**said, "size": len(data)}).encode()
    for part in (struct.pack("<I", len(words)) + words, data):
        rest = memoryview(part)
        while rest:
            rest = rest[os.write(1, rest) :]
