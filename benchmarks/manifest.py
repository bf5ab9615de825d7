"""What the manifest of 10 million instances in 100,000 studies costs: `python -m benchmarks.manifest`.

The rows are synthetic and go through the real writer, one study at a time, as `release` sends them; then the real
checks of the tables run, and a study is found by its id. Each part runs in a process of its own, so that its peak
memory is its own. Goals: 60 bytes a row of `instances`, written under 300 MB, checked under 60 s, found under 100 ms.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from curate import contract
from curate.archive import tables
from curate.archive.ledger import StudyRecord
from curate.digests import sha256_set
from curate.steps.release import manifest
from curate.verify import texts
from curate.verify.seal import Seal
from curate.verify.tables import check_contract, check_joins

VERSION, LICENSE = "1.0.0", "CC-BY-4.0"
PACK_BYTES = 32 << 20
SLICE_BYTES = 527_000  # an uncompressed CT slice with its header; headers differ by a few bytes
_SHOWN = {
    "days_from_first": 0,
    "age_low_years": 40,
    "age_high_years": 44,
    "sex": "F",
    "region_codes": ["51185008"],
    "region": "Chest",
    "region_group": "chest",
    "laterality": None,
    "diagnosis_code": "J18",
    "diagnosis_title": "Pneumonia, unspecified organism",
    "diagnosis_level": "category",
    "diagnosis_basis": None,
}


def _uid(*numbers: object) -> str:
    """A UID as the archive makes them: 2.25. and 122 bits that look random."""
    return f"2.25.{int.from_bytes(_digest(*numbers)[:16]) | 1 << 127}"


def _digest(*numbers: object) -> bytes:
    return hashlib.sha256("/".join(map(str, numbers)).encode()).digest()


def _bare(name: str) -> pa.Schema:
    fields = [f for f in contract.table(name).schema if f.name not in ("license", "release_version")]
    return pa.schema(fields)


def records(studies: int, instances: int) -> Iterator[StudyRecord]:
    """Studies in the order of their ids, each with two series, as the ledger would give them."""
    order = sorted((_uid("study", number), number) for number in range(studies))
    no_links = tables.to_ipc(_bare("references").empty_table())
    for study, number in order:
        rows = _instances(study, number, instances)
        series = _series(study, rows)
        facts = {
            "modalities": ["CT"],
            "series_count": 2,
            "instance_count": instances,
            "size_bytes": sum(rows["size_bytes"].to_pylist()),
            "sha256": sha256_set(rows["sha256"].to_pylist()).hex(),
        }
        evidence = {"applied": {"D": 9, "K": 120, "U": 8, "X": 30 + number % 7}, "tool": "curate 0.1.0"}
        payload = {"license": LICENSE, "fold": number // 2 % 10, "facts": facts, "evidence": evidence}
        donor = f"D{_digest('donor', number // 2).hex()[:32]}"
        yield StudyRecord(
            study, donor, b"", payload, tables.to_ipc(series), tables.to_ipc(rows), no_links, None, 1
        )


def _instances(study: str, number: int, count: int) -> pa.Table:
    series = sorted(_uid("series", number, part) for part in (0, 1))
    sizes = [SLICE_BYTES + 2 * (_digest("size", number, n)[0] % 3) for n in range(count)]
    packs, offsets, offset, pack = [], [], 700, 0
    for size in sizes:
        if offset + size > PACK_BYTES:
            pack, offset = pack + 1, 700
        packs.append(
            f"packs/{_digest('pack', number, pack).hex()[:2]}/{_digest('pack', number, pack).hex()}.parquet"
        )
        offsets.append(offset)
        offset += size + 31
    half = count // 2
    columns: dict[str, Any] = {
        "study_id": [study] * count,
        "SeriesInstanceUID": [series[0]] * half + [series[1]] * (count - half),
        "SOPInstanceUID": [_uid("instance", number, n) for n in range(count)],
        "sha256": [_digest("bytes", number, n) for n in range(count)],
        "pack": packs,
        "offset_bytes": offsets,
        "size_bytes": sizes,
        "SOPClassUID": ["1.2.840.10008.5.1.4.1.1.2"] * count,
        "transfer_syntax": ["1.2.840.10008.1.2.1"] * count,
        "slice_index": [*range(half), *range(count - half)],
        "frames": [1] * count,
    }
    return pa.table(columns, schema=_bare("instances"))


def _series(study: str, instances: pa.Table) -> pa.Table:
    rows = []
    for uid in instances["SeriesInstanceUID"].unique().to_pylist():
        inside = [
            r
            for r in instances.select(["SeriesInstanceUID", "size_bytes"]).to_pylist()
            if r["SeriesInstanceUID"] == uid
        ]
        rows.append(
            {
                "study_id": study,
                "SeriesInstanceUID": uid,
                "Modality": "CT",
                "SeriesNumber": len(rows) + 1,
                "SOPClassUIDs": ["1.2.840.10008.5.1.4.1.1.2"],
                "transfer_syntaxes": ["1.2.840.10008.1.2.1"],
                "instance_count": len(inside),
                "frame_count": len(inside),
                "size_bytes": sum(r["size_bytes"] for r in inside),
                "Manufacturer": "SIEMENS",
                "FrameOfReferenceUID": _uid("frame", study),
                "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
                "Rows": 512,
                "Columns": 512,
                "BitsStored": 12,
                "pixel_spacing_row_mm": 0.5 + _digest(study)[0] / 1000,
                "pixel_spacing_column_mm": 0.5 + _digest(study)[0] / 1000,
                "SliceThickness": 2.5,
                "regular_volume": True,
                "slice_spacing_mm": 2.5,
                "KVP": 120.0,
                "tube_current_min_mA": 80.0 + _digest(study)[1],
                "tube_current_max_mA": 200.0 + _digest(study)[2],
            }
        )
    schema = _bare("series")
    return pa.table(
        {f.name: pa.array([row.get(f.name) for row in rows], f.type) for f in schema}, schema=schema
    )


def _write(folder: Path, studies: int, instances: int) -> dict[str, float]:
    """Write the manifest; the time of the rows' making, which no release has, is taken off."""
    made = 0.0

    def timed() -> Iterator[StudyRecord]:
        nonlocal made
        rows = records(studies, instances)
        while True:
            start = time.process_time()
            record = next(rows, None)
            made += time.process_time() - start
            if record is None:
                return
            yield record

    ids = [_uid("study", number) for number in range(studies)]
    published = dict.fromkeys(ids, _SHOWN)
    revoked = sorted((_digest("revoked", n), VERSION) for n in range(studies))
    start = time.process_time()
    manifest.write(folder, timed(), published, dict.fromkeys(ids, VERSION), VERSION, revoked)
    return {"cpu": time.process_time() - start - made}


