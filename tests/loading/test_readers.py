"""A release is plain Parquet: DuckDB, pandas and pyarrow read it from the folder, the hub, and over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.loading.client import Client

READERS = {
    "pandas folder": 'pd.read_parquet(folder + "/manifest/studies.parquet")',
    "pandas hub": 'pd.read_parquet(f"hf://datasets/{name}@v1.1.0/manifest/studies.parquet")',
    "pandas http": "pd.read_parquet(url)",
    "pyarrow folder": 'pq.read_table(folder + "/manifest/studies.parquet").to_pandas()',
    "pyarrow hub": 'pq.read_table(f"hf://datasets/{name}@v1.1.0/manifest/studies.parquet").to_pandas()',
    "pyarrow http": "pq.read_table(fsspec.open(url).open()).to_pandas()",
    "duckdb folder": "duckdb.sql(f\"FROM '{folder}/manifest/studies.parquet'\").df()",
    "duckdb hub": 'duckdb.arrow(pq.read_table(f"hf://datasets/{name}@v1.1.0/manifest/studies.parquet")).df()',
    "duckdb http": "duckdb.arrow(pq.read_table(fsspec.open(url).open())).df()",
}
PRELUDE = """
import duckdb, fsspec, pandas as pd, pyarrow.parquet as pq
"""


@pytest.mark.parametrize("reader", READERS)
def test_the_table_is_the_same(client: Client, second: Path, reader: str) -> None:
    """One line each gives the rows that the release holds."""
    url = f"{client.hub.url}/datasets/{client.name}/resolve/v1.1.0/manifest/studies.parquet"
    text = PRELUDE + f"found = {READERS[reader]}\nresult = sorted(zip(found.study_id, found.fold.tolist()))"
    rows: list[Any] = client.run(text, name=client.name, folder=str(second), url=url)
    truth = pq.read_table(second / "manifest/studies.parquet", columns=["study_id", "fold"]).to_pylist()
    assert rows == sorted([row["study_id"], row["fold"]] for row in truth)


def test_one_instance_is_one_range_request(client: Client, second: Path) -> None:
    """Pack, offset and size of the manifest are enough to read an instance with any HTTP client."""
    row = pq.read_table(second / "manifest/instances.parquet").to_pylist()[3]
    url = f"{client.hub.url}/datasets/{client.name}/resolve/v1.1.0/{row['pack']}"
    text = """
        import hashlib, urllib.request
        asked = urllib.request.Request(url, headers={"Range": f"bytes={offset}-{offset + size - 1}"})
        result = hashlib.sha256(urllib.request.urlopen(asked).read()).hexdigest()
    """
    found = client.run(text, url=url, offset=row["offset_bytes"], size=row["size_bytes"])
    assert found == row["sha256"].hex()
