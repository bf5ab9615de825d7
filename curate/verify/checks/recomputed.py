"""What a row of `series` says of the acquisition, computed again from the bytes of its instances."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from curate import contract
from curate.core.actor import TOOL
from curate.core.findings import Finding
from curate.dicom.attributes import facts_of
from curate.dicom.geometry.volume_parts import part_of
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.keyword_view import Header
from curate.dicom.series_rows import GRID, keywords, series_row
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import connect, quoted

Facts = Mapping[str, Any]
Parts = dict[str, list[tuple[int, Facts]]]
_DERIVED = ("regular_volume", "slice_spacing_mm")
_SHOWN = 1000
_ROWS = 5_000


def facts(parsed: Parsed) -> dict[str, Any]:
    """What one instance tells of its series, as intake takes it."""
    found = {**facts_of(parsed.dataset, keywords()), "TransferSyntaxUID": parsed.transfer_syntax}
    return {**found, GRID: part_of(Header(parsed.dataset))}


def whole(parts: Parts, counts: Mapping[str, int]) -> tuple[dict[str, dict[str, Any]], Parts]:
    """The rows of the series all of whose instances are here, and what is here of the others."""
    rows = {uid: _row(found) for uid, found in parts.items() if len(found) == counts.get(uid)}
    return rows, {uid: found for uid, found in parts.items() if uid not in rows}


def _row(found: Iterable[tuple[int, Facts]]) -> dict[str, Any]:
    return series_row([one for _, one in sorted(found, key=lambda pair: pair[0])])


class Recomputed:
    """Rows of series as packs are read: those of a series that lies in several packs wait for the last of them."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        self._counts = counts
        self._waiting: Parts = defaultdict(list)
        self._held: list[dict[str, Any]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="curate-series-")
        self._path = Path(self._folder.name) / "series.parquet"
        self._writer = contract.TableWriter("series", self._path)

    def add(self, rows: Mapping[str, dict[str, Any]], parts: Parts) -> None:
        """Take what a pack told."""
        for uid, found in parts.items():
            self._waiting[uid] += found
            if len(self._waiting[uid]) == self._counts.get(uid):
                self._put(uid, _row(self._waiting.pop(uid)))
        for uid, row in rows.items():
            self._put(uid, row)

    def _put(self, uid: str, row: dict[str, Any]) -> None:
        self._held.append({**_EMPTY, **row, "SeriesInstanceUID": uid})
        if len(self._held) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        self._writer.write(contract.to_arrow("series", self._held))
        self._held = []

    def findings(self, seal: Seal) -> list[Finding]:
        """The series whose row says other than their bytes, by column; of another version of the tool, warnings."""
        self._flush()
        self._writer.__exit__(None, None, None)
        names = [c.name for c in contract.table("series").columns if c.source or c.name in _DERIVED]
        differing = ", ".join(f'CASE WHEN s."{n}" IS DISTINCT FROM r."{n}" THEN \'{n}\' END' for n in names)
        query = (
            "SELECT uid, unnest(list_distinct(columns)), tool IS NOT DISTINCT FROM ? FROM ("
            f"SELECT s.SeriesInstanceUID uid, [{differing}] AS columns,"
            " json_extract_string(e.payload, '$.tool') AS tool"
            f" FROM series s JOIN read_parquet({quoted(self._path)}) r USING (SeriesInstanceUID)"
            " JOIN evidence e ON e.study_id = s.study_id)"
            " WHERE len(list_distinct(columns)) > 0"
        )
        with connect(seal) as db:
            found = db.execute(query, [TOOL]).fetchmany(_SHOWN * len(names))
        return [
            Finding("SERIES_NOT_FROM_BYTES" if ours else "SERIES_OTHER_TOOL", f"series {uid}", column)
            for uid, column, ours in found
            if column
        ]

    def __enter__(self) -> Recomputed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()


_EMPTY: dict[str, Any] = {
    **{c.name: "" for c in contract.table("series").columns if c.type == "string" and not c.nullable},
    **{c.name: 0 for c in contract.table("series").columns if c.type.startswith("int") and not c.nullable},
}


def counts(seal: Seal) -> dict[str, int]:
    """How many instances each series has, as its row says."""
    found: dict[str, int] = {}
    path = seal.folder / "manifest" / "series.parquet"
    for batch in contract.read_batches(path, ["SeriesInstanceUID", "instance_count"]):
        found.update(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True))
    return found
