"""`curate key`: make, show and rotate the keys that sign: the archive's own, and a reviewer's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curate.archive import ledger_head, repository
from curate.archive.config import NAME as CONFIG
from curate.core import clock
from curate.core.actor import TOOL, who
from curate.core.errors import InputError
from curate.keys import secret_file
from curate.transparency import signed_note, signing_keys
from curate.transparency.signing_keys import KeyFile


@dataclass(frozen=True, slots=True)
class Key:
    """A key's public half, where its file is, and the keys that it took over from, oldest first."""

    path: Path
    public: str
    before: tuple[str, ...] = ()


def new_key(name: str, path: Path | None = None, *, under_passphrase: bool = False) -> Key:
    """A reviewer's key, by default where `curate approve --as NAME` looks for it.

    Raises:
        InputError: no name, or a file lies there already.
    """
    if not name.strip():
        raise InputError("A key needs a name.", hint="Give it with --as NAME.")
    made = signing_keys.make(
        path or signing_keys.default_path(name), signed_note.key_name(name), under_passphrase=under_passphrase
    )
    return _key(made)


def show_key(place: Path) -> Key:
    """The public half of a key file, or of an archive.

    Raises:
        InputError: there is no key.
    """
    return _key(signing_keys.read(place / signing_keys.LOG_KEY if place.is_dir() else place))


def rotate_key(place: Path) -> Key:
    """A new key in place of an archive's or a reviewer's, both signing that it takes over.

    Raises:
        InputError: there is no key, or its passphrase is wrong.
    """
    if not (place / CONFIG).is_file():
        return _key(signing_keys.rotate(place))
    with repository.opened(place, write=True) as archive:
        held = signing_keys.read(archive.log_key)
        told = {event.subject: event.seq for event in archive.ledger.events("key_rotated")}
        last = told.get(held.public.id.hex()) == archive.ledger.tip()[0]
        if last and ledger_head.lags(place, archive.ledger):
            return _key(held)  # a run was killed when all was done but the end
        if not held.rotations or held.public.id.hex() in told:
            held = signing_keys.rotate(archive.log_key, secret_file.VARIABLE)
        before = _key(held).before[-1]
        with archive.ledger.transaction():  # a run that was killed in between is finished, not repeated
            payload = {"old": before, "new": str(held.public)}
            subject = held.public.id.hex()
            archive.ledger.append(clock.stamp(), "key_rotated", subject, payload, who=who(), tool=TOOL)
        return _key(held)


def _key(held: KeyFile) -> Key:
    pairs = [pair for note in held.rotations if (pair := signing_keys.succession(note))]
    return Key(held.path, str(held.public), tuple(str(old) for old, _ in pairs))
