"""Tables of one study as the ledger keeps them: an Arrow IPC stream, compressed as a whole.

Compressed buffer by buffer, as Arrow does it itself, a row of 90 columns takes five times the room and ten times
as long to read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import groupby

import pyarrow as pa

_CODEC = pa.Codec("zstd", 1)
_PREFIX = 4  # the size before compression, little endian
_SMALL = 1024
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # how a stream ends
_ALONE = pa.ipc.IpcReadOptions(use_threads=False)


def to_ipc(table: pa.Table) -> bytes:
    """A table as bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    stream = sink.getvalue()
    return len(stream).to_bytes(_PREFIX, "little") + bytes(_CODEC.compress(stream, asbytes=True))


def from_ipc(data: bytes) -> pa.Table:
    """A table of such bytes; of small ones, such as those of no rows, the same each time."""
    return _read_small(data) if len(data) <= _SMALL else _read(data)


def _read(data: bytes) -> pa.Table:
    return _read_stream(_stream(data))


_read_small = lru_cache(maxsize=16)(_read)


def joined_of_ipc(parts: Iterable[bytes]) -> pa.Table:
    """The rows of several such tables as one.

    They are read as one stream, whose schema stands once: to parse it for each study costs more than its rows.
    """
    split = (_split(memoryview(_stream(data))) for data in parts)
    return pa.concat_tables(
        _read_stream(b"".join([schema, *(batches for _, batches in same), _END]))
        for schema, same in groupby(split, key=lambda pair: pair[0])
    )


def _split(stream: memoryview) -> tuple[bytes, memoryview]:
    """A stream's schema, and what stands between it and the end: a mark, the length of the message, the message."""
    start = 8 + int.from_bytes(stream[4:8], "little")
    return bytes(stream[:start]), stream[start : -len(_END)]


def _read_stream(stream: bytes | pa.Buffer) -> pa.Table:
    with pa.ipc.open_stream(stream, options=_ALONE) as reader:
        return reader.read_all()


def columns_of_ipc(data: bytes, names: Sequence[str]) -> pa.Table:
    """Those of the columns that such bytes have."""
    stream = _stream(data)
    with pa.ipc.open_stream(stream) as reader:
        places = [place for place, name in enumerate(reader.schema.names) if name in names]
    options = pa.ipc.IpcReadOptions(included_fields=places, use_threads=False)
    with pa.ipc.open_stream(stream, options=options) as reader:
        return reader.read_all()


def _stream(data: bytes) -> pa.Buffer:
    return _CODEC.decompress(memoryview(data)[_PREFIX:], int.from_bytes(data[:_PREFIX], "little"))
