"""The keys that an archive's secret gives, one a purpose (HKDF, RFC 5869)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Secrets of one archive, 32 bytes each, derived from its `secret.key`.

    `storage` seals the archive's own lists (receipts), `quarantine` what waits. A worker's copy is without what
    only the coordinator needs: there these keys are empty, and no id is made with one.
    """

    uid: bytes
    donor: bytes
    fold: bytes
    order: bytes
    tombstone: bytes
    storage: bytes
    quarantine: bytes
    source: bytes

    @classmethod
    def from_secret(cls, secret: bytes) -> Keys:
        """The keys that a secret gives: HKDF-SHA256, one label a purpose (RFC 5869)."""
        labels = (f"curate {name.name}".encode() for name in fields(cls))
        return cls(*(HKDF(hashes.SHA256(), 32, None, label).derive(secret) for label in labels))

    def of_worker(self) -> Keys:
        """What rewriting and quarantining need."""
        return replace(self, fold=b"", tombstone=b"", storage=b"")
