"""What a version showed of its donors, from its own tables: where an archive took over one that it has forgotten.

It bears the ids of donors as published; `owners` finds whose they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate import contract
from curate.archive import disclosure_history
from curate.archive.repository import Archive
from curate.core.digests import sha256_file
from curate.core.records import Row
from curate.donation import quasi_identifier_labels, quasi_identifiers
from curate.privacy.cross_release_risk import FIRST
from curate.privacy.generalization_ladder import join_bands
from curate.privacy.risk import DONOR, PART, STUDY

_TEXTS = ("age", "sex", "region", "diagnosis", "diagnosis_basis", "series", "days_from_first")


def keep_forgotten(archive: Archive, stated: Sequence[tuple[str, str]]) -> None:
    """Keep what each of these versions (with the digest of its seal) showed, where that is not known.

    Raises:
        StorageError: the disk is full or fails.
    """
    if quasi_identifiers.policy_of(archive.config).exempt:
        return
    first = dict(disclosure_history.published(archive))
    names = [*first, *(version for version, _ in stated if version not in first)]
    for version, digest in stated:
        digest = first.get(version, digest)
        folder = archive.releases / version
        if disclosure_history.kept(archive, digest) or not (folder / "release.json").is_file():
            continue
        sealed = json.loads((folder / "release.json").read_bytes())
        before = [one for one in sealed.get("recut", {}).get("replaces", ()) if disclosure_history.kept(archive, one)]
        if before:  # cut here, and published and cut again since the backup
            disclosure_history.keep_again(archive, before[0], digest)
            continue
        whole = sha256_file(folder / "release.json") == digest and "recut" not in sealed
        disclosure_history.keep_rebuilt(archive, digest, shown_of(folder, names), whole=whole)


def shown_of(folder: Path, versions: Sequence[str]) -> pa.Table:
    """The rows of a release as `recode` gave them; `versions` are all that were published, in their order."""
    series = _series_texts(folder)
    index = {version: number for number, version in enumerate(versions)}
    rows = [
        _row(row, series.get(row["study_id"], "[]"), index)
        for batch in contract.read_batches(folder / "manifest" / "studies.parquet")
        for row in batch.to_pylist()
    ]
    schema = [(STUDY, pa.string()), (DONOR, pa.string()), (PART, pa.int16()), (FIRST, pa.int32())]
    bare = pa.schema([*schema, *((name, pa.string()) for name in _TEXTS)])
    table = pa.Table.from_pylist(rows, schema=bare)
    low, high = (pa.chunked_array([pa.array([r[name] for r in rows], pa.int16())]) for name in ("low", "high"))
    return table.set_column(table.schema.get_field_index("age"), "age", join_bands(low, high))


def _row(row: Row, series: str, index: dict[str, int]) -> dict[str, Any]:
    days = row["days_from_first"]
    return {
        STUDY: row["study_id"],
        DONOR: row["donor_id"],
        PART: 0,
        FIRST: index.get(row["first_version"] or ""),
        "low": row["age_low_years"],
        "high": row["age_high_years"],
        "sex": row["sex"],
        "region": quasi_identifier_labels.region_of(row),
        "diagnosis": quasi_identifier_labels.diagnosis_of(row),
        "diagnosis_basis": row["diagnosis_basis"],
        "series": series,
        "days_from_first": None if days is None else str(days),
    }


def _series_texts(folder: Path) -> dict[str, str]:
    """What the images of each study state; the rows of a study stand together."""
    found: dict[str, list[pa.RecordBatch]] = {}
    for batch in contract.read_batches(folder / "manifest" / "series.parquet"):
        studies = batch.column("study_id").to_pylist()
        starts = [at for at, study in enumerate(studies) if not at or studies[at - 1] != study]
        for start, end in zip(starts, [*starts[1:], len(studies)], strict=True):
            found.setdefault(studies[start], []).append(batch.slice(start, end - start))
    return {study: quasi_identifiers.series_text(pa.Table.from_batches(parts)) for study, parts in found.items()}
