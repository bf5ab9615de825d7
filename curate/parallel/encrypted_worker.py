"""What a worker of a Dask cluster does: everything that passes through Dask is sealed, keys and errors included.

Dask keeps tasks and results in the memory of its scheduler, spills them to disks, logs them where they fail.
So a task is one sealed text under the key of its session (AES-256-GCM), and so is its result. A worker that does
not know the session asks for it with an X25519 key of its own; the coordinator answers to that key alone.
"""

from __future__ import annotations

import os
import pickle
import platform
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from curate.core.actor import TOOL
from curate.core.errors import CurateError
from curate.parallel.processes import hush

_BYTES_REST_ON = ("cryptography", "numpy", "pillow", "pyarrow", "pydicom", "pylibjpeg", "python-gdcm")
_ONE_AT_A_TIME = threading.Lock()
_NONCE = bytes(12)  # each answer has an ephemeral key, and so a sealing key, of its own


class Asking(TypedDict):
    """What a worker says that does not know a session: where it is, its public key, its versions."""

    address: str
    public: bytes
    versions: dict[str, str]


Proof = tuple[str, int, int]


def proofs(paths: Iterable[Path]) -> tuple[Proof, ...]:
    """What tells whether another machine sees the same files: path, inode, of a file also its last change."""
    return tuple((str(path.absolute()), *_look(path)) for path in paths)


def _look(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_ino, 0 if path.is_dir() else int(status.st_mtime)


def _seen(proof: Proof) -> bool:
    try:
        return _look(Path(proof[0])) == proof[1:]
    except OSError:  # it is not there, so it is not seen
        return False


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """The key of one run of one step, what its functions are given beside their tasks, what workers must see."""

    name: str
    key: bytes
    private: Any
    shared: tuple[Proof, ...] = ()

    def seal(self, what: str, value: Any) -> bytes:
        """A task or an outcome, sealed; `what` keeps one from being taken for the other."""
        nonce = os.urandom(12)
        text = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        return nonce + AESGCM(self.key).encrypt(nonce, text, f"{what} {self.name}".encode())

    def open(self, what: str, sealed: bytes) -> Any:
        """What was sealed.

        Raises:
            InvalidTag: not sealed by this session.
        """
        text = AESGCM(self.key).decrypt(sealed[:12], sealed[12:], f"{what} {self.name}".encode())
        return pickle.loads(text)  # noqa: S301  # sealed by this session, so from our own process


_sessions: dict[str, Session] = {}


def versions() -> dict[str, str]:
    """Everything that the bytes of a pack rest on: workers must have what the coordinator has."""
    found = {"curate": TOOL, "python": ".".join(platform.python_version_tuple()[:2])}
    for name in _BYTES_REST_ON:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


@cache
def _own_key() -> X25519PrivateKey:
    return X25519PrivateKey.generate()


def work(name: str, sealed: bytes) -> bytes | Asking:
    """Run a sealed task; one at a time in a process, so that memory and the memoised headers stay its own."""
    session = _sessions.get(name)
    if session is None:
        return _asking()
    with _ONE_AT_A_TIME:
        return session.seal("outcome", _outcome(session, sealed))


def _asking() -> Asking:
    from distributed import get_worker

    public = _own_key().public_key().public_bytes_raw()
    return {"address": get_worker().address, "public": public, "versions": versions()}


def _outcome(session: Session, sealed: bytes) -> tuple[str, Any]:
    """A result or an error, as data: what is raised into Dask would be logged there."""
    try:
        function, task = session.open("task", sealed)
        return "done", function(task, session.private)
    except CurateError as error:
        return "refused", error
    except Exception as error:  # no message and no values: they may be a patient's
        return "failed", type(error).__name__


def accept(name: str, ephemeral: bytes, sealed: bytes) -> bool:
    """Learn a session that this process asked for, if it sees what is shared."""
    ours, theirs = _own_key(), X25519PublicKey.from_public_bytes(ephemeral)
    shared = _agreed(ours.exchange(theirs), name)
    session: Session = pickle.loads(AESGCM(shared).decrypt(_NONCE, sealed, name.encode()))  # noqa: S301
    if not all(map(_seen, session.shared)):
        return False
    _sessions[name] = session
    hush()
    return True


def tell(session: Session, public: bytes) -> tuple[str, bytes, bytes]:
    """The arguments of `accept` for the worker with this public key, readable to it alone."""
    ephemeral = X25519PrivateKey.generate()
    shared = _agreed(ephemeral.exchange(X25519PublicKey.from_public_bytes(public)), session.name)
    sealed = AESGCM(shared).encrypt(_NONCE, pickle.dumps(session), session.name.encode())
    return session.name, ephemeral.public_key().public_bytes_raw(), sealed


def _agreed(secret: bytes, name: str) -> bytes:
    return HKDF(SHA256(), 32, name.encode(), b"curate worker").derive(secret)


def forget(name: str) -> None:
    """Drop a session that is over."""
    _sessions.pop(name, None)
