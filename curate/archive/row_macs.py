"""Keyed digests of the ledger's erasable rows: an edited row shows when it is read, and goes with its digest.

A seal is 64 bytes: the SHA-256 over what is large, and HMAC-SHA256 under the archive's key (RFC 2104) over that
digest and the rest. So the small part of a row can be believed without reading the large one.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from curate.core.errors import DamagedError

Cell = str | bytes | int | None
_SIZE = hashlib.sha256().digest_size


def seal(key: bytes, small: Sequence[Cell], large: Sequence[Cell]) -> bytes:
    """The seal of a row; `small` and `large` are its cells, always in the same order."""
    digest = _digest(large)
    return digest + _keyed(key, small, digest)


def refuse_other(key: bytes, kept: bytes, small: Sequence[Cell], large: Sequence[Cell] | None = None) -> None:
    """Refuse a row that is not the one that was sealed; without `large`, only that much of it is looked at.

    Raises:
        DamagedError: it was edited, damaged, or written under another archive's key.
    """
    digest, keyed = kept[:_SIZE], kept[_SIZE:]
    sound = hmac.compare_digest(keyed, _keyed(key, small, digest))
    if not sound or (large is not None and digest != _digest(large)):
        raise DamagedError(
            f"The ledger's record of study {small[0]!s} is not what was written.",
            hint="Restore ledger.db from your backup; or withdraw that study, and take it in again.",
        )


def _keyed(key: bytes, small: Sequence[Cell], digest: bytes) -> bytes:
    return hmac.digest(key, b"".join(map(_framed, small)) + digest, "sha256")


def _digest(cells: Sequence[Cell]) -> bytes:
    found = hashlib.sha256()
    for cell in cells:
        found.update(_framed(cell))
    return found.digest()


def _framed(cell: Cell) -> bytes:
    """A cell with its kind and length before it, so that two rows never give the same bytes."""
    if isinstance(cell, bytes):
        return b"bytes %d " % len(cell) + cell
    data = str(cell).encode()
    return f"{type(cell).__name__} {len(data)} ".encode() + data
