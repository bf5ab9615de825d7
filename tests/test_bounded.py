"""What a Parquet file would take to read is known before it is read; what ours hold is read."""

from __future__ import annotations

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.untrusted import parquet


@pytest.mark.parametrize("rows", [0, 1, 50_000])
@pytest.mark.parametrize("dictionary", [False, True])
def test_tables_of_any_length_are_read(tmp_path: Path, rows: int, dictionary: bool) -> None:
    """Row groups without a row too: a version cut again has them where all of a group were withdrawn."""
    schema = pa.schema([("id", pa.string()), ("count", pa.int32())])
    table = pa.table({"id": [f"2.25.{random.getrandbits(122)}" for _ in range(rows)], "count": range(rows)}, schema)
    with pq.ParquetWriter(tmp_path / "t.parquet", schema, use_dictionary=dictionary, compression="zstd") as writer:
        writer.write_table(table.slice(0, 0))
        writer.write_table(table)
        writer.write_table(table.slice(0, 0))
    parquet.check(tmp_path / "t.parquet")
