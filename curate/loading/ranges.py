"""Wanted instances as few range requests: neighbours in a pack are read together, nothing else with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.core.errors import DamagedError, HubError
from curate.loading.source import Source

JOIN_GAP = 512  # bytes between neighbours: a page header of the pack, and its length
REQUEST_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """One instance, where its bytes lie, and the digest that they must have."""

    study: str
    series: str
    instance: str
    sha256: bytes
    pack: str
    offset: int
    size: int

    @classmethod
    def of(cls, row: dict[str, Any]) -> Wanted:
        """From a row of `instances`."""
        return cls(
            row["study_id"],
            row["SeriesInstanceUID"],
            row["SOPInstanceUID"],
            row["sha256"],
            row["pack"],
            row["offset_bytes"],
            row["size_bytes"],
        )

    @property
    def end(self) -> int:
        """Offset behind its last byte."""
        return self.offset + self.size


Span = tuple[Wanted, ...]


def spans(wanted: Iterable[Wanted]) -> Iterator[Span]:
    """Instances, sorted by pack and offset, that one request reads: at most 8 MB, or one larger instance."""
    held: list[Wanted] = []
    for one in wanted:
        if held and not _joins(held, one):
            yield tuple(held)
            held = []
        held.append(one)
    if held:
        yield tuple(held)


def _joins(held: list[Wanted], one: Wanted) -> bool:
    near = one.pack == held[-1].pack and 0 <= one.offset - held[-1].end <= JOIN_GAP
    return near and one.end - held[0].offset <= REQUEST_BYTES


def read_span(source: Source, span: Span) -> Iterator[tuple[Wanted, bytes]]:
    """Each instance of a span with its bytes, verified; one that arrives damaged is asked for again, alone.

    Raises:
        HubError: it arrives damaged again.
        DamagedError: the pack on disk is damaged.
    """
    start = span[0].offset
    data = memoryview(source.read(span[0].pack, start, span[-1].end - start))
    for one in span:
        part = bytes(data[one.offset - start : one.end - start])
        if hashlib.sha256(part).digest() != one.sha256:
            part = source.read(one.pack, one.offset, one.size)
        if hashlib.sha256(part).digest() != one.sha256:
            raise damaged(source, one)
        yield one, part


def write_large(source: Source, one: Wanted, target: Path) -> None:
    """Write an instance to a file in pieces, so that memory stays flat; verified, and tried twice.

    Raises:
        HubError: it arrives damaged.
        DamagedError: the pack on disk is damaged.
    """
    for _ in range(2):
        digest = hashlib.sha256()
        with target.open("wb") as out:
            for offset in range(one.offset, one.end, REQUEST_BYTES):
                piece = source.read(one.pack, offset, min(REQUEST_BYTES, one.end - offset))
                digest.update(piece)
                out.write(piece)
        if digest.digest() == one.sha256:
            return
    raise damaged(source, one)


def damaged(source: Source, one: Wanted) -> HubError | DamagedError:
    """What to say of an instance whose bytes are not the published ones."""
    if source.folder is not None:
        return DamagedError(
            f"Instance {one.instance} in {source.folder} is not what was released.",
            hint="Run `curate check` on the release; fetch it again.",
        )
    return HubError(
        f"Instance {one.instance} arrives otherwise than it was published.",
        hint="Run the same command again: it goes on where it stopped. Tell the archive if it stays.",
    )


Sink = Callable[[Wanted, bytes], None]