def _check(folder: Path, studies: int, instances: int) -> dict[str, float]:
    counts = {n: pq.read_metadata(folder / f"{n}.parquet").num_rows for n in contract.MANIFEST_TABLES}
    files = {f"manifest/{n}.parquet": {"sha256": "", "size_bytes": 0} for n in contract.MANIFEST_TABLES}
    seal = Seal(folder.parent, VERSION, {"counts": counts, "files": files, "population": "test"})
    taken: dict[str, float] = {}
    for check in (check_contract, check_joins, texts.check_digests):
        start = time.perf_counter()
        result = check(seal)
        taken[check.__name__] = time.perf_counter() - start
        assert not result.findings, result.findings[:3]
    return taken


def _find(folder: Path, studies: int, instances: int) -> dict[str, float]:
    path = folder / "instances.parquet"
    taken: dict[str, list[float]] = {"pyarrow": [], "pyarrow dataset": [], "duckdb": []}
    for number in range(0, studies, max(1, studies // 20)):
        study = _uid("study", number)
        ways = {
            "pyarrow": lambda study=study: pq.read_table(path, filters=[("study_id", "=", study)]),
            "pyarrow dataset": lambda study=study: ds.dataset(path).to_table(
                filter=ds.field("study_id") == study
            ),
            "duckdb": lambda study=study: duckdb.execute(
                f"SELECT * FROM read_parquet('{path}') WHERE study_id = '{study}'"
            ).to_arrow_table(),
        }
        for name, way in ways.items():
            start = time.perf_counter()
            assert way().num_rows == instances
            taken[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(times) for name, times in taken.items()}


def _alone(part: str, folder: Path, studies: int, instances: int) -> dict[str, float]:
    """One part in a process of its own: its figures, its wall time and its peak memory."""
    command = [sys.executable, "-m", "benchmarks.manifest", "--part", part, "--folder", str(folder)]
    command += ["--studies", str(studies), "--instances", str(instances)]
    return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def _sizes(folder: Path) -> Iterator[str]:
    for name in contract.MANIFEST_TABLES:
        file = pq.ParquetFile(folder / f"{name}.parquet")
        size = (folder / f"{name}.parquet").stat().st_size
        rows = file.metadata.num_rows
        yield f"| {name} | {rows:,} | {size / 1e6:,.1f} | {size / max(1, rows):.1f} |"


def column_sizes(path: Path) -> Mapping[str, float]:
    """Compressed bytes a row of each column."""
    metadata = pq.read_metadata(path)
    found: dict[str, float] = {}
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for column in map(group.column, range(group.num_columns)):
            found[column.path_in_schema] = found.get(column.path_in_schema, 0) + column.total_compressed_size
    return {name: size / metadata.num_rows for name, size in found.items()}


def main() -> None:
    """Print size, time and memory of writing, checking and finding."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--instances", type=int, default=100, help="of each study")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--part", choices=("write", "check", "find"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        parts = {"write": _write, "check": _check, "find": _find}
        start = time.perf_counter()
        figures = parts[options.part](options.folder, options.studies, options.instances)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(json.dumps({**figures, "wall": time.perf_counter() - start, "peak_mb": peak}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or Path(temporary)) / "manifest"
        folder.mkdir(parents=True, exist_ok=True)
        written = _alone("write", folder, options.studies, options.instances)
        print("| table | rows | MB | bytes a row |\n| --- | ---: | ---: | ---: |")
        print("\n".join(_sizes(folder)))
        sizes = sorted(column_sizes(folder / "instances.parquet").items(), key=lambda pair: -pair[1])
        print("\ninstances, bytes a row: " + ", ".join(f"{name} {size:.2f}" for name, size in sizes))
        checked = _alone("check", folder, options.studies, options.instances)
        found = _alone("find", folder, options.studies, options.instances)
        print(f"\nwritten: {written['cpu']:.1f} s of processor time, peak {written['peak_mb']:.0f} MB")
        took = ", ".join(
            f"{name} {seconds:.1f} s" for name, seconds in checked.items() if name.startswith("check")
        )
        print(f"checked: {took}; peak {checked['peak_mb']:.0f} MB")
        print(
            "a study found by id: "
            + ", ".join(f"{n} {found[n]:.0f} ms" for n in ("pyarrow", "pyarrow dataset", "duckdb"))
        )


if __name__ == "__main__":
    main()
