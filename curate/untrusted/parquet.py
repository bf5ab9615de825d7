"""Parquet files that somebody else wrote: what they would take to read is known, and bounded, before they are read.

A file of 20 kB can state 2^31 rows of one value, a page that inflates to gigabytes, or one value of 300 MB that each
row repeats. So the footer and the head of every page are read first (Parquet format, Thrift compact protocol): sizes
before and after compression, values of a page. Then the columns are read once, texts as dictionaries, which stay as
small as their pages, for the longest value and for text that is not UTF-8.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate.core.errors import DamagedError
from curate.untrusted.thrift import Fields, fields

FOOTER_BYTES = 64 << 20
GROUPS, ENTRIES = 200_000, 10_000_000  # row groups, and entries of any list, of a footer
GROUP_VALUES = 4_000_000  # of one column in one row group; ours have 20,000 rows
PAGE_BYTES = 64 << 20  # after decompression
PACK_PAGE_BYTES = 4 << 30  # a page of a pack is one instance, as it lies there
LEAST_ROW_BYTES = 8  # each row bears an id or digest of 16 random bytes and more, which no compression makes less
FEW_ROWS = 10_000
TEXT_BYTES, PAYLOAD_BYTES = 16 << 10, 4 << 20  # of one value
_LONG = frozenset({"payload", "opening"})  # texts that hold a document
_BATCH = 8_192
EXPANDED_BYTES, EXPANDED_OPENINGS = 64 << 20, 256 << 20  # of the texts of a batch, each row's own
INFLATED, FREE_BYTES = 100, 64 << 20  # all pages together: so many times the file, and this


class TooMuchError(DamagedError):
    """A table that is not read; `rule` is a code of `rules.json`, `tag` the column."""

    def __init__(self, rule: str, path: str, tag: str = "") -> None:
        told = f"{path} states more than such a table can hold" if rule == "TABLE_LIMIT" else f"{path} cannot be read"
        super().__init__(f"{told}{f' ({tag})' if tag else ''}.", hint="Do not use this copy; get the release again.")
        self.rule, self.path, self.tag = rule, path, tag

    def __reduce__(self) -> tuple[object, ...]:
        return (TooMuchError, (self.rule, self.path, self.tag))


@dataclass(frozen=True, slots=True)
class _Page:
    """One page: its kind, bytes after and before decompression, how many values it states, where the next begins."""

    kind: int
    inflated: int
    size: int
    values: int
    end: int


def check(path: Path, name: str = "", *, pack: bool = False) -> None:
    """Refuse a Parquet file that would take more to read than its rows can need.

    `name` is what the finding calls it. The pages of a `pack` are read one by one elsewhere, each at its place.

    Raises:
        TooMuchError: which limit it breaks, or that it is no Parquet file that can be read.
    """
    name = name or path.name
    try:
        size = path.stat().st_size
        with path.open("rb") as raw:
            _footer(raw, size, name)
        with pq.ParquetFile(path, thrift_string_size_limit=FOOTER_BYTES, thrift_container_size_limit=ENTRIES) as file:
            _metadata(file.metadata, size, name)
            with path.open("rb") as raw, mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
                _pages(file.metadata, data, name, PACK_PAGE_BYTES if pack else PAGE_BYTES)
        if not pack:
            _values(path, name)
    except TooMuchError:
        raise
    except (pa.ArrowException, OSError, ValueError, IndexError, OverflowError, MemoryError, KeyError, TypeError):
        raise TooMuchError("TABLE_UNREADABLE", name) from None


def _footer(raw: Any, size: int, name: str) -> None:
    """The footer's length stands before the last four bytes."""
    if size < 12:
        raise TooMuchError("TABLE_UNREADABLE", name)
    raw.seek(size - 8)
    end = raw.read(8)
    if end[4:] != b"PAR1" or not 0 < (length := int.from_bytes(end[:4], "little")) <= size - 12:
        raise TooMuchError("TABLE_UNREADABLE", name)
    if length > FOOTER_BYTES:
        raise TooMuchError("TABLE_LIMIT", name, "footer")


