"""Signed notes (c2sp.org/signed-note) with Ed25519, and tree heads (c2sp.org/tlog-checkpoint)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from curate.core.errors import InputError

_ED25519 = b"\x01"
_MARK = "— "


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a key, as text `NAME+ID+BASE64` (C2SP calls it a vkey)."""

    name: str
    raw: bytes

    @property
    def id(self) -> bytes:
        """The four bytes that name the key beside its name."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.raw).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.raw)}"


@dataclass(frozen=True, slots=True, repr=False)
class Signer:
    """A name with its private key."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> PublicKey:
        """What others verify with."""
        return PublicKey(self.name, self.private.public_key().public_bytes_raw())


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: whose log, how many leaves, their root, and further lines that are signed with it."""

    origin: str
    size: int
    root: bytes
    lines: tuple[str, ...]

    def text(self) -> str:
        """The text that is signed."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, _base64(self.root), *self.lines))


def public_key(text: str) -> PublicKey:
    """The key of its text.

    Raises:
        InputError: it is no such text, or a character of it is wrong.
    """
    try:
        name, identity, packed = text.strip().split("+", 2)
        data = _unbase64(packed)
        key = PublicKey(name, data[1:])
        if name != _name(name) or data[:1] != _ED25519 or len(data) != 33 or key.id.hex() != identity:
            raise ValueError
    except ValueError:
        hint = "Give it as `curate key show` prints it: NAME+ID+KEY."
        raise InputError("This is not a public key, or it is mistyped.", hint=hint) from None
    return key


def key_name(text: str) -> str:
    """A person's or archive's name as the name of a key: `Anna Puig` gives `anna-puig`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split()) or "key"


def sign(text: str, signers: Iterable[Signer]) -> str:
    """The note of a text that ends in a newline."""
    lines = [_line(signer.public, signer.private.sign(text.encode())) for signer in signers]
    return text + "\n" + "".join(lines)


def verified(note: str, keys: Sequence[PublicKey]) -> str | None:
    """The text of a note that bears exactly these keys' signatures, in their order; None where it does not."""
    text, separator, below = note.rpartition("\n\n")
    lines = below.splitlines(keepends=True)
    if not separator or len(lines) != len(keys) or not keys:
        return None
    text += "\n"
    for line, key in zip(lines, keys, strict=True):
        try:
            signature = _unbase64(line.rstrip("\n").rpartition(" ")[2])[4:]
            if _line(key, signature) != line:  # one form only, so that no character can change unseen
                return None
            Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, text.encode())
        except (ValueError, InvalidSignature):
            return None
    return text


def checkpoint(text: str) -> Checkpoint | None:
    """The tree head of a signed text; None where it is none."""
    lines = text.removesuffix("\n").split("\n")
    try:
        found = Checkpoint(lines[0], int(lines[1]), _unbase64(lines[2]), tuple(lines[3:]))
    except (ValueError, IndexError):
        return None
    good = found.text() == text and found.size >= 0 and len(found.root) == 32 and all((found.origin, *found.lines))
    return found if good else None


def _line(key: PublicKey, signature: bytes) -> str:
    return f"{_MARK}{key.name} {_base64(key.id + signature)}\n"


def _name(text: str) -> str:
    return "".join(text.split()).replace("+", "") or "?"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unbase64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError from error
    if _base64(data) != text:
        raise ValueError
    return data
