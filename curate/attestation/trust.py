"""Who made a release: its key against the one that is pinned, or given; its log against what was seen of it before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curate import contract
from curate.attestation import pinned_keys
from curate.attestation.checkpoint_verification import Reader, VerifiedCheckpoint, verified_checkpoint
from curate.attestation.pinned_keys import Pin
from curate.attestation.release_attestations import FOLDER, LEAVES
from curate.core import clock, versions
from curate.core.digests import sha256_file
from curate.core.errors import CurateError, InputError, RefusedError, StorageError, quoted
from curate.transparency import commitments, merkle, signed_note, signing_keys
from curate.transparency.signed_note import PublicKey
from curate.untrusted import parquet
from curate.untrusted.foreign_files import UnsafeFileError, problem

_HINT = "Do not use it; ask the archive by another way."


class UntrustedError(RefusedError):
    """A release that is not what its archive's pinned or given key has signed for; `rule` says why."""

    def __init__(self, rule: str, message: str, *, hint: str = _HINT) -> None:
        super().__init__(message, hint=hint)
        self.rule = rule

    def __reduce__(self) -> tuple[object, ...]:
        return (UntrustedError, (self.rule, self.message))


@dataclass(frozen=True, slots=True)
class Offer:
    """A release as it is offered: what it is called, and its `release.json` with its digest.

    `place` names the hub, if it comes from one; `newest`: it was asked for as the newest there.
    """

    reference: str
    content: Mapping[str, Any]
    digest: str
    read: Reader
    place: str = ""
    newest: bool = False

    @property
    def version(self) -> str:
        """Its version."""
        return str(self.content["version"])

    @property
    def names(self) -> str:
        """The archive as an archive of this publisher and title is called when it is made."""
        return "/".join(signed_note.key_name(str(self.content.get(key, ""))) for key in ("publisher", "title"))

    @property
    def digests(self) -> list[str]:
        """That of its `release.json`, and those of before withdrawals changed it."""
        recut = self.content.get("recut")
        listed = recut.get("replaces") if isinstance(recut, dict) else None
        return [self.digest, *(str(one) for one in (listed if isinstance(listed, list) else ()))]

    @property
    def told(self) -> str:
        """What a message calls it."""
        return f"{self.reference} {self.version}"


@dataclass(frozen=True, slots=True)
class Origin:
    """What is known of who made a release.

    `state` is `pinned`, `given`, `own` (the archive's own folder), `first` (pinned now), `unkept` (seen for the first
    time, and not kept), `open` (signed, but not approved yet) or `unsigned`; `key` the one that signed.
    """

    state: str
    name: str = ""
    key: str = ""
    since: str = ""


def own_key(folder: Path) -> PublicKey | None:
    """The key of the archive in whose folder a release lies; None where it lies elsewhere."""
    root = folder.absolute().parent.parent
    if not (root / "archive.toml").is_file() or folder.absolute().parent.name != "releases":
        return None
    try:
        return signing_keys.read(root / signing_keys.LOG_KEY).public
    except CurateError:  # None: `doctor` says what is wrong with it
        return None


def reader(folder: Path) -> Reader:
    """The files of a release's folder that may be read."""
    return lambda name: None if problem(folder, name) else folder / name


def confirm(offer: Offer, key: PublicKey | None = None, own: PublicKey | None = None) -> Origin:
    """Hold a release against the archive's key; one that is seen for the first time is pinned.

    Raises:
        UntrustedError: another key has signed, none has, approvals are lacking, or the log went back or was forked.
        DamagedError: the pins cannot be read.
    """
    held = {} if own else pinned_keys.read()
    found = verified_checkpoint(offer.version, offer.digests, offer.read)
    pin = _pin_of(offer, found, held)
    if isinstance(found, str):
        return _unsigned(offer, found, pin, key or own)
    if own or key:
        _same_key(offer, found, Pin(own or key, "", "given"))  # type: ignore[arg-type]
    elif pin:
        _same_key(offer, found, pin)
    if own:
        return Origin("open" if found.lacking else "own", found.key.name, str(found.key))
    if found.lacking and (pin or key):
        raise UntrustedError(
            "TRUST_NOT_APPROVED",
            f"{offer.told} lacks {found.lacking} of the {found.said.approval.required} approvals that"
            f" {found.key.name} asks for.",
        )
    if found.lacking:
        return Origin("open", found.key.name, str(found.key))
    if pin and not (key and found.key not in pin.believed(found.rotations)):
        _same_history(offer, found, pin)
    return _keep(offer, found, pin, key)


