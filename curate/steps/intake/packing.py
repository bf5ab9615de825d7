"""A study's packs under temporary names: one is closed before it passes the target size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curate.archive.packs import Bytes, Ids, Packed, PackWriter


class Packer:
    """Takes instances as they come; none is kept in memory."""

    def __init__(self, folder: Path, target_bytes: int) -> None:
        self._folder, self._target = folder, target_bytes
        self._writer: PackWriter | None = None
        self._path = folder
        self._total = 0
        self.packs: list[tuple[Path, Packed]] = []

    def add(self, ids: Ids, pieces: Sequence[Bytes]) -> None:
        """Write an instance; its pieces may be used again then."""
        size = sum(map(len, pieces))
        if self._writer is not None and self._total + size > self._target:
            self.close()
        if self._writer is None:
            self._path = self._folder / str(len(self.packs))
            self._writer, self._total = PackWriter(self._path), 0
        self._writer.add(ids, pieces)
        self._total += size

    def close(self) -> None:
        """End the pack that is open."""
        if self._writer is not None:
            self.packs.append((self._path, self._writer.close()))
            self._writer = None

    def abandon(self) -> None:
        """Let go of a pack that will not be ended; whoever called removes the file."""
        if self._writer is not None:
            self._writer.abandon()
