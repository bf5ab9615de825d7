"""Packs that passed all checks before: an unchanged file with unchanged rows need not be read again.

Private to the archive. A pack is known by its digest, size, time of change and inode, and by what it was
compared with: the manifest's rows of it, the profile, and the tool that judged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from curate import durable
from curate.digests import canonical_json
from curate.identity import TOOL

NAME = "proven.json"
_Mark = list[int | str]


@dataclass(slots=True)
class Proven:
    """What is remembered, by digest; `forget` starts anew (`publish --full`)."""

    marks: dict[str, _Mark] = field(default_factory=dict)

    @classmethod
    def read(cls, root: Path, *, forget: bool = False) -> Proven:
        """What an archive remembers; nothing where that cannot be read, or another tool wrote it."""
        try:
            found = {} if forget else json.loads((root / NAME).read_bytes())
        except (OSError, ValueError):
            found = {}
        same = isinstance(found, dict) and found.get("tool") == TOOL and isinstance(found.get("packs"), dict)
        return cls(dict(found["packs"]) if same else {})

    def write(self, root: Path, here: Mapping[str, object]) -> None:
        """Remember it on disk, as far as the packs are still of a release that is `here`."""
        kept = {digest: mark for digest, mark in self.marks.items() if digest in here}
        text = canonical_json({"tool": TOOL, "packs": kept}).encode()
        path = root / NAME
        if not path.is_file() or path.read_bytes() != text:
            durable.write_bytes(path, text, 0o600)

    def knows(self, path: Path, compared: str) -> bool:
        """Whether this very file was compared with the same and passed."""
        mark = self.marks.get(path.stem)
        return mark is not None and mark == _mark(path, compared)

    def add(self, path: Path, compared: str) -> None:
        """Remember a file that passed."""
        self.marks[path.stem] = _mark(path, compared)


def _mark(path: Path, compared: str) -> _Mark:
    try:
        state = path.stat()
    except OSError:
        return []
    return [state.st_size, str(state.st_mtime_ns), state.st_ino, compared]
