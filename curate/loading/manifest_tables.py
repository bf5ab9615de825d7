"""The manifest's tables as a reader needs them: whole and verified, or only the rows about one study."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.core.errors import HubError
from curate.core.versions import parse
from curate.loading import download, trusted
from curate.loading import source as sources
from curate.loading.source import Source

WHOLE_BYTES = 16 << 20
_GROUPS_HELD = 4
_TAIL = 64 << 10


def path_of(table: str) -> str:
    """Where a table of the manifest lies, from the release's root."""
    return f"manifest/{table}.parquet"


def local(source: Source, *names: str) -> dict[str, Path]:
    """The verified local files of tables of the manifest."""
    paths = download.files(source, [path_of(name) for name in names])
    return dict(zip(names, paths, strict=True))


def read_table(source: Source, table: str, columns: Sequence[str]) -> pa.Table:
    """Columns of a table of the manifest, verified."""
    return pq.read_table(local(source, table)[table], columns=list(columns))


def revoked_since(source: Source) -> tuple[str, ...]:
    """Later versions for whose withdrawals this version was cut again, oldest first."""
    found = read_table(source, "revocations", ["version"])["version"].unique().to_pylist()
    later = (text for text in found if parse(text) > parse(source.version))
    return tuple(sorted(later, key=parse))


def revoked(source: Source) -> frozenset[bytes]:
    """The hashed digests of all that was withdrawn, by this version and by the newest."""
    found = _revoked(source)
    if source.newest != source.version:
        reference = source.folder.parent if source.folder else source.reference
        newest = sources.find(reference, source.newest)
        trusted.confirm(newest)
        found |= _revoked(newest)
    return found


def _revoked(source: Source) -> frozenset[bytes]:
    return frozenset(read_table(source, "revocations", ["sha256_of_sha256"]).column(0).to_pylist())


def not_cut_again(source: Source) -> frozenset[str]:
    """Studies of this version that the newest revokes already, while the hub is still to cut this one again."""
    if not (new := revoked(source) - _revoked(source)):
        return frozenset()
    rows = read_table(source, "instances", ["study_id", "sha256"])
    pairs = zip(rows["study_id"].to_pylist(), rows["sha256"].to_pylist(), strict=True)
    return frozenset(study for study, digest in pairs if hashlib.sha256(digest).digest() in new)


class Digests:
    """The digest of each instance: of a large manifest only the row groups that hold the study.

    A row group that is read by range is not itself verified: a damaged one fails to match its images.
    """

    def __init__(self, source: Source) -> None:
        path = path_of("instances")
        large = download.size(source, path) > WHOLE_BYTES
        with _readable():
            self._file = pq.ParquetFile(_Ranged(source, path) if large else local(source, "instances")["instances"])
            groups = range(self._file.num_row_groups)
            self._bounds = [_bounds(self._file.metadata.row_group(number)) for number in groups]
        self._held: OrderedDict[int, dict[str, bytes]] = OrderedDict()

    def of(self, study: str, instance: str) -> bytes:
        """The SHA-256 of an instance.

        Raises:
            HubError: the manifest has no such instance, or cannot be read.
        """
        for number, (first, last) in enumerate(self._bounds):
            if first <= study <= last and (found := self._group(number).get(instance)) is not None:
                return found
        raise HubError(f"Instance {instance} is not in the manifest.", hint="Run `curate check` on the release.")

    def _group(self, number: int) -> dict[str, bytes]:
        if number not in self._held:
            with _readable():
                rows = self._file.read_row_group(number, columns=["SOPInstanceUID", "sha256"])
                columns = [rows[name].to_pylist() for name in ("SOPInstanceUID", "sha256")]
            self._held[number] = dict(zip(*columns, strict=True))
            if len(self._held) > _GROUPS_HELD:
                self._held.popitem(last=False)
        self._held.move_to_end(number)
        return self._held[number]


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """What pyarrow says of bytes that were damaged on the way."""
    try:
        yield
    except (pa.ArrowException, KeyError, UnicodeDecodeError) as error:
        raise HubError(
            f"Manifest/instances.parquet cannot be read ({type(error).__name__}).",
            hint="Try again; if it stays, run `curate check` on the release.",
        ) from error


def _bounds(group: Any) -> tuple[str, str]:
    """The first and last study of a row group; everything where the file does not say."""
    for number in range(group.num_columns):
        chunk = group.column(number)
        if chunk.path_in_schema == "study_id" and chunk.statistics is not None and chunk.statistics.has_min_max:
            return str(chunk.statistics.min), str(chunk.statistics.max)
    return "", "\U0010ffff"


class _Ranged(io.RawIOBase):
    """A published file as pyarrow reads files: each read is one range request, its end is read once."""

    def __init__(self, source: Source, path: str) -> None:
        self._source, self._path, self._at = source, path, 0
        self._size = download.size(source, path)
        self._tail = source.read(path, max(0, self._size - _TAIL), min(_TAIL, self._size))

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = (0, self._at, self._size)[whence] + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        size = self._size - self._at if size < 0 else min(size, self._size - self._at)
        held = self._at - (self._size - len(self._tail))
        if held >= 0:
            data = self._tail[held : held + size]
        else:
            data = self._source.read(self._path, self._at, size) if size else b""
        self._at += len(data)
        return data
