"""The published contract: `manifests/v1/*.json` as pyarrow schemas; writes and validates the tables.

The JSON files are the one source of the schemas, of the documentation's tables and of the Croissant fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.core import arrays, resources
from curate.core.findings import Finding

VERSION = "1.0-draft"
MANIFEST_TABLES = ("studies", "series", "instances", "references", "evidence", "revocations")
CONFIGS = ("studies", "series", "instances", "references", "images", "previews")
ROW_GROUP_ROWS = 20_000

_DICOM = pa.struct([pa.field("bytes", pa.binary(), nullable=False), pa.field("path", pa.string(), nullable=False)])
_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "bool": pa.bool_(),
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "binary(32)": pa.binary(32),
    "list<string>": pa.list_(pa.field("item", pa.string(), nullable=False)),
    "list<float64>": pa.list_(pa.field("item", pa.float64(), nullable=False)),
    "struct<bytes: binary, path: string>": _DICOM,
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table, as the data dictionary describes it."""

    name: str
    type: str
    nullable: bool
    description: str
    role: str
    why: str
    unit: str = ""
    terms: tuple[str, ...] = ()
    source: str = ""
    aggregate: str = ""

    @property
    def arrow(self) -> pa.Field:
        """The pyarrow field."""
        return pa.field(self.name, _TYPES[self.type], nullable=self.nullable)


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the contract."""

    name: str
    title: str
    description: str
    key: tuple[str, ...]
    sort: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pa.Schema:
        """The pyarrow schema."""
        return pa.schema([column.arrow for column in self.columns])

    def column(self, name: str) -> Column:
        """The column of a name.

        Raises:
            KeyError: no such column.
        """
        return next((c for c in self.columns if c.name == name), None) or _missing(self.name, name)


def _missing(table: str, name: str) -> Column:
    raise KeyError(f"{table} has no column {name}")


@cache
def table(name: str) -> Table:
    """A table of the contract by name, such as `studies`."""
    raw = json.loads(resources.manifest_text(f"{name}.json"))
    columns = tuple(
        Column(**{**c, "terms": tuple(c.get("terms", ()))})  # JSON has no tuples
        for c in raw["columns"]
    )
    return Table(raw["table"], raw["title"], raw["description"], tuple(raw["key"]), tuple(raw["sort"]), columns)


def to_arrow(name: str, rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows as a pyarrow table of the contract; a missing column is null.

    Raises:
        pa.ArrowInvalid: a value does not fit its column; a defect of the program.
    """
    schema = table(name).schema
    return pa.Table.from_arrays(
        [arrays.array([row.get(field.name) for row in rows], field.type) for field in schema], schema=schema
    )


class TableWriter:
    """Writes one manifest table as a stream: zstd, page index, row groups of 20,000 rows: a study lies in one or two.

    `instances` has the fastest level of zstd: a higher one finds chance repeats among the digits of random UIDs, and
    takes 2 bytes a row more. Rows must come in the table's order; only one row group is held in memory.
    """

    def __init__(self, name: str, path: Path) -> None:
        self._schema = table(name).schema
        digests = {c.name for c in table(name).columns if c.type == "binary(32)"}
        plain = [f.name for f in self._schema if f.name not in digests and not pa.types.is_nested(f.type)]
        places = [n for n in ("offset_bytes", "size_bytes") if n in plain]
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            compression_level=1 if name == "instances" else 9,
            use_dictionary=[n for n in plain if n not in ("SOPInstanceUID", *places)],
            column_encoding=dict.fromkeys(places, "DELTA_BINARY_PACKED"),
            write_page_index=True,
            store_schema=False,
        )
        self._held: list[pa.Table] = []
        self._count = 0

    def write(self, rows: pa.Table) -> None:
        """Append rows, in the table's order."""
        # in one piece: each chunk of each column costs half a kB beside its values
        self._held.append(rows.select(self._schema.names).combine_chunks().cast(self._schema))
        self._count += rows.num_rows
        while self._count >= ROW_GROUP_ROWS:
            self._flush(ROW_GROUP_ROWS)

    def _flush(self, rows: int) -> None:
        held = pa.concat_tables(self._held)
        self._writer.write_table(held.slice(0, rows), row_group_size=ROW_GROUP_ROWS)
        rest = held.slice(rows)
        self._held, self._count = [rest], rest.num_rows

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and (self._count or not self._held):
            self._held = self._held or [self._schema.empty_table()]
            self._flush(self._count)
        self._writer.close()