def _metadata(metadata: Any, size: int, name: str) -> None:
    if metadata.num_row_groups > GROUPS or not 0 <= metadata.num_rows <= size // LEAST_ROW_BYTES + FEW_ROWS:
        raise TooMuchError("TABLE_LIMIT", name, "rows")
    stated = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        stated += group.num_rows
        if not 0 <= group.num_rows <= GROUP_VALUES:
            raise TooMuchError("TABLE_LIMIT", name, "rows")
    if stated != metadata.num_rows:
        raise TooMuchError("TABLE_UNREADABLE", name)


def _pages(metadata: Any, data: mmap.mmap, name: str, largest: int) -> None:
    """Every page of every column states no more than a page may hold, and a column no more values than a group."""
    total = len(data) * INFLATED + FREE_BYTES
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for at in range(group.num_columns):
            chunk = group.column(at)
            column = chunk.path_in_schema
            values = 0
            for page in _walk(chunk, data):
                limit = largest if chunk.compression == "UNCOMPRESSED" else PAGE_BYTES
                if not (0 <= page.inflated <= limit) or page.values < 0:
                    raise TooMuchError("TABLE_LIMIT", name, column)
                if chunk.compression == "UNCOMPRESSED" and page.inflated != page.size:
                    raise TooMuchError("TABLE_UNREADABLE", name, column)
                total -= page.inflated
                values += 0 if page.kind == _DICTIONARY else page.values
                if max(values, page.values) > GROUP_VALUES or total < 0:
                    raise TooMuchError("TABLE_LIMIT", name, column)
            if values != chunk.num_values:
                raise TooMuchError("TABLE_UNREADABLE", name, column)


_DICTIONARY = 2
_OF_KIND = {0: 5, _DICTIONARY: 7, 3: 8}  # where a page's head states its values, by its kind


def _walk(chunk: Any, data: mmap.mmap) -> Iterator[_Page]:
    """The pages of a column chunk, as the footer places it."""
    starts = [chunk.data_page_offset] if chunk.data_page_offset or chunk.num_values else []  # a group may have no row
    if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
        starts.append(chunk.dictionary_page_offset)
    if not starts:
        return
    position = min(starts)
    end = position + chunk.total_compressed_size
    if not 4 <= position <= end <= len(data):
        raise ValueError("a column outside of its file")
    while position < end:
        page = _page(fields(data, position))
        if not position < page.end <= end:
            raise ValueError("a page outside of its column")
        yield page
        position = page.end


def _page(head: Fields) -> _Page:
    kind, inflated, size = (int(head.values[number]) for number in (1, 2, 3))
    stated = head.values.get(_OF_KIND.get(kind, -1), {})
    values = int(stated.get(1, 0)) if isinstance(stated, dict) else 0
    if size < 0:
        raise ValueError("a page of no size")
    return _Page(kind, inflated, size, values, head.end + size)


def _values(path: Path, name: str) -> None:
    """Read all rows once: texts are UTF-8 and no longer than such a text can be."""
    with pq.ParquetFile(path) as file:
        texts = [f.name for f in file.schema_arrow if pa.types.is_string(f.type) or pa.types.is_binary(f.type)]
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        for batch in file.iter_batches(batch_size=_BATCH):
            for column, values in zip(batch.schema.names, batch.columns, strict=True):
                _bounded(values, name, column)


def _bounded(values: Any, name: str, column: str) -> None:
    limit = PAYLOAD_BYTES if column in _LONG else TEXT_BYTES
    if isinstance(values, pa.DictionaryArray):
        lengths = pc.binary_length(values.dictionary).take(values.indices)
        if (pc.sum(lengths).as_py() or 0) > (EXPANDED_OPENINGS if column == "opening" else EXPANDED_BYTES):
            raise TooMuchError("TABLE_LIMIT", name, column)
    for leaf in _leaves(values):
        leaf.validate(full=True)
        if pa.types.is_string(leaf.type) or pa.types.is_binary(leaf.type):
            longest = pc.max(pc.binary_length(leaf)).as_py() or 0
            if longest > (PAGE_BYTES if column == "image" else limit):
                raise TooMuchError("TABLE_LIMIT", name, column)


def _leaves(values: Any) -> Iterator[Any]:
    """The arrays that hold values, below dictionaries, lists and structs."""
    if isinstance(values, pa.DictionaryArray):
        yield from _leaves(values.dictionary)
    elif pa.types.is_list(values.type):
        yield from _leaves(values.values)
    elif pa.types.is_struct(values.type):
        for at in range(values.type.num_fields):
            yield from _leaves(values.field(at))
    else:
        yield values
