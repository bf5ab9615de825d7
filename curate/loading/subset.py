"""What stands beside fetched files: the rows, the citation and the licences of exactly these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from curate import contract, licenses
from curate.core import durable
from curate.core.errors import DamagedError
from curate.describe import markup
from curate.loading import download
from curate.loading.source import Source

CITATION = "CITATION.cff"


def license_counts(rows: Any, instances: Collection[str]) -> dict[str, int]:
    """How many of the instances bear each licence."""
    pairs = zip(rows["SOPInstanceUID"].to_pylist(), rows["license"].to_pylist(), strict=True)
    return dict(sorted(Counter(found for instance, found in pairs if instance in instances).items()))


def write(
    source: Source,
    held: Mapping[str, Path],
    folder: Path,
    instances: Collection[str],
    where: str | None,
    digest: str,
    facts: dict[str, Any],
) -> None:
    """Write manifest/*.parquet of the chosen rows, LICENSES/, and CITATION.cff."""
    rows = _write_manifest(held, folder, instances)
    used = sorted(set(rows["license"].to_pylist()))
    if not used:
        return  # all of it has been withdrawn
    texts = [*(f"{licenses.FOLDER}/{name}.txt" for name in used), licenses.TERMS_PATH]
    found = download.small(source, [*texts, CITATION])
    for path in texts:
        (folder / path).parent.mkdir(exist_ok=True)
        durable.write_bytes(folder / path, found[path])
    studies = len(rows["study_id"].unique())
    part = f"This copy holds {studies} of {facts['counts']['studies']} studies ({rows.num_rows} instances)"
    cited = _citation(found[CITATION], used, part + (f", chosen by: {where}" if where else ""), digest)
    durable.write_bytes(folder / CITATION, cited.encode())


def _write_manifest(held: Mapping[str, Path], folder: Path, instances: Collection[str]) -> pa.Table:
    """Write the chosen rows of the three tables; gives those of `instances`."""
    (folder / "manifest").mkdir(exist_ok=True)
    rows = _matching(held["instances"], "SOPInstanceUID", pa.array(sorted(instances), pa.string()))
    keys = {"instances": rows, "series": None, "studies": None}
    for name, column in (("series", "SeriesInstanceUID"), ("studies", "study_id")):
        keys[name] = _matching(held[name], column, rows[column].unique())
    for name, table in keys.items():
        contract.write_table(name, folder / "manifest" / f"{name}.parquet", [table])
    return rows


def _matching(path: Path, column: str, values: pa.Array) -> pa.Table:
    table = pq.read_table(path)
    return table.filter(pc.is_in(table[column], value_set=pc.cast(values, table[column].type)))


def _citation(raw: bytes, used: list[str], part: str, digest: str) -> str:
    """CITATION.cff of the release, which says what of it this is, with the licences of these rows alone."""
    try:
        document = markup.load_yaml(raw)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not isinstance(document.get("identifiers", []), list):
        raise DamagedError(f"{CITATION} of the release cannot be read.", hint="Run `curate check` on the release.")
    document["abstract"] = f"{document.get('abstract') or ''} {part}.".strip()
    if document.get("license") != used[0] or len(used) > 1:  # CFF reads a list as a choice: the rows say it
        document.pop("license", None)
        document.pop("license-url", None)
        document["abstract"] += f" Licences of its rows: {', '.join(used)}."
    if len(used) == 1:
        document["license-url"] = licenses.get(used[0]).url
    document["identifiers"] = [
        *document.get("identifiers", []),
        {
            "type": "other",
            "value": f"sha256:{digest}",
            "description": "SHA-256 of the release's release.json",
        },
    ]
    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100))
