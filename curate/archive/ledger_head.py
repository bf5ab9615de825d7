"""The number and digest of the last event, in a file beside the ledger: an older `ledger.db` is detected by it.

One line, `SEQ HEAD`: the number of the last event, and the digest over all events up to it. Written whenever a
command that changed the ledger has ended; while the ledger does not know the state that is kept, it stays.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from curate.core import durable

if TYPE_CHECKING:
    from curate.archive.ledger import Ledger

NAME = "ledger.head"


def knows(root: Path, ledger: Ledger) -> bool:
    """Whether the ledger went through the state that was kept last; without a file nothing says otherwise."""
    kept = _read(root)
    return kept is None or ledger.head_at(kept[0]) == kept[1]


def lags(root: Path, ledger: Ledger) -> bool:
    """Whether the command that changed the ledger last was killed before it kept its state."""
    kept = _read(root)
    return kept is not None and kept != ledger.tip() and knows(root, ledger)


def keep(root: Path, ledger: Ledger, *, anyway: bool = False) -> None:
    """Write the ledger's present state, unless it does not know the one that is kept (`anyway`: it is given up).

    Raises:
        StorageError: the disk is full or fails.
    """
    seq, head = ledger.tip()
    if (seq, head) == _read(root) or not (anyway or knows(root, ledger)):
        return
    with durable.storage_errors("keep the ledger's state"):
        for left in sorted(root.glob(f".{NAME}.*.tmp")):  # a run was killed as it wrote
            left.unlink()
        durable.write_bytes(root / NAME, f"{seq} {head.hex()}\n".encode(), 0o600)


def _read(root: Path) -> tuple[int, bytes] | None:
    try:
        seq, head = (root / NAME).read_text(encoding="ascii").split()
        return int(seq), bytes.fromhex(head)
    except FileNotFoundError:  # of an archive that was made before
        return None
    except ValueError:  # no state that any ledger had
        return 0, b""
