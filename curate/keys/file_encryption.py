"""Encryption at rest of what is not yet safe: AES-256-GCM in chunks that cannot be cut, swapped or dropped.

A file is `MAGIC`, 16 random bytes, then chunks of 1 MiB, each sealed with a nonce of its number and a mark
on the last one (the STREAM construction). Readable to the owner only.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from curate.core import durable
from curate.core.errors import DamagedError

MAGIC = b"curate-vault-1\n"
CHUNK = 1 << 20
_TAG = 16


def _cipher(key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt, b"curate vault").derive(key))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class _Sealer(io.RawIOBase):
    def __init__(self, out: IO[bytes], key: bytes) -> None:
        salt = os.urandom(16)
        self._out, self._cipher, self._held, self._number = out, _cipher(key, salt), bytearray(), 0
        out.write(MAGIC + salt)

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._held += view
        while len(self._held) > CHUNK:
            self._seal(bytes(self._held[:CHUNK]), last=False)
            del self._held[:CHUNK]
        return view.nbytes

    def _seal(self, chunk: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._number, last), chunk, None))
        self._number += 1

    def finish(self) -> None:
        self._seal(bytes(self._held), last=True)


@contextmanager
def sealing(path: Path, key: bytes) -> Iterator[IO[bytes]]:
    """Write an encrypted file, synced; mode 0600. Its store gives it its place.

    Raises:
        StorageError: the disk is full or fails.
    """
    with durable.storage_errors("write to the quarantine"):
        durable.step("write", path)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            sealer = _Sealer(out, key)
            yield sealer  # type: ignore[misc]
            sealer.finish()
            out.flush()
            durable.step("fsync", path)
            os.fsync(out.fileno())


class _Opener(io.RawIOBase):
    def __init__(self, file: IO[bytes], key: bytes) -> None:
        if file.read(len(MAGIC)) != MAGIC:
            raise DamagedError("A quarantined file is not one of curate's.", hint="Run `curate doctor`.")
        self._file, self._cipher = file, _cipher(key, file.read(16))
        self._ahead, self._number, self._plain, self._done = file.read(CHUNK + _TAG), 0, b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        if not self._plain and not self._done:
            self._next()
        taken = self._plain[: view.nbytes]
        view[: len(taken)] = taken
        self._plain = self._plain[len(taken) :]
        return len(taken)

    def _next(self) -> None:
        chunk, self._ahead = self._ahead, self._file.read(CHUNK + _TAG)
        self._done = not self._ahead
        try:
            self._plain = self._cipher.decrypt(_nonce(self._number, self._done), chunk, None)
        except InvalidTag:
            raise DamagedError(
                "A quarantined file is damaged, or the key is another one.", hint="Restore it from a backup."
            ) from None
        self._number += 1


@contextmanager
def opening(file: IO[bytes], key: bytes) -> Iterator[IO[bytes]]:
    """Read an open encrypted file as a stream, and close it.

    Raises:
        DamagedError: cut short, altered, or sealed with another key.
    """
    with file:
        yield io.BufferedReader(_Opener(file, key), CHUNK)
