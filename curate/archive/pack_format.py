"""The Parquet form of a pack, written as its instances come: pages, then the footer (Thrift compact).

`pyarrow` copies an instance three times before it is written, and holds a row group in memory; here the bytes
go from where they lie to the file. It is the oracle in the tests, and what everybody reads packs with.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MAGIC = b"PAR1"
_BYTE_ARRAY, _REQUIRED, _UTF8, _PLAIN, _RLE = 6, 0, 0, 0, 3
_I32, _I64, _BINARY, _LIST, _STRUCT = 5, 6, 8, 9, 12
_CREATED_BY = b"curate"
_STRING = bytes((0x1C, 0, 0))  # the union's first member, an empty struct, and the union's end


class Leaf(NamedTuple):
    """A column of the file: its path in the schema, and whether it is text."""

    path: tuple[str, ...]
    text: bool


class Chunk(NamedTuple):
    """One column of a row group as it was written: where its first page lies, and its bytes with headers."""

    offset: int
    size: int
    values: int


def varint(number: int) -> bytes:
    """An unsigned number in sevens of bits."""
    if number < 128:
        return bytes((number,))
    result = bytearray()
    while number >= 128:
        result.append(number & 127 | 128)
        number >>= 7
    result.append(number)
    return bytes(result)


def _int(number: int) -> bytes:
    return varint(number << 1)  # zigzag; nothing here is negative


def _text(value: bytes) -> bytes:
    return varint(len(value)) + value


def _list(kind: int, entries: Sequence[bytes]) -> bytes:
    head = bytes((len(entries) << 4 | kind,)) if len(entries) < 15 else bytes((0xF0 | kind,))
    return head + (b"" if len(entries) < 15 else varint(len(entries))) + b"".join(entries)


def _struct(*fields: tuple[int, int, bytes]) -> bytes:
    """Fields (number, type, value), in rising order, and the end."""
    result, last = bytearray(), 0
    for number, kind, value in fields:
        result.append((number - last) << 4 | kind)
        result += value
        last = number
    result.append(0)
    return bytes(result)


def page_head(size: int, values: int) -> bytes:
    """The header of a data page of `size` bytes that holds plain required values."""
    length = _int(size)
    return b"\x15\x00\x15" + length + b"\x15" + length + b"\x2c\x15" + _int(values) + b"\x15\0\x15\x06\x15\x06\0\0"


def text_page(values: Sequence[str]) -> bytes:
    """A whole data page of strings."""
    parts: list[bytes] = []
    for value in values:
        raw = value.encode()
        parts += (len(raw).to_bytes(4, "little"), raw)
    body = b"".join(parts)
    return page_head(len(body), len(values)) + body


def footer(leaves: Sequence[Leaf], groups: Sequence[Sequence[Chunk]]) -> bytes:
    """All that follows the last page; `groups` has a chunk a leaf for each row group."""
    rows = sum(chunks[0].values for chunks in groups)
    meta = _struct(
        (1, _I32, _int(2)),
        (2, _LIST, _list(_STRUCT, _schema(leaves))),
        (3, _I64, _int(rows)),
        (4, _LIST, _list(_STRUCT, [_group(leaves, chunks) for chunks in groups])),
        (6, _BINARY, _text(_CREATED_BY)),
    )
    return meta + len(meta).to_bytes(4, "little") + MAGIC


def _schema(leaves: Sequence[Leaf]) -> list[bytes]:
    """The schema's tree, depth first: the root, then each column, a struct's before its fields."""
    tops = list(dict.fromkeys(leaf.path[0] for leaf in leaves))
    elements = [_struct((4, _BINARY, _text(b"schema")), (5, _I32, _int(len(tops))))]
    for top in tops:
        inside = [leaf for leaf in leaves if leaf.path[0] == top]
        if len(inside[0].path) > 1:
            name = (4, _BINARY, _text(top.encode()))
            elements.append(_struct((3, _I32, _int(_REQUIRED)), name, (5, _I32, _int(len(inside)))))
        elements += map(_leaf, inside)
    return elements


def _leaf(leaf: Leaf) -> bytes:
    fields = [
        (1, _I32, _int(_BYTE_ARRAY)),
        (3, _I32, _int(_REQUIRED)),
        (4, _BINARY, _text(leaf.path[-1].encode())),
    ]
    if leaf.text:
        fields += [(6, _I32, _int(_UTF8)), (10, _STRUCT, _STRING)]
    return _struct(*fields)


def _group(leaves: Sequence[Leaf], chunks: Sequence[Chunk]) -> bytes:
    columns = [_column(leaf, chunk) for leaf, chunk in zip(leaves, chunks, strict=True)]
    size = sum(chunk.size for chunk in chunks)
    return _struct((1, _LIST, _list(_STRUCT, columns)), (2, _I64, _int(size)), (3, _I64, _int(chunks[0].values)))


def _column(leaf: Leaf, chunk: Chunk) -> bytes:
    path = [_text(name.encode()) for name in leaf.path]
    meta = _struct(
        (1, _I32, _int(_BYTE_ARRAY)),
        (2, _LIST, _list(_I32, [_int(_PLAIN), _int(_RLE)])),
        (3, _LIST, _list(_BINARY, path)),
        (4, _I32, _int(0)),
        (5, _I64, _int(chunk.values)),
        (6, _I64, _int(chunk.size)),
        (7, _I64, _int(chunk.size)),
        (9, _I64, _int(chunk.offset)),
    )
    return _struct((2, _I64, _int(chunk.offset)), (3, _STRUCT, meta))
