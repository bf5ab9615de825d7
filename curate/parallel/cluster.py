"""The coordinator's side of a Dask cluster: who may have keys, what is sent, what comes back."""

from __future__ import annotations

import ipaddress
import logging
import os
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from curate.core.errors import CurateError, InputError, StorageError
from curate.parallel import encrypted_worker
from curate.parallel.encrypted_worker import Asking, Session
from curate.parallel.pool import LostError

_SIZE_SECONDS = 10.0
_TLS = "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, ...__TLS__CLIENT__CERT and ...__TLS__CLIENT__KEY"


@contextmanager
def connected(address: str, private: Any, shared: Sequence[Path] = ()) -> Iterator[Cluster]:
    """The cluster of a scheduler, for one run.

    Raises:
        InputError: the address is none, is open to others on its way, or nobody answers there.
    """
    refuse_open_road(address, "The scheduler")
    client = _client(address)
    _lose_once(client)
    cluster = Cluster(
        client, address, Session(uuid.uuid4().hex, os.urandom(32), private, encrypted_worker.proofs(shared))
    )
    try:
        yield cluster
    finally:
        cluster.close()
        client.close()


def refuse_open_road(address: str, who: str) -> None:
    """Keys go to other machines over TLS only; on this machine plain TCP will do.

    Raises:
        InputError: `address` is of another machine and not tls://, or is no address.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("tcp", "tls") or not parts.hostname:
        raise InputError(f"{who} has no address such as tls://HOST:8786.", hint="Give --scheduler tls://HOST:PORT.")
    if parts.scheme == "tcp" and not _is_here(parts.hostname):
        raise InputError(
            f"{who} {address} is not on this machine, and tcp:// does not encrypt.",
            hint="Start scheduler and workers with Dask's TLS, then give --scheduler tls://HOST:PORT.",
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _client(address: str) -> Any:
    try:
        distributed: Any = import_module("distributed")
    except ImportError:
        raise InputError(
            "--scheduler needs Dask, which is not installed.", hint="pip install 'imaging-curate[cluster]'"
        ) from None
    _silence()
    security = distributed.Security()
    if address.startswith("tls:"):
        security = distributed.Security(require_encryption=True)
        if not (security.tls_ca_file and security.tls_client_cert):
            raise InputError("TLS needs certificates, and Dask knows none.", hint=f"Set {_TLS}.")
    try:
        return distributed.Client(address, security=security, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"No Dask scheduler answers at {address} ({type(error).__name__}).",
            hint="Start one (dask scheduler), or check the address and the certificates.",
        ) from None


def _lose_once(client: Any) -> None:
    """Let the scheduler tell of a task whose worker died at once: Dask would send it to three more.

    Where the scheduler's environment lacks curate, its own setting (`allowed-failures`) holds.
    """
    from curate.parallel.once import LostAtOnce

    with suppress(Exception):  # whatever it lacks, it goes on as Dask does by itself
        client.register_plugin(LostAtOnce())


def _silence() -> None:
    """What Dask logs of a connection that ends, with tracebacks, is told by a message of ours."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


class Cluster:
    """An engine on Dask: tasks are sealed, and workers that ask are told the session's key."""

    def __init__(self, client: Any, address: str, session: Session) -> None:
        self._client, self._address, self._session = client, address, session
        self._size, self._counted = 1, float("-inf")

    def size(self) -> int:
        """How many workers there are; they may come and go."""
        if time.monotonic() - self._counted > _SIZE_SECONDS:
            with suppress(OSError, ValueError):  # the last count serves; `look` tells of a lost scheduler
                self._size = max(len(self._client.nthreads()), 1)
            self._counted = time.monotonic()
        return self._size

    def send(self, function: Callable[[Any, Any], Any], task: Any) -> Any:
        """Start a task somewhere; its key says nothing."""
        text = self._session.seal("task", (function, task))
        return self._client.submit(
            encrypted_worker.work, self._session.name, text, key=f"curate-{uuid.uuid4().hex}", pure=False
        )

    def answer(self, future: Any) -> Any:
        """The result; LostError where a worker died or had to ask first."""
        answer = self._fetched(future)
        if isinstance(answer, dict):
            self._tell(answer)  # type: ignore[arg-type]
            raise LostError(fault=False)
        kind, value = self._session.open("outcome", answer)
        if kind == "done":
            return value
        if kind == "refused":
            raise value
        raise CurateError(f"A worker failed with {value}.", hint="Run the command with --workers 1 to see where.")

    def _fetched(self, future: Any) -> Any:
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker:
            raise LostError(fault=True) from None
        except (CancelledError, OSError):
            raise self._lost() from None
        except Exception as error:
            raise InputError(
                f"The workers cannot run curate ({type(error).__name__}).",
                hint="Install the same version of imaging-curate[cluster] where they run.",
            ) from None

    def _tell(self, asking: Asking) -> None:
        """Give a worker the session, if it may have it.

        Raises:
            InputError: it is on another machine without TLS, has other versions, or does not see what is shared.
        """
        refuse_open_road(asking["address"], "A worker at")
        ours, theirs = encrypted_worker.versions(), asking["versions"]
        other = [f"{name} {theirs.get(name)}, not {ours[name]}" for name in ours if theirs.get(name) != ours[name]]
        if other:
            raise InputError(
                f"A worker would not write the same bytes: it has {'; '.join(other)}.",
                hint="Install the same versions where the workers run.",
            )
        told = encrypted_worker.tell(self._session, asking["public"])
        answers = self._client.run(encrypted_worker.accept, *told, workers=[asking["address"]], on_error="ignore")
        if False in answers.values():
            raise InputError(
                "A worker does not see a source, or a store, at the path where it is here.",
                hint="Share the folder under one path with all workers, or give its URL: see docs/how-to/cluster.md.",
            )

    def look(self) -> None:
        """Whether the scheduler is still there."""
        if self._client.status != "running":
            raise self._lost()

    def _lost(self) -> StorageError:
        return StorageError(
            f"The scheduler at {self._address} is gone.",
            hint="Start it, then run the same command again: it goes on where it stopped.",
        )

    def close(self) -> None:
        """Make the workers forget the session."""
        with suppress(Exception):  # nobody may be there any more
            self._client.run(encrypted_worker.forget, self._session.name, on_error="ignore")
