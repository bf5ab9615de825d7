"""`curate quarantine`: what waits, why."""

from __future__ import annotations

from pathlib import Path

from curate.archive import layout
from curate.archive.ledger import QuarantineEntry


def waiting(root: Path) -> list[QuarantineEntry]:
    """What waits in an archive, oldest first."""
    with layout.opened(root, write=False) as archive:
        return list(archive.ledger.quarantined())
