"""The archives whose keys a person has pinned: one small file in the person's own configuration.

As SSH keeps the keys of hosts: a key is kept when it is first seen, and any other is refused from then on. Of each
archive's log the heads that were seen are kept too, so that an older one or another history shows.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from curate.core import durable
from curate.core.digests import parse_json
from curate.core.errors import DamagedError, InputError
from curate.transparency import signed_note, signing_keys
from curate.transparency.signed_note import PublicKey

_FORMAT = "curate/trust/v1"
_HEADS, _PLACES = 64, 64
_LARGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class Pin:
    """One archive: its key, since when and how it is trusted, and what was seen of its log.

    `how` is `first use` or `given`; `heads` maps the log's size to its root; `version` is the newest that was seen;
    `places` are hubs where it was met.
    """

    key: PublicKey
    since: str
    how: str
    rotations: tuple[str, ...] = ()
    heads: Mapping[int, bytes] = field(default_factory=dict)
    version: str = ""
    places: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The archive, as its log is called."""
        return self.key.name

    @property
    def size(self) -> int:
        """The largest size of its log that was seen."""
        return max(self.heads, default=0)

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        shown = {"name": self.name, "key": str(self.key), "since": self.since, "how": self.how}
        return {**shown, "version": self.version, "log_size": self.size, "places": list(self.places)}

    def believed(self, rotations: tuple[str, ...]) -> set[PublicKey]:
        """The keys that the pinned one and the rotations known of it lead to; none where one has two successors."""
        known = {*self.rotations, *rotations}
        pairs = {pair for note in known if (pair := signing_keys.succession(note))}
        if len({old for old, _ in pairs}) != len(pairs):
            return set()
        return signing_keys.related([self.key], known)

    def seen(self, size: int, root: bytes, rotations: tuple[str, ...], version: str, place: str) -> Pin:
        """The same, with what a release has shown."""
        heads = dict(sorted({**self.heads, size: root}.items())[-_HEADS:])
        places = tuple(dict.fromkeys(filter(None, (*self.places, place))))[-_PLACES:]
        notes_known = tuple(dict.fromkeys((*self.rotations, *rotations)))
        return replace(self, heads=heads, rotations=notes_known, version=version, places=places)


def path() -> Path:
    """Where the pins lie: `curate/trust.json` in `$XDG_CONFIG_HOME`, by default `~/.config`."""
    return signing_keys.configuration() / "trust.json"


def read() -> dict[str, Pin]:
    """The pins, by the archives' names.

    Raises:
        DamagedError: the file is not what curate wrote: nobody is trusted by accident.
    """
    try:
        data = path().read_bytes()
    except (FileNotFoundError, NotADirectoryError):  # nothing was pinned yet: none
        return {}
    except OSError as error:
        raise DamagedError(f"{path()} cannot be read: {error.strerror}.", hint="Give yourself access to it.") from None
    try:
        stored = parse_json(data[:_LARGEST])
        if stored["format"] != _FORMAT:
            raise ValueError
        return {pin.name: pin for pin in map(_pin, stored["archives"])}
    except (ValueError, KeyError, TypeError, AttributeError, InputError):
        raise DamagedError(
            f"{path()} is not what curate wrote.", hint="Restore it; or remove it, and pin each key anew."
        ) from None


def _pin(found: Mapping[str, object]) -> Pin:
    plain = dict(found)
    heads = plain["heads"]
    if not isinstance(heads, dict) or not isinstance(plain["rotations"], list) or not isinstance(plain["places"], list):
        raise ValueError
    return Pin(
        signed_note.public_key(str(plain["key"])),
        str(plain["since"]),
        str(plain["how"]),
        tuple(map(str, plain["rotations"])),
        {int(size): base64.b64decode(root, validate=True) for size, root in heads.items()},
        str(plain["version"]),
        tuple(map(str, plain["places"])),
    )


def change(how: Callable[[dict[str, Pin]], None]) -> None:
    """Change the pins under a lock, whole or not at all.

    Raises:
        StorageError: they cannot be written.
        DamagedError: they cannot be read.
    """
    with durable.storage_errors(f"keep the pinned keys in {path()}"), _locked():
        before = read()
        pins = dict(before)
        how(pins)
        if pins != before:
            stored = {"format": _FORMAT, "archives": [_stored(pin) for _, pin in sorted(pins.items())]}
            durable.write_bytes(path(), (json.dumps(stored, indent=1, ensure_ascii=False) + "\n").encode(), 0o600)


def _stored(pin: Pin) -> dict[str, object]:
    heads = {str(size): base64.b64encode(root).decode() for size, root in pin.heads.items()}
    plain = {name: value for name, value in asdict(pin).items() if name != "key"}
    return {**plain, "key": str(pin.key), "heads": heads, "rotations": list(pin.rotations), "places": list(pin.places)}


@contextmanager
def _locked() -> Iterator[None]:
    """Several processes may meet an archive for the first time at once."""
    path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path().with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
