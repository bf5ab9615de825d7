"""Append-only lists of small records, encrypted, for their owner only: receipts, mappings, anchors of dates.

The first line is `curate-log-1 SALT CHECK`; each further line is one record, canonical JSON sealed by AES-256-GCM
with a random nonce and the line's number beside it, so that lines cannot be altered, swapped or dropped from the
middle. What a kill left unfinished at the end is cut off by the next one who appends.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from curate.core import clock, durable
from curate.core.digests import stored_json
from curate.core.errors import DamagedError, InputError

_MAGIC = "curate-log-1"
Record = dict[str, Any]


def read(path: Path, key: bytes) -> Iterator[Record]:
    """The records in the order in which they were written; an unfinished last one is left out.

    Raises:
        InputError: no such file, or the key is another one.
        DamagedError: altered, or not one of these files.
    """
    try:
        file = path.open("rb")
    except OSError:
        raise InputError(f"{path} cannot be read.", hint="Check the path and its permissions.") from None
    with file:
        cipher = _cipher(path, key, file.readline())
        for _, record in _records(path, cipher, file):
            yield record


class Log:
    """An open list; `append` returns when its records are on the disk."""

    def __init__(self, path: Path, file: IO[bytes], cipher: AESGCM, count: int) -> None:
        self._path, self._file, self._cipher, self._count = path, file, cipher, count

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add records and sync them.

        Raises:
            StorageError: the disk is full or fails.
        """
        lines = [_sealed(self._cipher, number, record) for number, record in enumerate(records, self._count)]
        if not lines:
            return
        with durable.storage_errors(f"write {self._path.name}"):
            durable.step("write", self._path)
            self._file.write(b"".join(lines))
            self._file.flush()
            durable.step("fsync", self._path)
            os.fsync(self._file.fileno())
        self._count += len(lines)


@contextmanager
def appending(path: Path, key: bytes) -> Iterator[Log]:
    """Open a list to add to it; a new one is made, readable to its owner only.

    Raises:
        InputError, DamagedError: as `read`.
        StorageError: it cannot be written.
    """
    with durable.storage_errors(f"write {path.name}"):
        if not path.exists():
            _create(path, key)
        with path.open("r+b", buffering=0) as file:
            end, count = _whole(path, key)
            file.truncate(end)
            file.seek(end)
            yield Log(path, file, _cipher(path, key, _first(path)), count)


def _create(path: Path, key: bytes) -> None:
    salt = clock.random_bytes(16)
    header = f"{_MAGIC} {salt.hex()} {_check(_derived(key, salt)).hex()}\n"
    with durable.writing(path, path.with_name(f".{path.name}.tmp"), 0o600) as file:
        file.write(header.encode())


def _first(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()


def _whole(path: Path, key: bytes) -> tuple[int, int]:
    """Where the last whole record ends, and how many there are."""
    with path.open("rb") as file:
        header = file.readline()
        end, count = len(header), 0
        for size, _ in _records(path, _cipher(path, key, header), file):
            end, count = end + size, count + 1
    return end, count


def _records(path: Path, cipher: AESGCM, file: IO[bytes]) -> Iterator[tuple[int, Record]]:
    """Each record with the size of its line; damage is an error unless nothing whole follows it."""
    torn = False
    for number, line in enumerate(file):
        record = _opened(cipher, number, line)
        if record is None:
            torn = True
        elif torn:
            raise DamagedError(f"{path} is damaged.", hint="Restore it from your backup.")
        else:
            yield len(line), record


def _sealed(cipher: AESGCM, number: int, record: Mapping[str, Any]) -> bytes:
    nonce = os.urandom(12)
    closed = cipher.encrypt(nonce, stored_json(dict(record)), number.to_bytes(8, "big"))
    return base64.b64encode(nonce + closed) + b"\n"


def _opened(cipher: AESGCM, number: int, line: bytes) -> Record | None:
    if not line.endswith(b"\n"):
        return None
    try:
        raw = base64.b64decode(line[:-1], validate=True)
        opened: Record = json.loads(cipher.decrypt(raw[:12], raw[12:], number.to_bytes(8, "big")))
    except (InvalidTag, ValueError, binascii.Error):  # cut, altered or under another key: the caller counts it
        return None
    return opened


def _derived(key: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), 32, salt, b"curate sealed log").derive(key)


def _check(derived: bytes) -> bytes:
    return hmac.digest(derived, b"check", "sha256")[:8]


def _cipher(path: Path, key: bytes, header: bytes) -> AESGCM:
    try:
        magic, salt, check = header.decode("ascii").split()
        derived = _derived(key, bytes.fromhex(salt))
        known = magic == _MAGIC
    except ValueError:
        known, derived, check = False, b"", ""
    if not known:
        raise DamagedError(f"{path} is not one of curate's sealed files.", hint="Check the path.")
    if _check(derived).hex() != check:
        raise InputError(f"{path} was sealed with another key.", hint="Give the key beside which it was made.")
    return AESGCM(derived)
