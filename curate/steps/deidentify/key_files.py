"""What stays at the hospital: the key, and beside it, for its owner only, what later batches rest on.

`KEY.state` holds the days and moments that dates were moved by, and since when each DEST has its profile,
`KEY.receipts` the donors' receipts, `KEY.refused` which files were refused, all encrypted; `KEY.tmp` what is unpacked
while a run lasts.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from curate.core import durable
from curate.core.actor import TOOL
from curate.core.digests import sha256_json
from curate.core.errors import InputError, LockedError
from curate.deid import pseudonyms
from curate.keys import encrypted_log, secret_file
from curate.keys.derivation import Keys
from curate.pixels import optional_deps
from curate.policies import Policy
from curate.steps.deidentify import coded_table
from curate.steps.deidentify.work import PARTIAL


@dataclass(frozen=True, slots=True, repr=False)
class KeyFiles:
    """An open key with its neighbours; no other run uses them at the same time."""

    path: Path
    keys: Keys

    @property
    def state(self) -> Path:
        """Sealed anchors of dates, and of profiles."""
        return self.path.with_name(f"{self.path.name}.state")

    @property
    def receipts(self) -> Path:
        """Sealed receipts."""
        return self.path.with_name(f"{self.path.name}.receipts")

    @property
    def refused(self) -> Path:
        """Sealed paths of what the last run refused."""
        return self.path.with_name(f"{self.path.name}.refused")

    @property
    def temporary(self) -> Path:
        """Where containers are unpacked: identified data, so beside the key and never in DEST."""
        return self.path.with_name(f"{self.path.name}.tmp")


def since(beside: KeyFiles, dest: Path, policy: Policy, now: int) -> int:
    """Since when DEST is written under this profile, by this version of the tool, ns; what is older is made anew.

    `now` is what DEST's own file system takes for now, so that the times of its files compare.

    Raises:
        DamagedError, StorageError: as `sealed_log`.
    """
    how = sha256_json([asdict(policy), TOOL, optional_deps.installed()])
    last: encrypted_log.Record = {}
    if beside.state.exists():
        for record in encrypted_log.read(beside.state, beside.keys.storage):
            if record.get("dest") == str(dest.resolve()):
                last = record
    if last.get("how") != how:
        last = {"dest": str(dest.resolve()), "how": how, "since": now}
        with encrypted_log.appending(beside.state, beside.keys.storage) as state:
            state.append([last])
    return int(last["since"])


def default_key(dest: Path) -> Path:
    """Where the key lies if none is named: beside DEST, never in it."""
    return dest.resolve().parent / "deidentify.key"


def refuse_overlap(sources: list[Path], dest: Path, private: list[Path]) -> None:
    """Keep what is identified, what is clean and what is secret apart.

    Raises:
        InputError: DEST holds a source or lies in one, something private would lie in DEST, or DEST holds what
            this command did not write.
    """
    target = dest.resolve()
    if dest.exists() and not dest.is_dir():
        raise InputError("DEST is a file.", hint="Name a folder.")
    with durable.storage_errors("read DEST"):
        strangers = [entry for entry in dest.iterdir() if not _is_ours(entry)] if dest.exists() else []
    if strangers:
        hint = "DEST is what leaves; name a new folder, or one that `curate deidentify` made."
        raise InputError(f"DEST holds {len(strangers)} entries that this command did not write.", hint=hint)
    for source in sources:
        here = source.resolve()
        if here.is_relative_to(target) or target.is_relative_to(here):
            raise InputError("DEST and a source lie in each other.", hint="Name a DEST of its own.")
    for path in private:
        if path.resolve().is_relative_to(target):
            hint = "DEST is what leaves; name a file elsewhere."
            raise InputError(f"{path.name} would lie in DEST.", hint=hint)


def _is_ours(entry: Path) -> bool:
    return entry.name in (coded_table.NAME, PARTIAL) or pseudonyms.is_new_uid(entry.name)


@contextmanager
def opened(path: Path, *, under_passphrase: bool) -> Iterator[KeyFiles]:
    """The key, made where it is not there yet, held by this run alone.

    Raises:
        LockedError: another run holds it.
        InputError, DamagedError, StorageError: it cannot be read or made.
    """
    with ExitStack() as held:
        with durable.storage_errors(f"use the key file {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context(path.with_name(f"{path.name}.lock").open("a", encoding="utf-8"))
            _lock(lock, path)
            if not path.exists():
                secret_file.make(path, under_passphrase=under_passphrase)
            beside = KeyFiles(path, Keys.from_secret(secret_file.read(path)))
            durable.remove(beside.temporary)
            beside.temporary.mkdir(mode=0o700)
            held.callback(durable.remove, beside.temporary)
        yield beside


def _lock(file: TextIO, path: Path) -> None:
    """Hold the key with the kernel's help: a dead process holds nothing."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        hint = "Wait until it is done, or use another key for another DEST."
        raise LockedError(f"Another run uses the key {path}.", hint=hint) from None