def _pin_of(offer: Offer, found: VerifiedCheckpoint | str, held: Mapping[str, Pin]) -> Pin | None:
    """The pin that a release must satisfy: of its hub, of its key's name, or of the archive that it claims to be."""
    here = next((pin for pin in held.values() if offer.place and offer.place in pin.places), None)
    if here is not None:
        return here
    named = None if isinstance(found, str) else held.get(found.key.name)
    return named or held.get(offer.names)


def _unsigned(offer: Offer, rule: str, pin: Pin | None, key: PublicKey | None) -> Origin:
    if pin or key:
        name = pin.name if pin else str(key).partition("+")[0]
        said = "is not signed" if not rule else f"is not soundly signed ({rule})"
        since = f", whose key is pinned since {pin.since}" if pin and pin.since else ""
        raise UntrustedError("TRUST_NOT_SIGNED", f"{offer.told} {said} by {name}{since}.", hint=_forget(name))
    if rule:
        raise UntrustedError("TRUST_NOT_SIGNED", f"{offer.told} is not soundly signed ({rule}).")
    return Origin("unsigned")


def _forget(name: str) -> str:
    return f"{_HINT} If it says that this is right: curate trust remove {quoted(name)}"


def _same_key(offer: Offer, found: VerifiedCheckpoint, pin: Pin) -> None:
    if found.key in pin.believed(found.rotations):
        return
    since = f", pinned since {pin.since}" if pin.since else ", which was given"
    other = "another archive" if found.key.name != pin.name else "another key"
    raise UntrustedError(
        "TRUST_OTHER_KEY",
        f"{offer.told} is signed by {other} ({found.key}), not by the key of {pin.name}{since}.",
        hint=_forget(pin.name) if pin.since else _HINT,
    )


def _same_history(offer: Offer, found: VerifiedCheckpoint, pin: Pin) -> None:
    """The log is the one that was seen before, and no shorter where it is offered as the newest."""
    size, root = found.point.size, found.point.root
    if pin.heads.get(size, root) != root:
        raise _forked(offer, pin)
    if offer.newest and size < pin.size:
        raise UntrustedError(
            "TRUST_ROLLBACK",
            f"{offer.told} is offered as the newest, but {pin.name} had published {pin.version} already:"
            f" its log had {pin.size} entries, and has {size} here.",
            hint=f"Somebody shows an older state. Try again; ask the archive; or name it: --version {offer.version}",
        )
    if size > pin.size and pin.heads:
        _extended(offer, found, pin)


def _extended(offer: Offer, found: VerifiedCheckpoint, pin: Pin) -> None:
    """The log begins with every head that was seen of it (RFC 6962, 2.1)."""
    hashes = _hashes(offer, found)
    for size, root in pin.heads.items():
        if size <= len(hashes) and merkle.root(merkle.levels(hashes[:size])) != root:
            raise _forked(offer, pin)


