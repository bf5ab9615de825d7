"""The archive's folder: where everything lies, who holds it, its secret."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from curate.archive import config as configuration
from curate.archive import config_schema, ledger_head, migrations
from curate.archive.config import Config
from curate.archive.ledger import Ledger
from curate.archive.ledger_records import Actor
from curate.archive.stores import Store
from curate.core import durable, remote
from curate.core.errors import DamagedError, InputError, LockedError, StorageError
from curate.core.records import ArchiveInfo
from curate.keys import secret_file as secret
from curate.transparency import signed_note, signing_keys

_ASIDE = ".old"
UNPACKED = "unpacked"


@dataclass(frozen=True, slots=True, repr=False)
class Archive:
    """An open archive: its folder, configuration, secret and ledger."""

    root: Path
    config: Config
    secret: bytes
    ledger: Ledger

    @property
    def releases(self) -> Path:
        """Where releases are cut."""
        return self.root / "releases"

    @property
    def packs(self) -> Store:
        """Where the packs lie."""
        return store(self.root, self.config.packs)

    @property
    def quarantine(self) -> Store:
        """Where what waits lies, encrypted."""
        return store(self.root, self.config.quarantine)

    def store_of(self, name: str) -> Store:
        """Where a pack or a shard of previews lies."""
        return self.packs if name.startswith("packs/") else store(self.root, "")

    @property
    def log_key(self) -> Path:
        """The key that signs for the archive."""
        return self.root / signing_keys.LOG_KEY

    @property
    def temporary(self) -> Path:
        """Where unfinished files lie; emptied whenever the archive is opened for writing."""
        return self.root / "tmp"


def store(root: Path, where: str) -> Store:
    """The store that `archive.toml` names: the archive's own folder, another one, or a URL."""
    if remote.is_url(where):
        return Store(where)
    folder = (root / where).absolute()
    return Store(str(folder), str(folder / ("unfinished" if where else "tmp")))


def vault_name(entry_id: str) -> str:
    """The name under which what waits lies in its store."""
    return f"quarantine/{entry_id[1:3]}/{entry_id}.vault"


def create(root: Path, info: ArchiveInfo, hub_target: str, approvals: int, *, under_passphrase: bool = False) -> None:
    """Make an archive in a new or empty folder.

    Raises:
        InputError: something lies there already, or the configuration would not be valid.
        StorageError: the folder cannot be written.
    """
    settings = configuration.fresh(info, hub_target, approvals)  # refused before anything is made
    _refuse_name(root)
    with durable.storage_errors(f"make an archive in {root}"):
        if root.is_file() or (root.is_dir() and any(root.iterdir())):
            raise InputError(f"{root} exists and is not empty.", hint="Name a new folder.")
        with _whole_or_not(root), durable.private():
            root.mkdir(parents=True, exist_ok=True)
            root.chmod(0o700)
            for name in ("packs", "quarantine", "releases", "tmp"):
                (root / name).mkdir(mode=0o700, exist_ok=True)
            secret.make(root / "secret.key", under_passphrase=under_passphrase)
            name = "/".join(map(signed_note.key_name, (info.publisher, info.title)))
            signing_keys.make(
                root / signing_keys.LOG_KEY, name, under_passphrase=under_passphrase, variable=secret.VARIABLE
            )
            Ledger.create(root / "ledger.db")
            durable.write_bytes(root / configuration.SCHEMA_NAME, config_schema.text().encode())
            durable.write_bytes(root / configuration.NAME, settings.encode())  # last: it makes it an archive


def _refuse_name(root: Path) -> None:
    """Arrow and DuckDB, which read and write the archive's tables, take no path that is not UTF-8."""
    try:
        str(root.absolute()).encode()
    except UnicodeEncodeError:
        raise InputError("The path of the archive is not UTF-8.", hint="Rename the folder in question.") from None


@contextmanager
def _whole_or_not(root: Path) -> Iterator[None]:
    """Remove all that was made in a folder, and the folders made for it, when something stops the making."""
    made = next((folder for folder in reversed([root, *root.parents]) if not folder.exists()), None)
    try:
        yield
    except BaseException:
        with suppress(OSError):  # what is to be told is what stopped it
            for path in [made] if made else list(root.iterdir()):
                durable.remove(path)
        raise


@contextmanager
def opened(root: Path, *, write: bool) -> Iterator[Archive]:
    """An archive, for reading, or for writing under its lock.

    Raises:
        InputError: no archive, or its configuration is not valid.
        LockedError: another process writes to it; the message says who, and since when.
        DamagedError: key or ledger cannot be used.
    """
    config = configuration.read(root)
    _refuse_name(root)
    if not (root / "ledger.db").is_file():
        raise DamagedError(f"{root} has no ledger.db.", hint="Restore it from your backup.")
    with _writing(root) if write else _unlocked():
        known = secret.read(root / "secret.key")
        actor = Actor(config.people, _log_key(root), config.digest, secret.derived(known, "ledger rows"))
        ledger = Ledger(root / "ledger.db", actor, write=write)
        try:
            archive = Archive(root, config, known, ledger)
            if write:
                sweep(root)
                _claim(archive)
            else:
                _clear_left(archive)
            with ledger.readable():
                yield archive
                if write:
                    ledger_head.keep(root, ledger)
                    migrations.forget_copies(root)
        finally:
            ledger.close()