def write_table(name: str, path: Path, tables: Iterable[pa.Table]) -> None:
    """Write a manifest table from its parts, which come in the table's order."""
    with TableWriter(name, path) as writer:
        for part in tables:
            writer.write(part)


def read_batches(
    path: Path, columns: Sequence[str] | None = None, *, dictionaries: Sequence[str] = ()
) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file in batches, so that memory stays flat; `dictionaries` stay encoded."""
    with pq.ParquetFile(path, read_dictionary=list(dictionaries)) as file:
        yield from file.iter_batches(batch_size=65_536, columns=list(columns) if columns else None)


_UID = re.compile(r"2\.25\.(0|[1-9][0-9]{0,38})")


def check_schema(name: str, schema: pa.Schema) -> list[Finding]:
    """Findings where a file's schema is not the contract's: columns, order, types, nullability."""
    expected = table(name).schema
    findings = [
        Finding("TABLE_COLUMN_MISSING", name, field.name) for field in expected if field.name not in schema.names
    ]
    findings += [Finding("TABLE_COLUMN_EXTRA", name, n) for n in schema.names if n not in expected.names]
    for field in expected:
        if field.name in schema.names and not _same(field, schema.field(field.name)):
            findings.append(Finding("TABLE_COLUMN_TYPE", name, field.name))
    if not findings and schema.names != expected.names:
        findings.append(Finding("TABLE_COLUMN_ORDER", name))
    return findings


def _same(expected: pa.Field, found: pa.Field) -> bool:
    if pa.types.is_list(expected.type) and pa.types.is_list(found.type):
        return bool(expected.type.value_type == found.type.value_type)  # readers rename the list's item
    return bool(expected.type == found.type and expected.nullable == found.nullable)


def check_batch(name: str, batch: pa.RecordBatch) -> list[Finding]:
    """Findings where values break their column's contract: nulls, terms, identifiers."""
    findings = []
    for column in table(name).columns:
        if column.name not in batch.schema.names:
            continue
        values = batch.column(column.name)
        if not column.nullable and values.null_count:
            findings.append(Finding("TABLE_VALUE_NULL", name, column.name, values.null_count))
        if (bad := _broken(column, values)) is not None and (count := pc.sum(bad).as_py()):
            findings.append(Finding("TABLE_VALUE_INVALID", name, column.name, count))
    return findings


def _broken(column: Column, values: pa.Array) -> pa.Array | None:
    """Which values are no term, or no identifier; of a dictionary each value is looked at once."""
    if isinstance(values, pa.DictionaryArray):
        entries = _broken(column, values.dictionary)
        return None if entries is None else entries.take(values.indices)
    if column.terms:
        known = pc.is_in(values, value_set=arrays.array(column.terms, pa.string()), skip_nulls=False)
        return pc.and_(pc.invert(known), pc.is_valid(values))
    if column.role == "identifier" and column.type == "string" and column.name != "donor_id":
        return pc.invert(pc.match_substring_regex(values, r"^2\.25\.(0|[1-9][0-9]{0,38})$"))
    return None


def is_published_uid(text: str) -> bool:
    """Whether a UID has the form that the archive gives: `2.25.` and one integer below 2^128 (PS3.5 B.2)."""
    return bool(_UID.fullmatch(text)) and int(text[5:]) < 1 << 128
