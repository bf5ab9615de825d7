"""`curate trust`: the keys of archives whose releases a person reads."""

from __future__ import annotations

from curate.attestation import pinned_keys, trust
from curate.attestation.pinned_keys import Pin

__all__ = ["Pin", "add_trust", "list_trust", "remove_trust"]


def add_trust(key: str) -> Pin:
    """Pin an archive's public key, or that of a file.

    Raises:
        InputError: it is none, or another one is pinned for that archive.
        StorageError: it cannot be kept.
    """
    return trust.add(trust.public_key(key))


def list_trust() -> list[Pin]:
    """The pinned keys, by the archives' names.

    Raises:
        DamagedError: they cannot be read.
    """
    return [pin for _, pin in sorted(pinned_keys.read().items())]


def remove_trust(name: str) -> Pin:
    """Forget an archive's key.

    Raises:
        InputError: none is pinned under that name.
        StorageError: the change cannot be kept.
    """
    return trust.remove(name)
