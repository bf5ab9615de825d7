"""What a release holds: its images as pydicom reads them, its rows, and what `check` finds wrong."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pydicom

from curate.core.findings import Finding, Severity
from curate.verify.release import check_release


def images_of(folder: Path) -> Iterator[pydicom.Dataset]:
    """Every instance of a release."""
    for path in sorted(folder.glob("packs/*/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            yield pydicom.dcmread(io.BytesIO(row["dicom"]["bytes"]))


def rows_of(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table of a release's manifest."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "manifest" / f"{table}.parquet").to_pylist()
    return rows


def errors_of(folder: Path) -> list[Finding]:
    """What `check` finds wrong."""
    return [f for r in check_release(folder) for f in r.findings if f.severity is Severity.ERROR]
