"""What of a release a file may hold, in every form in which this tool, `datasets` and the hub's client leave copies.

DICOM files; Parquet and Arrow files with them in any column (packs, caches of `datasets`, `save_to_disk`,
`to_parquet`), or with rows of studies; tar files, compressed or not, and zip files with any of these. Plain text
holds no images. Whatever else may hold some cannot be looked into, and is said to be `unread`.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pydicom

from curate.core.errors import InputError

_STUDY = "study_id"
_DEEP = 2  # a container in a container
_LARGEST = 4 << 30  # bytes of one member, and of all of one container
_HARMLESS = (b"\x7fELF", b"MZ", b"#!")  # programs
_TEXT = 1 << 20  # bytes of a line
_LONG_TEXT, _LONG_LIST = 64 << 10, 1 << 10  # bytes of a cell
_BATCH = 16
_IN_MEMORY = 64 << 20


@dataclass(frozen=True, slots=True)
class CopyRecord:
    """An instance (SHA-256, SOPInstanceUID, study) that a file holds; a `row` only tells of it, or of a study."""

    path: str
    digest: bytes | None
    instance: str | None = None
    study: str | None = None
    row: bool = False


@dataclass(slots=True)
class Inside:
    """What a file holds; `unread`: there may be more, in a form that is not known."""

    held: list[CopyRecord] = field(default_factory=list)
    unread: bool = False


class _UnknownError(Exception):
    """This may hold images in a form that is not known, or is damaged."""


def look(folder: Path, path: Path) -> Inside:
    """What a file below a folder holds.

    Raises:
        InputError: it cannot be read.
    """
    name, found = path.relative_to(folder).as_posix(), Inside()
    try:
        with path.open("rb") as file:
            _look(name, file, path.stat().st_size, found, 0)
    except OSError:
        raise InputError(f"{name} cannot be read.", hint="Check its permissions.") from None
    return found


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _look(name: str, file: IO[bytes], size: int, found: Inside, deep: int) -> None:
    try:
        found.held += _of(name, file, size, found, deep)
    except (_UnknownError, pa.ArrowException, tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError):
        found.unread = True
    except (ValueError, LookupError, NotImplementedError, RuntimeError, MemoryError):  # damaged, or under a password
        found.unread = True


def _of(name: str, file: IO[bytes], size: int, found: Inside, deep: int) -> list[CopyRecord]:
    head = file.read(512)
    file.seek(0)
    if head[128:132] == b"DICM":
        return [_instance(name, file)]
    if head.startswith(b"PAR1"):
        with pq.ParquetFile(file) as parquet:
            return list(_rows(name, parquet.schema_arrow, parquet.iter_batches(batch_size=_BATCH)))
    if head.startswith(b"ARROW1"):
        with pa.ipc.open_file(file) as feather:
            return list(_rows(name, feather.schema, map(feather.get_batch, range(feather.num_record_batches))))
    if head.startswith(b"\xff\xff\xff\xff") and size > 8:  # a stream: the caches of `datasets`
        with pa.ipc.open_stream(file) as stream:
            return list(_rows(name, stream.schema, stream))
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _members(name, _zipped(file), found, deep)
    if head[257:262] == b"ustar" or head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00")):
        return _members(name, _tarred(file), found, deep)
    if not head or head.startswith(_HARMLESS) or _is_compiled(name) or _is_text(file):
        return []
    bare = _bare(name, file) if head[:2] in (b"\x02\x00", b"\x08\x00") else None
    if bare is None:
        raise _UnknownError
    return [bare]


def _is_compiled(name: str) -> bool:
    return name.endswith((".pyc", ".so"))


def _is_text(file: IO[bytes]) -> bool:
    """Whether all of a file is text, without a line so long that bytes may hide in it."""
    line, rest = 0, b""
    while block := file.read(_TEXT):
        try:
            (rest + block).decode()
            rest = b""
        except UnicodeDecodeError as error:
            if error.start < len(rest + block) - 3:
                return False
            rest = (rest + block)[error.start :]
        if b"\x00" in block:
            return False
        parts = block.split(b"\n")
        line = line + len(block) if len(parts) == 1 else len(parts[-1])
        if max(line, *map(len, parts)) >= _TEXT:
            return False
    return not rest


def _instance(name: str, file: IO[bytes]) -> CopyRecord:
    found = hashlib.sha256()
    while block := file.read(1 << 20):
        found.update(block)
    file.seek(0)
    return CopyRecord(name, found.digest(), _uid(file))


def _uid(file: IO[bytes], *, force: bool = False) -> str | None:
    try:
        dataset = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPInstanceUID"], force=force)
        return str(dataset.SOPInstanceUID) if "SOPInstanceUID" in dataset else None
    except Exception:  # damaged in whatever way: its bytes are not the release's
        return None


def _bare(name: str, file: IO[bytes]) -> CopyRecord | None:
    """An instance that lost its preamble: its bytes are no release's, its id may be."""
    file.seek(0)
    uid = _uid(file, force=True)
    return CopyRecord(name, bytes(32), uid) if uid else None