def _log_key(root: Path) -> str:
    path = root / signing_keys.LOG_KEY
    if not path.is_file():
        raise DamagedError(f"{root} has no {signing_keys.LOG_KEY}.", hint="Restore it from your backup.")
    return signing_keys.read(path).public.id.hex()


def _claim(archive: Archive) -> None:
    """Stores outside of the archive's folder are its alone: what no study needs is removed from them."""
    mark = secret.derived(archive.secret, "store owner").hex()
    for where in sorted({archive.config.packs, archive.config.quarantine} - {""}):
        outside = store(archive.root, where)
        with durable.storage_errors(f"use the store {where}"):
            outside.claim(mark)
            if outside.unfinished:
                durable.remove(Path(outside.unfinished))


def _clear_left(archive: Archive) -> None:
    """Remove what a killed run left unfinished, identified files above all, at the first command that comes after it.

    A living run holds the lock; where this user may not write, the next one who may does it.
    """
    places = [archive.temporary, *{Path(s.unfinished) for s in (archive.packs, archive.quarantine) if s.unfinished}]
    with suppress(OSError, StorageError, LockedError):  # the next command that may will do it
        if any(next(place.iterdir(), None) for place in places if place.is_dir()):
            with _locked(archive.root):
                sweep(archive.root)
                for place in places[1:]:
                    durable.remove(place / UNPACKED)


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Under the lock, and for the owner's eyes alone, whatever the umask."""
    with durable.private(), _locked(root):
        if root.stat().st_mode & 0o077:
            root.chmod(0o700)
        yield


@contextmanager
def _unlocked() -> Iterator[None]:
    yield


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the archive with the kernel's help: a dead process holds nothing, so a stale lock cannot block.

    Held are the folder, which nobody deletes under a running command, and `lock` in it, which says who holds it.
    """
    with durable.storage_errors(f"write to the archive {root}"), _open_folder(root) as folder:
        _refuse_other_user(root)
        _hold(root, folder)
        with (root / "lock").open("a+") as file:
            _hold(root, file.fileno())
            os.fchmod(file.fileno(), 0o600)
            file.truncate(0)
            since = datetime.now(UTC).isoformat(timespec="seconds")
            file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
            file.flush()
            try:
                yield
            finally:
                file.truncate(0)


@contextmanager
def _open_folder(root: Path) -> Iterator[int]:
    descriptor = os.open(root, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _hold(root: Path, descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        hint = "Wait until it is done."
        raise LockedError(f"The archive {root} is in use{_holder(root)}.", hint=hint) from None
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.ENOLCK):
            raise  # else a file system that holds no folders: the file alone is held


def _refuse_other_user(root: Path) -> None:
    """Refuse to write what the archive's owner could not read afterwards.

    Raises:
        InputError: the folder is another user's.
    """
    owner = root.stat().st_uid
    if owner != os.geteuid():
        raise InputError(
            f"The archive {root} belongs to another user (number {owner}).", hint="Run the command as that user."
        )


def _holder(root: Path) -> str:
    try:
        held = json.loads((root / "lock").read_text(encoding="utf-8"))
        return f" by process {held['pid']} on {held['host']} since {held['since']}"
    except (OSError, ValueError, KeyError):  # it has just ended, or is about to say who it is
        return ""


def put_release(root: Path, folder: Path, version: str) -> None:
    """Give a finished release folder its place; one of that version that is there goes only then."""
    for path in sorted((folder / "manifest").iterdir()):
        durable.fsync_file(path)
    for path in sorted(path for path in folder.rglob("*") if path.is_dir()):
        durable.fsync_folder(path)
    durable.fsync_folder(folder)
    target, aside = root / "releases" / version, root / "releases" / f".{version}{_ASIDE}"
    if target.exists():
        durable.rename(target, aside)
    durable.rename(folder, target)
    durable.remove(aside)


def sweep(root: Path) -> None:
    """Remove what a killed step left unfinished; a release that was set aside and not replaced comes back."""
    folder = root / "tmp"
    with durable.storage_errors("clear the archive's temporary folder"):
        for aside in sorted((root / "releases").glob(f".*{_ASIDE}")):
            target = aside.with_name(aside.name[1:].removesuffix(_ASIDE))
            durable.remove(aside) if target.exists() else durable.rename(aside, target)
        if folder.is_dir():
            for entry in folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        folder.mkdir(mode=0o700, exist_ok=True)
