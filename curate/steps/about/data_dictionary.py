"""`curate columns`: the columns of a release's tables: type, unit, meaning, and how many rows state a value."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate import contract
from curate.core.errors import DamagedError, InputError
from curate.steps.about.open_release import Release, opened

TABLES = ("studies", "series", "instances", "references")
_WHOLE_BYTES = 1 << 20  # up to here a table is read whole, and its digest compared
_TAIL_BYTES = 64 << 10
_LARGEST_FOOTER = 16 << 20
_MAGIC = b"PAR1"


@dataclass(frozen=True, slots=True)
class ColumnInfo:
    """One column of a table, as the data dictionary describes it, and how many of the table's rows state a value.

    `filled` is None where the file does not say. `verified`: the file was compared with its published digest; else its
    end was read by range, and `curate check` compares the whole. `role` is `identifier`, `quasi-identifier` or
    `technical`; a column that the dictionary of this version of curate does not name has none.
    """

    table: str
    name: str
    type: str
    nullable: bool
    unit: str
    terms: tuple[str, ...]
    description: str
    role: str
    rows: int
    filled: int | None
    verified: bool


def columns(
    reference: str | Path, table: str | None = None, *, version: str | None = None, key: str = ""
) -> tuple[ColumnInfo, ...]:
    """The columns of a release's tables, or of one of `studies`, `series`, `instances`, `references`.

    References as `info` takes them. Of a table larger than 1 MiB only the end is read.

    Raises:
        InputError: no release there, not of this version, or no such table.
        HubError: the hub cannot be read, is gated, or has no such version.
        DamagedError: a table is not what was released.
        UntrustedError: it is not signed by the key that is pinned for its archive, or given.
    """
    if table is not None and table not in TABLES:
        raise InputError(f"No table is called {table}.", hint=f"Tables: {', '.join(TABLES)}.")
    release = opened(reference, version, key)
    return tuple(column for name in ((table,) if table else TABLES) for column in _of_table(release, name))


def _of_table(release: Release, name: str) -> Iterator[ColumnInfo]:
    footer, verified = _footer(release, f"manifest/{name}.parquet")
    known = {column.name: column for column in contract.table(name).columns}
    schema, rows = footer.schema.to_arrow_schema(), footer.num_rows
    for field in schema:
        column = known.get(field.name)
        yield ColumnInfo(
            name,
            field.name,
            column.type if column else str(field.type),
            field.nullable,
            column.unit if column else "",
            column.terms if column else (),
            column.description if column else "",
            column.role if column else "",
            rows,
            _filled(footer, field),
            verified,
        )


def _filled(footer: Any, field: pa.Field) -> int | None:
    """The rows with a value; of a list, which counts its items, None unless no row can be without one."""
    if not field.nullable:
        return int(footer.num_rows)
    if pa.types.is_nested(field.type):
        return None
    nulls = 0
    for group in (footer.row_group(number) for number in range(footer.num_row_groups)):
        chunks = (group.column(number) for number in range(group.num_columns))
        found = next((chunk for chunk in chunks if chunk.path_in_schema == field.name), None)
        if found is None or found.statistics is None or not found.statistics.has_null_count:
            return None
        nulls += found.statistics.null_count
    return int(footer.num_rows) - nulls


def _footer(release: Release, path: str) -> tuple[Any, bool]:
    """The metadata of a Parquet file, and whether the file was compared with its digest.

    Raises:
        DamagedError: it is no such file.
    """
    entry = release.files.get(path)
    if entry is None or entry.size_bytes <= _WHOLE_BYTES:
        data, verified = release.whole(path), True
    else:
        data, verified = _end(release, path, entry.size_bytes), False
    try:
        return pq.read_metadata(io.BytesIO(data)), verified
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _unreadable(release, path) from error


def _end(release: Release, path: str, size: int) -> bytes:
    """A file of the magic number and the footer alone, which is all that its metadata is read from."""
    tail = release.read(path, max(0, size - _TAIL_BYTES), min(size, _TAIL_BYTES))
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if tail[-4:] != _MAGIC or not 8 < length <= min(size, _LARGEST_FOOTER):
        raise _unreadable(release, path)
    return _MAGIC + (tail[-length:] if length <= len(tail) else release.read(path, size - length, length))


def _unreadable(release: Release, path: str) -> DamagedError:
    return DamagedError(
        f"{path} of {release.reference} {release.version} cannot be read.", hint="Run `curate check` on the release."
    )
