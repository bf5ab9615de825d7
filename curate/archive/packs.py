"""Packs: Parquet files of whole studies in which every instance lies in one piece at a known offset.

No compression, no dictionary, no statistics on the bytes, one page a row, row groups of one study and at
most 16 MB. So `offset_bytes` and `size_bytes` are enough to read one DICOM instance with one range request.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate import contract, durable
from curate.archive.stores import Store
from curate.errors import DamagedError

ROW_GROUP_BYTES = 16 << 20
_BYTES = "dicom.bytes"


@dataclass(frozen=True, slots=True)
class PackRow:
    """One instance on its way into a pack: ids and the Part 10 bytes."""

    study_id: str
    series: str
    instance: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Packed:
    """A written pack: SHA-256 in hex, size in bytes, and (offset, size) of each instance in row order."""

    sha256: str
    size_bytes: int
    places: tuple[tuple[int, int], ...]


def pack_path(sha256: str) -> str:
    """Where a pack lies, from the archive's or a release's root."""
    return f"packs/{sha256[:2]}/{sha256}.parquet"


class _HashingFile:
    """An open file that hashes what is written to it, with the methods that pyarrow asks for."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.sha256.update(view)
        self.size += view.nbytes
        return self._file.write(view)

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        if not self._file.closed:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    @property
    def closed(self) -> bool:
        return self._file.closed


def write_pack(rows: Iterable[PackRow], path: Path) -> Packed:
    """Write rows, sorted by study, series and slice, as one pack to a temporary path, synced.

    Memory holds one row group: 16 MB, or one larger instance.

    Raises:
        OSError: the disk refused; the partial file stays for the caller to remove.
    """
    durable.step("write", path)
    schema = contract.table("images").schema
    file = _HashingFile(path)
    sizes: list[int] = []
    try:
        with pq.ParquetWriter(
            pa.PythonFile(file, mode="w"),
            schema,
            compression="none",
            use_dictionary=False,
            write_statistics=False,
            store_schema=False,
            data_page_size=1,
            write_batch_size=1,
        ) as writer:
            for group in _row_groups(rows):
                writer.write_table(_group_table(group, schema), row_group_size=len(group))
                sizes += [len(row.data) for row in group]
        durable.step("fsync", path)
    finally:
        file.close()
    places = tuple(instance_places(path))
    if [size for _, size in places] != sizes:
        raise DamagedError(f"The pack {path.name} was not written as asked.", hint="Run the step again.")
    return Packed(file.sha256.hexdigest(), file.size, places)


def _row_groups(rows: Iterable[PackRow]) -> Iterable[list[PackRow]]:
    group: list[PackRow] = []
    size = 0
    for row in rows:
        if group and (row.study_id != group[0].study_id or size + len(row.data) > ROW_GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(row)
        size += len(row.data)
    if group:
        yield group


def _group_table(group: list[PackRow], schema: pa.Schema) -> pa.Table:
    dicom = pa.StructArray.from_arrays(
        [pa.array([r.data for r in group], pa.binary()), pa.array([f"{r.instance}.dcm" for r in group])],
        fields=list(schema.field("dicom").type),
    )
    ids = [[r.study_id for r in group], [r.series for r in group], [r.instance for r in group]]
    return pa.Table.from_arrays([*(pa.array(column, pa.string()) for column in ids), dicom], schema=schema)


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
                chunk = next(
                    c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == _BYTES
                )
                if chunk.compression != "UNCOMPRESSED":
                    raise DamagedError(f"The pack {path.name} is compressed.", hint="Fetch it again.")
                position = chunk.data_page_offset
                for _ in range(group.num_rows):
                    size, start = page_header(data, position)
                    length = int.from_bytes(data[start : start + 4], "little")
                    if length + 4 != size:
                        raise DamagedError(
                            f"The pack {path.name} has a split instance.", hint="Fetch it again."
                        )
                    yield start + 4, length
                    position = start + size
    except (pa.ArrowException, OSError, IndexError, StopIteration, ValueError) as error:
        raise DamagedError(f"The pack {path.name} cannot be read.", hint="Fetch or restore it.") from error


def page_header(data: Any, position: int) -> tuple[int, int]:
    """(compressed page size, offset of the page's bytes) from a Parquet page header (Thrift compact)."""
    size = -1
    for field, kind, start in _fields(data, position):
        if field == 3 and kind == 5:
            size = _zigzag(_varint(data, start)[0])
    end = _skip(data, position, 12)
    if size < 0:
        raise ValueError("a page header without a size")
    return size, end


def _fields(data: Any, position: int) -> Iterable[tuple[int, int, int]]:
    field = 0
    while head := data[position]:
        field = field + (head >> 4) if head >> 4 else _zigzag(_varint(data, position + 1)[0])
        position = position + 1 if head >> 4 else _varint(data, position + 1)[1]
        yield field, head & 15, position
        position = _skip(data, position, head & 15)


def _varint(data: Any, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7


def _zigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)


def _skip(data: Any, position: int, kind: int) -> int:
    """Offset behind a Thrift compact value: booleans lie in the head, numbers are varints."""
    if kind in (1, 2):
        return position
    if kind == 3:
        return position + 1
    if kind in (4, 5, 6):
        return _varint(data, position)[1]
    if kind == 7:
        return position + 8
    if kind == 8:
        length, position = _varint(data, position)
        return position + length
    if kind == 12:
        while head := data[position]:
            position = position + 1 if head >> 4 else _varint(data, position + 1)[1]
            position = _skip(data, position, head & 15)
        return position + 1
    raise ValueError("a page header with an unknown field")


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
    """Write a pack into a store with its digest as name; an equal one that is there already stays.

    Raises:
        StorageError: the disk is full, read-only or failing; nothing is left behind.
    """
    with durable.storage_errors("write a pack"), store.scratch() as folder:
        packed = write_pack(rows, folder / "pack")
        store.put(folder / "pack", pack_path(packed.sha256))
        return packed
