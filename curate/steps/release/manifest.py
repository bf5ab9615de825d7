"""The manifest tables of a release, streamed out of the ledger in the order of the study ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate import contract
from curate.archive import tables
from curate.archive.ledger import StudyRecord
from curate.digests import canonical_json
from curate.records import Row

Published = Mapping[str, Mapping[str, Any]]
"""What each study shows of the person: study_id -> the columns of `studies` that risk control decides."""


@dataclass(slots=True)
class Totals:
    """What a release counts while its manifest is written."""

    rows: Counter[str] = field(default_factory=Counter)
    donors: set[str] = field(default_factory=set)
    licenses: Counter[str] = field(default_factory=Counter)
    modalities: Counter[str] = field(default_factory=Counter)
    size_bytes: int = 0
    files: set[str] = field(default_factory=set)


def write(
    folder: Path,
    studies: Iterable[StudyRecord],
    published: Published,
    first_versions: dict[str, str | None],
    version: str,
    revocations: Iterable[tuple[bytes, str]],
) -> Totals:
    """Write `manifest/*.parquet`; memory holds one row group a table."""
    totals = Totals()
    totals.rows.update(dict.fromkeys(contract.MANIFEST_TABLES, 0))  # a table without a row is counted too
    with ExitStack() as stack:
        writers = {
            name: stack.enter_context(contract.TableWriter(name, folder / f"{name}.parquet"))
            for name in contract.MANIFEST_TABLES
        }
        for record in studies:
            constants = {"license": record.payload["license"], "release_version": version}
            row = _study_row(record, published[record.study_id], first_versions)
            parts = {
                "studies": contract.to_arrow("studies", [{**row, **constants}]),
                "series": _with(tables.from_ipc(record.series), constants),
                "instances": _with(tables.from_ipc(record.instances), constants),
                "references": _with(tables.from_ipc(record.links), constants),
                "evidence": contract.to_arrow("evidence", [{**_evidence(record), **constants}]),
            }
            for name, part in parts.items():
                writers[name].write(part)
                totals.rows[name] += part.num_rows
            _count(totals, record, row, parts["instances"])
        for batch in _revocation_batches(revocations):
            writers["revocations"].write(batch)
            totals.rows["revocations"] += batch.num_rows
    return totals


def _count(totals: Totals, record: StudyRecord, row: Row, instances: pa.Table) -> None:
    totals.donors.add(record.donor_id)
    totals.licenses[record.payload["license"]] += 1
    totals.modalities.update(row["modalities"])
    totals.size_bytes += row["size_bytes"]
    totals.rows["images"] += instances.num_rows
    totals.files.update(instances["pack"].unique().to_pylist())
    if preview := record.payload.get("preview"):
        totals.files.add(preview)
        totals.rows["previews"] += record.payload["preview_rows"]


def _study_row(
    record: StudyRecord, published: Mapping[str, Any], first_versions: dict[str, str | None]
) -> Row:
    facts = record.payload["facts"]
    return {
        "study_id": record.study_id,
        "donor_id": record.donor_id,
        "fold": record.payload["fold"],
        **published,
        **{key: facts[key] for key in ("modalities", "series_count", "instance_count", "size_bytes")},
        "sha256": bytes.fromhex(facts["sha256"]),
        "first_version": first_versions[record.study_id],
    }


def _evidence(record: StudyRecord) -> Row:
    return {"study_id": record.study_id, "payload": canonical_json(record.payload["evidence"])}


def _with(part: pa.Table, constants: dict[str, str]) -> pa.Table:
    for name, value in constants.items():
        field = pa.field(name, pa.string(), nullable=False)
        part = part.append_column(field, pa.array([value] * part.num_rows, pa.string()))
    return part


def _revocation_batches(revocations: Iterable[tuple[bytes, str]]) -> Iterator[pa.Table]:
    held: list[Row] = []
    for digest, version in revocations:
        held.append({"sha256_of_sha256": digest, "version": version})
        if len(held) == contract.ROW_GROUP_ROWS:
            yield contract.to_arrow("revocations", held)
            held = []
    yield contract.to_arrow("revocations", held)
