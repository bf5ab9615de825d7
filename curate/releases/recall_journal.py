"""What a recall is to do, on disk before anything of it is done."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from curate.core import durable
from curate.core.digests import canonical_json

JOURNALS = "recalls"


@dataclass(slots=True)
class Journal:
    """What is to be done, on disk before anything is: `before` says who could read each target."""

    subject: str
    number: int
    reason: str
    studies: list[str]
    versions: list[str]
    before: dict[str, dict[str, Any] | None]
    remaining: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Its file's name."""
        return f"{hashlib.sha256(self.subject.encode()).hexdigest()[:16]}.json"


def journals(root: Path) -> list[Journal]:
    """Those of all recalls that are not finished."""
    return [Journal(**json.loads(path.read_bytes())) for path in sorted((root / JOURNALS).glob("*.json"))]


def write(root: Path, journal: Journal) -> None:
    """Put a journal on disk.

    Raises:
        StorageError: the disk is full or fails.
    """
    with durable.storage_errors("write the recall's journal"):
        (root / JOURNALS).mkdir(mode=0o700, exist_ok=True)
        durable.write_bytes(root / JOURNALS / journal.name, canonical_json(asdict(journal)).encode(), 0o600)
