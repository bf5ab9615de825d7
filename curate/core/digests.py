"""Digests and canonical JSON: the same data gives the same bytes, everywhere."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_STRAY = re.compile("[\ud800-\udfff]")
_PLAIN = {str, int, bool, type(None)}


def canonical_json(value: Any) -> str:
    """JSON by RFC 8785 for what this project stores: strings, integers, booleans, null, lists, objects.

    Raises:
        ValueError: a float, whose canonical form needs ECMAScript's number format; store text instead.
    """
    _refuse_floats(value)
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


def stored_json(value: Any) -> bytes:
    """Canonical JSON that may hold names of files which are not UTF-8, as Python holds them; `json.loads` reads it."""
    return canonical_json(value).encode("utf-8", "surrogatepass")


def shown_json(value: Any, indent: int | None = None) -> str:
    """JSON for people and programs, with letters as they are; stray bytes of names that are not UTF-8 are escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text if text.isascii() else _STRAY.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _refuse_floats(value: Any) -> None:
    """Look at the types of each list's and object's entries together: most have two or three."""
    waiting: list[tuple[Any, ...]] = [(value,)]
    while waiting:
        entries = waiting.pop()
        kinds = set(map(type, entries))
        if kinds <= _PLAIN:
            continue
        if any(issubclass(kind, float) for kind in kinds):
            raise ValueError("canonical JSON holds no floats here")
        if any(issubclass(kind, dict | list | tuple) for kind in kinds):
            for entry in entries:
                if isinstance(entry, dict):
                    waiting += (tuple(entry), tuple(entry.values()))
                elif isinstance(entry, list | tuple):
                    waiting.append(tuple(entry))


def parse_json(data: bytes | str) -> Any:
    """JSON that somebody else wrote.

    Raises:
        ValueError: it is none, or is nested so deeply that no reader takes it.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def sha256_json(value: Any) -> str:
    """SHA-256, in hex, of a value's canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, in hex, read in pieces."""
    with path.open("rb") as file:
        return sha256_stream(file)


def sha256_stream(file: Any) -> str:
    """SHA-256 of what remains of an open file, in hex, read in pieces."""
    return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_set(digests: Iterable[bytes]) -> bytes:
    """One SHA-256 over a set of digests, whatever their order: the digest of a study's instances."""
    return hashlib.sha256(b"".join(sorted(digests))).digest()
