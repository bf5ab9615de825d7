"""The manifest tables of a release, streamed out of the ledger in the order of the study ids."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curate import contract
from curate.archive import arrow_ipc
from curate.archive.ledger_records import StudyRecord
from curate.core import arrays
from curate.core.digests import canonical_json
from curate.core.records import Row

GROUP_ROWS, GROUP_STUDIES = 5_000, 500
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
        for group in _groups(studies):
            rows = [_study_row(record, published[record.study_id], first_versions) for record in group]
            for record, row in zip(group, rows, strict=True):
                _count(totals, record, row)
            parts = _parts(group, rows, version)
            totals.files.update(parts["instances"]["pack"].unique().to_pylist())
            for name, part in parts.items():
                writers[name].write(part)
                totals.rows[name] += part.num_rows
        for batch in _revocation_batches(revocations):
            writers["revocations"].write(batch)
            totals.rows["revocations"] += batch.num_rows
    if totals.rows["instances"]:
        totals.rows["images"] = totals.rows["instances"]
    return totals


def _groups(studies: Iterable[StudyRecord]) -> Iterator[list[StudyRecord]]:
    """Studies whose rows are made together: a table a study would cost ten times as much."""
    held: list[StudyRecord] = []
    count = 0
    for record in studies:
        held.append(record)
        count += record.payload["facts"]["instance_count"]
        if count >= GROUP_ROWS or len(held) == GROUP_STUDIES:
            yield held
            held, count = [], 0
    if held:
        yield held


def _parts(group: list[StudyRecord], rows: list[Row], version: str) -> dict[str, pa.Table]:
    """The rows of a group of studies for each table."""
    bare = {
        "studies": contract.to_arrow("studies", rows),
        "series": arrow_ipc.joined_of_ipc(record.series for record in group),
        "instances": arrow_ipc.joined_of_ipc(record.instances for record in group),
        "references": arrow_ipc.joined_of_ipc(record.links for record in group),
        "evidence": contract.to_arrow("evidence", [_evidence(record) for record in group]),
    }
    studies = arrays.array([record.study_id for record in group], pa.string())
    licenses = arrays.array([record.payload["license"] for record in group], pa.string())
    return {
        name: _with(
            part,
            {
                "license": licenses.take(pc.index_in(part["study_id"], value_set=studies)),
                "release_version": version,
            },
        )
        for name, part in bare.items()
    }


def _count(totals: Totals, record: StudyRecord, row: Row) -> None:
    totals.donors.add(record.published_donor)
    totals.licenses[record.payload["license"]] += 1
    totals.modalities.update(row["modalities"])
    totals.size_bytes += row["size_bytes"]
    if preview := record.payload.get("preview"):
        totals.files.add(preview)
        totals.rows["previews"] += record.payload["preview_rows"]


def _study_row(record: StudyRecord, published: Mapping[str, Any], first_versions: dict[str, str | None]) -> Row:
    facts = record.payload["facts"]
    return {
        "study_id": record.study_id,
        "donor_id": record.published_donor,
        "fold": record.payload["fold"],
        **published,
        **{key: facts[key] for key in ("modalities", "series_count", "instance_count", "size_bytes")},
        "sha256": bytes.fromhex(facts["sha256"]),
        "first_version": first_versions[record.study_id],
    }


def _evidence(record: StudyRecord) -> Row:
    return {"study_id": record.study_id, "payload": canonical_json(record.payload["evidence"])}


def _with(part: pa.Table, columns: Mapping[str, pa.Array | str]) -> pa.Table:
    """The rows with further columns, of which a text is the same in each row."""
    for name, value in columns.items():
        values = arrays.repeated(value, part.num_rows) if isinstance(value, str) else value
        field = pa.field(name, pa.string(), nullable=False)
        at = part.schema.get_field_index(name)
        part = part.append_column(field, values) if at < 0 else part.set_column(at, field, values)
    return part


def _revocation_batches(revocations: Iterable[tuple[bytes, str]]) -> Iterator[pa.Table]:
    held: list[Row] = []
    for digest, version in revocations:
        held.append({"sha256_of_sha256": digest, "version": version})
        if len(held) == contract.ROW_GROUP_ROWS:
            yield contract.to_arrow("revocations", held)
            held = []
    yield contract.to_arrow("revocations", held)
