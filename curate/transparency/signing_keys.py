"""Keys that sign: the archive's for its log, and each reviewer's; with the notes by which one took over from another.

A key file is JSON, readable to its owner only: the public half, the private one (hex, or sealed under a passphrase
as `secret.key` can be), and for each rotation a note that both the old and the new key signed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from curate.core import clock, durable
from curate.core.digests import canonical_json
from curate.core.errors import DamagedError, InputError, quoted
from curate.keys import secret_file
from curate.transparency import signed_note
from curate.transparency.signed_note import PublicKey, Signer

LOG_KEY = "log.key"
VARIABLE = "CURATE_KEY_PASSPHRASE"
_FORMAT = "curate/key/v1"
_ROTATION = "curate/key-rotation/v1"


@dataclass(frozen=True, slots=True, repr=False)
class KeyFile:
    """A key file: `private` is its secret as stored, `rotations` the notes, oldest first."""

    path: Path
    public: PublicKey
    private: str
    rotations: tuple[str, ...] = ()

    def signer(self, variable: str = VARIABLE) -> Signer:
        """What signs; a passphrase is asked for where there is one.

        Raises:
            InputError: the passphrase is missing or wrong.
            DamagedError: the two halves do not belong together.
        """
        seed = secret_file.opened(self.path, self.private, variable)
        made = Signer(self.public.name, Ed25519PrivateKey.from_private_bytes(seed))
        if made.public != self.public:
            raise DamagedError(f"{self.path} is damaged.", hint="Restore it from your backup.")
        return made


def default_path(name: str) -> Path:
    """Where a person's key lies unless a path is given."""
    return configuration() / f"{signed_note.key_name(name)}.key"


def configuration() -> Path:
    """The folder of a person's own configuration."""
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(home) / "curate"


def make(path: Path, name: str, *, under_passphrase: bool = False, variable: str = VARIABLE) -> KeyFile:
    """A new key under a name as `signed_note.key_name` forms it, written for its owner only.

    Raises:
        InputError: a file lies there already, or a passphrase is wanted and none is given.
        StorageError: it cannot be written.
    """
    if path.exists():
        raise InputError(f"{path} exists already.", hint=f"Show it: curate key show {quoted(path)}")
    with durable.storage_errors(f"write the key file {path}"):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _write(path, name, (), secret_file.passphrase(path, variable, twice=True) if under_passphrase else None)[
            0
        ]


def _write(
    path: Path, name: str, rotations: Iterable[str], under: str | None, old: Signer | None = None
) -> tuple[KeyFile, Signer]:
    seed = clock.random_bytes(32)
    signer = Signer(name, Ed25519PrivateKey.from_private_bytes(seed))
    if old is not None:
        rotations = (*rotations, _rotation(old, signer))
    made = KeyFile(path, signer.public, secret_file.written(seed, under), tuple(rotations))
    stored = {
        "format": _FORMAT,
        "public": str(made.public),
        "private": made.private,
        "rotations": list(made.rotations),
    }
    durable.write_bytes(path, (json.dumps(stored, indent=1) + "\n").encode(), 0o600)
    return made, signer


def read(path: Path) -> KeyFile:
    """The key of a file.

    Raises:
        InputError: there is none, or it is readable to others.
        DamagedError: it is not what `curate key new` wrote.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != _FORMAT:
            raise ValueError
        rotations = tuple(str(note) for note in stored["rotations"])
        made = KeyFile(path, signed_note.public_key(stored["public"]), str(stored["private"]), rotations)
    except FileNotFoundError:
        raise InputError(f"There is no key {path}.", hint="Make one: curate key new --as NAME") from None
    except (OSError, ValueError, KeyError, TypeError, InputError) as error:
        raise DamagedError(f"{path} is not a key file.", hint="Restore it from your backup.") from error
    secret_file.refuse_shared(path)
    return made


def rotate(path: Path, variable: str = VARIABLE) -> KeyFile:
    """A new key in place of the old one, which signs for it; the old private half is gone then.

    A passphrase stays what it was.

    Raises:
        InputError, DamagedError: as `read` and `KeyFile.signer` say.
        StorageError: it cannot be written; the old key is still there.
    """
    held = read(path)
    old = held.signer(variable)
    sealed = held.private != old.private.private_bytes_raw().hex()
    under = secret_file.passphrase(path, variable) if sealed else None
    with durable.storage_errors(f"write the key file {path}"):
        return _write(path, held.public.name, held.rotations, under, old)[0]


def _rotation(old: Signer, new: Signer) -> str:
    said = {"format": _ROTATION, "new": str(new.public), "old": str(old.public)}
    return signed_note.sign(canonical_json(said) + "\n", [old, new])


def succession(note: str) -> tuple[PublicKey, PublicKey] | None:
    """The old and the new key of a rotation that both have signed; None where it is none."""
    try:
        said = json.loads(note.partition("\n")[0])
        old, new = signed_note.public_key(said["old"]), signed_note.public_key(said["new"])
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError, InputError):
        return None
    text = canonical_json({"format": _ROTATION, "new": str(new), "old": str(old)}) + "\n"
    return (old, new) if old.name == new.name and signed_note.verified(note, [old, new]) == text else None


def related(start: Iterable[PublicKey], rotations: Iterable[str]) -> set[PublicKey]:
    """All keys that rotations lead to from some of them, forwards and backwards: each pair vouches for each other."""
    pairs = [pair for note in dict.fromkeys(rotations) if (pair := succession(note))]
    found, grown = set(start), True
    while grown:
        new = set(_partners(found, pairs)) - found
        grown = bool(new)
        found |= new
    return found


def _partners(keys: set[PublicKey], pairs: Iterable[tuple[PublicKey, PublicKey]]) -> Iterator[PublicKey]:
    for pair in pairs:
        if keys & set(pair):
            yield from pair
