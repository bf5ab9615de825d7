"""The secret that all keyed ids rest on: 32 random bytes in a file of the owner's, under a passphrase if wanted.

A key file is the secret in hex, or `curate-key-1 scrypt N r p SALT SEALED`, the secret sealed by AES-256-GCM
under a key that scrypt (RFC 7914) makes of the passphrase.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from curate.core import clock, durable
from curate.core.errors import DamagedError, InputError, quoted

VARIABLE = "CURATE_PASSPHRASE"
_MAGIC = "curate-key-1"
_COST = (1 << 17, 8, 1)
_LARGEST = 1 << 20
_NONCE = bytes(12)  # each sealing has a salt, and so a key, of its own


def make(path: Path, *, under_passphrase: bool = False) -> bytes:
    """A new secret, written for its owner only (mode 0600).

    Raises:
        InputError: a passphrase is wanted and none is given.
        StorageError: it cannot be written.
    """
    secret = clock.random_bytes(32)
    text = written(secret, passphrase(path, twice=True) if under_passphrase else None)
    temporary = path.with_name(f".{path.name}.tmp")
    with (
        durable.storage_errors(f"write the key file {path}"),
        durable.writing(path, temporary, 0o600) as file,
    ):
        file.write(text.encode() + b"\n")
    return secret


def written(secret: bytes, under: str | None) -> str:
    """A secret as text, sealed under a passphrase where one is given."""
    if under is None:
        return secret.hex()
    salt = clock.random_bytes(16)
    sealed = AESGCM(_stretched(under, salt, _COST)).encrypt(_NONCE, secret, _MAGIC.encode())
    return f"{_MAGIC} scrypt {' '.join(map(str, _COST))} {salt.hex()} {sealed.hex()}"


def read(path: Path) -> bytes:
    """The secret of a key file.

    Raises:
        DamagedError: it cannot be read, or is no key file.
        InputError: it is readable to others, or its passphrase is missing or wrong.
    """
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        hint = "Restore it from your backup; without it no id can be made again."
        raise DamagedError(f"{path} cannot be read.", hint=hint) from error
    refuse_shared(path)
    return opened(path, text)


def refuse_shared(path: Path) -> None:
    """Refuse a key file that others can read.

    Raises:
        InputError: its mode lets them.
    """
    if path.stat().st_mode & 0o077:
        raise InputError(f"{path} is readable to others.", hint=f"Run: chmod 600 {quoted(path)}")


def opened(path: Path, text: str, variable: str = VARIABLE) -> bytes:
    """The secret of such text from a file; under a passphrase, this is asked for.

    Raises:
        DamagedError: it is no such text.
        InputError: the passphrase is missing or wrong.
    """
    if text.startswith(_MAGIC):
        return _opened(path, text, variable)
    try:
        secret = bytes.fromhex(text)
    except ValueError:
        secret = b""
    if len(secret) != 32:
        raise DamagedError(f"{path} is not a 32-byte key in hex.", hint="Restore it from your backup.")
    return secret


def derived(secret: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose, from which nobody finds the way back to the secret: HKDF-SHA256 (RFC 5869)."""
    return HKDF(SHA256(), 32, None, f"curate {purpose}".encode()).derive(secret)


def passphrase(path: Path, variable: str = VARIABLE, *, twice: bool = False) -> str:
    """The passphrase: from the variable, else from whoever sits at the terminal; a new one is asked for twice.

    Raises:
        InputError: there is none, or the two differ.
    """
    given = os.environ.get(variable, "")
    if not given and sys.stdin.isatty():
        given = getpass.getpass(f"Passphrase of {path.name}: ")
        if twice and getpass.getpass("Once more: ") != given:
            raise InputError("The two passphrases differ.", hint="Run the command again.")
    if not given:
        hint = f"Set {variable}, or run the command on a terminal."
        raise InputError(f"{path} needs a passphrase.", hint=hint)
    return given


def _opened(path: Path, text: str, variable: str) -> bytes:
    try:
        _, name, *costs, salt, sealed = text.split(" ")
        cost = tuple(map(int, costs))
        if name != "scrypt" or len(cost) != 3 or not 0 < cost[0] * cost[1] * cost[2] <= _LARGEST * 16:
            raise ValueError
        salted, closed = bytes.fromhex(salt), bytes.fromhex(sealed)
    except ValueError:
        raise DamagedError(f"{path} is not a key file.", hint="Restore it from your backup.") from None
    try:
        key = _stretched(passphrase(path, variable), salted, (cost[0], cost[1], cost[2]))
        return AESGCM(key).decrypt(_NONCE, closed, _MAGIC.encode())
    except InvalidTag:
        raise InputError(f"The passphrase of {path} is wrong.", hint="Try again.") from None


def _stretched(text: str, salt: bytes, cost: tuple[int, int, int]) -> bytes:
    n, r, p = cost
    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(text.encode())
