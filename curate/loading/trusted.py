"""A release that its archive's pinned key has signed: what every reader of a release begins with."""

from __future__ import annotations

import warnings
from pathlib import Path

from curate.attestation import trust
from curate.attestation.release_attestations import APPROVALS, CHECKPOINT, FOLDER, KEYS, LEAVES
from curate.attestation.trust import Offer, Origin
from curate.loading import download
from curate.loading import source as sources
from curate.loading.source import Source

PROOFS = tuple(f"{FOLDER}/{name}" for name in (CHECKPOINT, KEYS, APPROVALS, LEAVES))
"""What signs a release, from its root."""


class TrustWarning(UserWarning):
    """Something about who made a release that a reader should know."""


def find(reference: str | Path, version: str | None = None, key: str = "") -> Source:
    """The source of a release, as `source.find`; signed by the key that is pinned for its archive, or given.

    A key that is seen for the first time is pinned, and a warning says so.

    Raises:
        UntrustedError: it is not signed so.
        InputError, HubError: as `source.find`; or the key given is none.
    """
    found = sources.find(reference, version)
    tell(found.reference, found.version, confirm(found, newest=version is None, key=key))
    return found


def tell(reference: str, version: str, origin: Origin) -> None:
    """Warn the caller's caller of a key that was met for the first time, and of a release that is not approved yet."""
    if origin.state == "first":
        told = f"The key of {origin.name} was met for the first time, and is pinned now: {origin.key}."
        asked = "Compare it with the one that the archive publishes elsewhere."
        warnings.warn(f"{told} {asked}", TrustWarning, stacklevel=4)
    elif origin.state == "open":
        warnings.warn(f"{reference} {version} is not approved yet.", TrustWarning, stacklevel=4)


def confirm(source: Source, *, newest: bool = False, key: str = "") -> Origin:
    """Hold a source against the pins.

    Raises:
        UntrustedError: it is not what its archive's key has signed for.
    """
    facts, digest = download.release_facts(source)
    there = download.held(source, PROOFS)

    def read(name: str) -> Path | None:
        return download.files(source, [name])[0] if name in there else None

    folder = source.folder
    offer = Offer(
        source.reference,
        facts,
        digest,
        trust.reader(folder) if folder else read,
        source.home,
        newest and bool(source.home),
    )
    own = trust.own_key(folder) if folder else None
    return trust.confirm(offer, trust.public_key(key) if key else None, own)