def _rows(name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[CopyRecord]:
    """The instances in any column of binary cells, and what the rows tell of studies and instances.

    Raises:
        _UnknownError: cells may hold images in another form.
    """
    media = [column.name for column in schema if _is_media(column.type)]
    told: set[tuple[bytes | None, str]] = set()
    for batch in batches:
        if any(_is_large(batch.column(c.name)) for c in schema if c.name not in media):
            raise _UnknownError
        uids, studies = (_texts(batch, column) for column in ("SOPInstanceUID", _STUDY))
        for column in media:
            cells = batch.column(column).to_pylist()
            for uid, study, cell in zip(uids, studies, cells, strict=True):
                data = cell.get("bytes") if isinstance(cell, dict) else cell
                if data is not None and data[128:132] == b"DICM":
                    yield CopyRecord(name, hashlib.sha256(data).digest(), uid or _uid(io.BytesIO(data)), study)
                elif data and study is None and len(data) != 32:
                    raise _UnknownError  # an image, of nobody knows whom
                elif study is not None:
                    told.add((data if column == "sha256" else None, study))
        told.update((None, study) for study in studies if study is not None and not media)
    yield from (CopyRecord(name, data, study=study, row=True) for data, study in sorted(told, key=str))


def _texts(batch: pa.RecordBatch, column: str) -> list[Any]:
    found = batch.column(column).to_pylist() if column in batch.schema.names else [None] * batch.num_rows
    return [None if cell is None else str(cell) for cell in found]


def _is_media(kind: pa.DataType) -> bool:
    """Whether cells are bytes, or bytes with a path, as `datasets` stores files."""
    if pa.types.is_struct(kind):
        return {kind.field(n).name for n in range(kind.num_fields)} == {"bytes", "path"}
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _is_large(column: pa.Array) -> bool:
    """Whether cells may hold pixels, as numbers in lists or coded as text, by their size."""
    kind = column.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    return bool(column.nbytes > (_LONG_TEXT if text else _LONG_LIST) * max(1, len(column)))


def _members(name: str, members: Iterable[tuple[IO[bytes], int]], found: Inside, deep: int) -> list[CopyRecord]:
    """What a container's files hold, each under the container's own name.

    Raises:
        _UnknownError: it holds more than can be looked at.
    """
    if deep >= _DEEP:
        raise _UnknownError
    inside, total = Inside(), 0
    for file, size in members:
        total += size
        if total > _LARGEST:
            raise _UnknownError
        _look(name, file, size, inside, deep + 1)
        found.held += inside.held
        found.unread = found.unread or inside.unread
        inside = Inside()
    return []


def _zipped(file: IO[bytes]) -> Iterator[tuple[IO[bytes], int]]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as opened:
                    yield from _read(opened)


def _tarred(file: IO[bytes]) -> Iterator[tuple[IO[bytes], int]]:
    with tarfile.open(fileobj=file, mode="r:*") as archive:
        for member in archive:
            if member.isfile() and (opened := archive.extractfile(member)) is not None:
                yield from _read(opened)


def _read(file: IO[bytes]) -> Iterator[tuple[IO[bytes], int]]:
    """A member in memory, or where it is large in an unnamed file.

    Raises:
        _UnknownError: it is larger than can be looked at.
    """
    size = 0
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as out:
        while block := file.read(1 << 20):
            size += len(block)
            if size > _LARGEST:
                raise _UnknownError
            out.write(block)
        out.seek(0)
        yield out, size