def _hashes(offer: Offer, found: VerifiedCheckpoint) -> list[bytes]:
    """The hashes of the log's leaves, whose head is the signed one."""
    path = offer.read(f"{FOLDER}/{LEAVES}")
    if path is None or sha256_file(path) != found.said.files.get(LEAVES):
        raise UntrustedError("TRUST_NOT_SIGNED", f"{offer.told} does not bring the log that {found.key.name} signed.")
    parquet.check(path, LEAVES)
    with pq.ParquetFile(path) as file:
        if contract.check_schema("leaves", file.schema_arrow):
            raise UntrustedError("TRUST_NOT_SIGNED", f"The log of {offer.told} cannot be read.")
        rows = file.read(["kind", "commitment"]).to_pydict()
    hashes = [commitments.leaf_hash(kind, made) for kind, made in zip(rows["kind"], rows["commitment"], strict=True)]
    if (len(hashes), merkle.root(merkle.levels(hashes))) != (found.point.size, found.point.root):
        raise UntrustedError("TRUST_NOT_SIGNED", f"The log of {offer.told} is not the one that was signed.")
    return hashes


def _forked(offer: Offer, pin: Pin) -> UntrustedError:
    told = f"{offer.told} comes with another history of {pin.name} than was seen before."
    return UntrustedError("TRUST_FORK", told, hint=f"{_HINT} Keep both copies: they prove it.")


def _keep(offer: Offer, found: VerifiedCheckpoint, pin: Pin | None, key: PublicKey | None) -> Origin:
    """Keep what was seen; test material that comes from no hub on the network is not pinned by itself."""
    new = pin is None
    name, text = found.key.name, str(found.key)
    local = offer.place.startswith("file:") or not offer.place
    if new and not key and local and offer.content.get("population") == "test":
        return Origin("unkept", name, text)
    if new:
        _hashes(offer, found)
    today = clock.now().date().isoformat()
    made = pin or Pin(key or found.key, today, "given" if key else "first use")
    if key and pin and found.key not in pin.believed(found.rotations):
        return Origin("given", name, text)  # this once: the pin stays what it is
    newest = max(filter(None, (made.version, offer.version)), key=versions.parse)
    grown = made.seen(found.point.size, found.point.root, found.rotations, newest, offer.place)

    def keep(held: dict[str, Pin]) -> None:
        if grown.name in held and new:
            return  # another process pinned it meanwhile; the next look compares
        held[grown.name] = grown

    try:
        if grown != pin:
            pinned_keys.change(keep)
    except StorageError:
        return Origin("unkept" if new and not key else "pinned", name, text, made.since)
    return Origin("given" if key else "first" if new else "pinned", name, text, made.since)


def public_key(text: str) -> PublicKey:
    """The public key of a text, of a file that holds one, or of the one release in a folder, as it states itself.

    Raises:
        InputError: it is none.
    """
    path = Path(text)
    if "+" not in text and path.is_file():
        return signed_note.public_key(path.read_bytes()[:4096].decode("utf-8", "replace"))
    return signed_note.public_key(text)


def add(key: PublicKey) -> Pin:
    """Pin a key that its archive told by another way.

    Raises:
        InputError: another key is pinned under that name.
    """
    made = Pin(key, clock.now().date().isoformat(), "given")

    def put(held: dict[str, Pin]) -> None:
        before = held.get(key.name)
        if before and before.key != key:
            raise InputError(
                f"{key.name} has another key pinned, since {before.since}.",
                hint=f"Take it away first: curate trust remove {quoted(key.name)}",
            )
        held[key.name] = before or made

    pinned_keys.change(put)
    return pinned_keys.read()[key.name]


def remove(name: str) -> Pin:
    """Forget an archive's key.

    Raises:
        InputError: none is pinned under that name.
    """
    gone: list[Pin] = []

    def take(held: dict[str, Pin]) -> None:
        if name not in held:
            known = ", ".join(sorted(held)) or "none"
            raise InputError(f"No key of {name} is pinned.", hint=f"Pinned are: {known}.")
        gone.append(held.pop(name))

    pinned_keys.change(take)
    return gone[0]


__all__ = ["Offer", "Origin", "UnsafeFileError", "UntrustedError", "add", "confirm", "own_key", "reader", "remove"]
