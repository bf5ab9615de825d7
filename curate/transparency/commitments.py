"""What a leaf of the public log is: a salted commitment, of which kind, and what opens it.

A leaf's data are a byte for its kind and the SHA-256 of a salt of 32 random bytes and a text. The text is canonical
JSON (RFC 8785): of a consent the study's id and its licence, of a withdrawal the hashes of the digests that it
revokes. Without the salt a leaf says nothing; a withdrawal erases the salt of the consent that it ends.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from curate.core.digests import canonical_json
from curate.transparency import merkle

CONSENT, WITHDRAWAL = "consent", "withdrawal"
SALT_BYTES = 32
_MARKS = {CONSENT: b"C", WITHDRAWAL: b"W"}


def consent(study_id: str, license_id: str) -> str:
    """The text of a consent."""
    return canonical_json({"license": license_id, "study_id": study_id})


def withdrawal(revoked: Iterable[bytes]) -> str:
    """The text of a withdrawal: hashed digests in hex, sorted; none where nothing had been published."""
    return canonical_json({"revokes": sorted(digest.hex() for digest in revoked)})


def commitment(salt: bytes, text: str) -> bytes:
    """What a leaf shows of a text."""
    return hashlib.sha256(salt + text.encode()).digest()


def leaf_hash(kind: str, committed: bytes) -> bytes:
    """The leaf's hash in the tree."""
    return merkle.leaf_hash(_MARKS[kind] + committed)


def studied(text: str) -> tuple[str, str] | None:
    """Study and licence of a consent's text; None where it is not exactly one."""
    found = _read(text)
    if found is None or found.keys() != {"license", "study_id"}:
        return None
    pair = (found["study_id"], found["license"])
    return pair if all(isinstance(value, str) for value in pair) else None


def revoked(text: str) -> list[bytes] | None:
    """The hashed digests of a withdrawal's text; None where it is not exactly one."""
    found = _read(text)
    if found is None or found.keys() != {"revokes"} or not isinstance(found["revokes"], list):
        return None
    try:
        digests = [bytes.fromhex(digest) for digest in found["revokes"]]
    except (TypeError, ValueError):
        return None
    return digests if withdrawal(set(digests)) == text and all(len(d) == 32 for d in digests) else None


def _read(text: str) -> dict[str, Any] | None:
    """An object in its one canonical form."""
    try:
        found = json.loads(text)
        return found if isinstance(found, dict) and canonical_json(found) == text else None
    except (ValueError, RecursionError):  # any other text opens nothing: the caller says so
        return None
