"""Tables of one study as the ledger keeps them: Arrow IPC, compressed."""

from __future__ import annotations

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
