"""Packs: Parquet files of whole studies in which every instance lies in one piece at a known offset.

No compression, no dictionary, no statistics on the bytes, one page a row, row groups of one study and at
most 16 MB. So `offset_bytes` and `size_bytes` are enough to read one DICOM instance with one range request.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curate.archive import pack_format
from curate.archive.stores import Store
from curate.core import durable
from curate.core.errors import DamagedError
from curate.untrusted.thrift import fields

_PIECES = 1024  # that the system takes at once (IOV_MAX)
ROW_GROUP_BYTES = 16 << 20
Bytes = bytes | memoryview
_BYTES = "dicom.bytes"
_LEAVES = (
    pack_format.Leaf(("study_id",), text=True),
    pack_format.Leaf(("SeriesInstanceUID",), text=True),
    pack_format.Leaf(("SOPInstanceUID",), text=True),
    pack_format.Leaf(("dicom", "bytes"), text=False),
    pack_format.Leaf(("dicom", "path"), text=True),
)


@dataclass(frozen=True, slots=True)
class PackRow:
    """One instance on its way into a pack: ids and the Part 10 bytes."""

    study_id: str
    series: str
    instance: str
    data: bytes


class Ids(NamedTuple):
    """What a pack says of an instance beside its bytes."""

    study_id: str
    series: str
    instance: str


@dataclass(frozen=True, slots=True)
class Packed:
    """A written pack: SHA-256 in hex, size in bytes, and (offset, size) of each instance in row order."""

    sha256: str
    size_bytes: int
    places: tuple[tuple[int, int], ...]


def pack_path(sha256: str) -> str:
    """Where a pack lies, from the archive's or a release's root."""
    return f"packs/{sha256[:2]}/{sha256}.parquet"


class PackWriter:
    """A pack that grows by an instance at a time under a temporary name; memory holds none of them.

    Instances come sorted by study, series and slice, each as pieces of its Part 10 file.
    An `OSError` passes through: the disk refused, and the partial file stays for the caller to remove.
    """

    def __init__(self, path: Path) -> None:
        durable.step("write", path)
        self._path = path
        self._file = path.open("wb", buffering=0)
        self._sha256 = hashlib.sha256()
        self._places: list[tuple[int, int]] = []
        self._groups: list[list[pack_format.Chunk]] = []
        self._group: list[Ids] = []
        self._start = self.size = 0
        self._write((pack_format.MAGIC,))

    def add(self, ids: Ids, pieces: Sequence[Bytes]) -> None:
        """Write one instance: its page. The pieces may be used again when it returns."""
        size = sum(map(len, pieces))
        full = self.size - self._start + size > ROW_GROUP_BYTES
        if self._group and (full or ids.study_id != self._group[-1].study_id):
            self._end_group()
        if not self._group:
            self._start = self.size
        head = pack_format.page_head(size + 4, 1) + size.to_bytes(4, "little")
        self._places.append((self.size + len(head), size))
        self._group.append(ids)
        self._write((head, *pieces))

    def close(self) -> Packed:
        """End the file, and see it on the disk."""
        if self._group:
            self._end_group()
        self._write((pack_format.footer(_LEAVES, self._groups),))
        durable.step("fsync", self._path)
        os.fsync(self._file.fileno())
        self._file.close()
        return Packed(self._sha256.hexdigest(), self.size, tuple(self._places))

    def abandon(self) -> None:
        """Let go of the file, whatever state it is in."""
        self._file.close()

    def _end_group(self) -> None:
        """The columns of ids, behind the instances; the footer says where each lies."""
        rows, self._group = self._group, []
        images = pack_format.Chunk(self._start, self.size - self._start, len(rows))
        columns = (
            [row.study_id for row in rows],
            [row.series for row in rows],
            [row.instance for row in rows],
            [f"{row.instance}.dcm" for row in rows],
        )
        chunks = [self._text_chunk(column) for column in columns]
        self._groups.append([*chunks[:3], images, chunks[3]])

    def _text_chunk(self, values: list[str]) -> pack_format.Chunk:
        page = pack_format.text_page(values)
        chunk = pack_format.Chunk(self.size, len(page), len(values))
        self._write((page,))
        return chunk

    def _write(self, pieces: Sequence[Bytes]) -> None:
        for piece in pieces:
            self._sha256.update(piece)
        for start in range(0, len(pieces), _PIECES):
            part = pieces[start : start + _PIECES]
            size = sum(map(len, part))
            written = os.writev(self._file.fileno(), part)
            if written != size:
                self._write_rest(b"".join(part), written)
            self.size += size

    def _write_rest(self, data: bytes, written: int) -> None:
        """What the system did not take at once: a nearly full disk takes a part before it refuses."""
        view = memoryview(data)
        while written < len(data):
            written += os.write(self._file.fileno(), view[written:])


def write_pack(rows: Iterable[PackRow], path: Path) -> Packed:
    """Write rows as one pack to a temporary path, synced.

    Raises:
        OSError: the disk refused; the partial file stays for the caller to remove.
    """
    writer = PackWriter(path)
    try:
        for row in rows:
            writer.add(Ids(row.study_id, row.series, row.instance), (row.data,))
        return writer.close()
    finally:
        writer.abandon()


def instance_places(path: Path) -> Iterable[tuple[int, int]]:
    """(offset, size) in bytes of each instance of a pack, in row order, by walking its page headers.

    Raises:
        DamagedError: the file is not a pack: unreadable, compressed, or an instance split over pages.
    """
    try:
        with pq.ParquetFile(path) as file:
            metadata = file.metadata
        with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for number in range(metadata.num_row_groups):
                group = metadata.row_group(number)
                chunk = next(c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == _BYTES)
                if chunk.compression != "UNCOMPRESSED":
                    raise DamagedError(f"The pack {path.name} is compressed.", hint="Fetch it again.")
                position = chunk.data_page_offset
                for _ in range(group.num_rows):
                    size, start = page_header(data, position)
                    length = int.from_bytes(data[start : start + 4], "little")
                    if length + 4 != size:
                        raise DamagedError(f"The pack {path.name} has a split instance.", hint="Fetch it again.")
                    yield start + 4, length
                    position = start + size
    except (pa.ArrowException, OSError, IndexError, StopIteration, ValueError) as error:
        raise DamagedError(f"The pack {path.name} cannot be read.", hint="Fetch or restore it.") from error


def page_header(data: Any, position: int) -> tuple[int, int]:
    """(compressed page size, offset of the page's bytes) from a Parquet page header (Thrift compact)."""
    head = fields(data, position)
    size = head.values.get(3, -1)
    if not isinstance(size, int) or size < 0:
        raise ValueError("a page header without a size")
    return size, head.end


def read_instance(path: Path, offset: int, size: int) -> bytes:
    """One instance's bytes out of a pack.

    Raises:
        DamagedError: the pack is shorter than the manifest says.
    """
    with path.open("rb") as file:
        data = os.pread(file.fileno(), size, offset)
    if len(data) != size:
        raise DamagedError(f"The pack {path.name} is cut short.", hint="Run `curate doctor` on the archive.")
    return data


def store_pack(rows: Iterable[PackRow], store: Store) -> Packed:
    """Write a pack into a store with its digest as name; an equal one that is there already, and sound, stays.

    Raises:
        StorageError: the disk is full, read-only or failing; nothing is left behind.
    """
    with durable.storage_errors("write a pack"), store.scratch() as folder:
        packed = write_pack(rows, folder / "pack")
        name = pack_path(packed.sha256)
        store.put(folder / "pack", name, replace=not store.holds(name))
        return packed
