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

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import contract
from curate.archive import arrow_ipc
from curate.archive.ledger_records import StudyRecord
from curate.core import arrays
from curate.core.digests import sha256_set
from curate.steps.release import manifest

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
    no_links = arrow_ipc.to_ipc(contract.to_arrow("references", []).select(_bare("references").names))
    template = _series_template()
    for study, number in order:
        random = np.random.default_rng(number)
        rows = _instances(study, number, instances, random)
        series = _series(study, template, rows, random)
        facts = {
            "modalities": ["CT"],
            "series_count": 2,
            "instance_count": instances,
            "size_bytes": pc.sum(rows["size_bytes"]).as_py(),
            "sha256": sha256_set(rows["sha256"].to_pylist()).hex(),
        }
        evidence = {"applied": {"D": 9, "K": 120, "U": 8, "X": 30 + number % 7}, "tool": "curate 0.1.0"}
        payload = {"license": LICENSE, "fold": number // 2 % 10, "facts": facts, "evidence": evidence}
        donor = f"D{_digest('donor', number // 2).hex()[:32]}"
        yield StudyRecord(
            study, donor, b"", payload, arrow_ipc.to_ipc(series), arrow_ipc.to_ipc(rows), no_links, None, 1
        )


def _instances(study: str, number: int, count: int, random: np.random.Generator) -> pa.Table:
    """Slices of one size but for a few bytes, in packs of 32 MB; ids and digests that look random."""
    series, half = sorted(_uid("series", number, part) for part in (0, 1)), count // 2
    sizes = SLICE_BYTES + 2 * random.integers(0, 3, count)
    room = PACK_BYTES // (SLICE_BYTES + 31)
    ends = np.concatenate([[0], np.cumsum(sizes + 31)])[:-1]
    starts = ends - ends[np.arange(count) // room * room] + 700
    digests = [random.bytes(32).hex() for _ in range(count // room + 1)]
    packs = [f"packs/{digest[:2]}/{digest}.parquet" for digest in digests]
    ids, hashes = random.bytes(16 * count), random.bytes(32 * count)
    columns: dict[str, Any] = {
        "study_id": [study] * count,
        "SeriesInstanceUID": [series[0]] * half + [series[1]] * (count - half),
        "SOPInstanceUID": [f"2.25.{int.from_bytes(ids[i : i + 16])}" for i in range(0, 16 * count, 16)],
        "sha256": pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), count, [None, pa.py_buffer(hashes)]),
        "pack": [packs[n // room] for n in range(count)],
        "offset_bytes": starts,
        "size_bytes": sizes,
        "SOPClassUID": ["1.2.840.10008.5.1.4.1.1.2"] * count,
        "transfer_syntax": ["1.2.840.10008.1.2.1"] * count,
        "slice_index": [*range(half), *range(count - half)],
        "frames": [1] * count,
    }
    fields = _bare("instances")
    return pa.table(
        [_column(columns[field.name], field.type) for field in fields], schema=fields
    )  # `pa.table` of lists would import pandas, which no release does


def _column(values: Any, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else arrays.array(list(values), kind)


def _series_template() -> pa.Table:
    """Two series with the values that CT series have, their ids and sizes apart."""
    row = {
        "study_id": "",
        "SeriesInstanceUID": "",
        "Modality": "CT",
        "SOPClassUIDs": ["1.2.840.10008.5.1.4.1.1.2"],
        "transfer_syntaxes": ["1.2.840.10008.1.2.1"],
        "instance_count": 0,
        "frame_count": 0,
        "size_bytes": 0,
        "Manufacturer": "SIEMENS",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "Rows": 512,
        "Columns": 512,
        "BitsStored": 12,
        "SliceThickness": 2.5,
        "regular_volume": True,
        "slice_spacing_mm": 2.5,
        "KVP": 120.0,
    }
    return contract.to_arrow("series", [row, row]).select(_bare("series").names)  # not from_pylist: it brings pandas


def _series(study: str, template: pa.Table, instances: pa.Table, random: np.random.Generator) -> pa.Table:
    sizes, half = instances["size_bytes"].to_pylist(), instances.num_rows // 2
    uids = instances["SeriesInstanceUID"]
    counts = [half, len(sizes) - half]
    spacing, current = 0.5 + random.integers(0, 256) / 1000, 80.0 + random.integers(0, 256)
    values: dict[str, Any] = {
        "study_id": [study] * 2,
        "SeriesInstanceUID": [uids[0].as_py(), uids[half].as_py()],
        "SeriesNumber": [1, 2],
        "FrameOfReferenceUID": [_uid("frame", study)] * 2,
        "instance_count": counts,
        "frame_count": counts,
        "size_bytes": [sum(sizes[:half]), sum(sizes[half:])],
        "pixel_spacing_row_mm": [spacing] * 2,
        "pixel_spacing_column_mm": [spacing] * 2,
        "tube_current_min_mA": [current] * 2,
        "tube_current_max_mA": [2 * current] * 2,
    }
    columns = [_column(values[f.name], f.type) if f.name in values else template[f.name] for f in template.schema]
    return pa.table(columns, schema=template.schema)


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
    from curate.verify.checks import texts  # here, so that the writing's memory is that of what a release imports
    from curate.verify.checks.seal import Seal
    from curate.verify.checks.tables import check_contract, check_joins

    counts = {n: pq.read_metadata(folder / f"{n}.parquet").num_rows for n in contract.MANIFEST_TABLES}
    files = {f"manifest/{n}.parquet": {"sha256": "", "size_bytes": 0} for n in contract.MANIFEST_TABLES}
    seal = Seal(folder.parent, VERSION, {"counts": counts, "files": files, "population": "test"})
    taken: dict[str, float] = {}
    for check in (check_contract, check_joins, texts.check_digests):
        start, used = time.perf_counter(), time.process_time()
        result = check(seal)
        taken[check.__name__] = time.perf_counter() - start
        taken["cpu"] = taken.get("cpu", 0) + time.process_time() - used
        assert not result.findings, result.findings[:3]
    return taken


def _find(folder: Path, studies: int, instances: int) -> dict[str, float]:
    import duckdb

    path = folder / "instances.parquet"
    taken: dict[str, list[tuple[float, float]]] = {"pyarrow": [], "duckdb": []}
    for number in range(0, studies, max(1, studies // 20)):
        study = _uid("study", number)
        query = f"SELECT * FROM read_parquet('{path}') WHERE study_id = '{study}'"
        ways = {
            "pyarrow": lambda study=study: pq.read_table(path, filters=[("study_id", "=", study)]),
            "duckdb": lambda query=query: duckdb.sql(query).to_arrow_table(),
        }
        for name, way in ways.items():
            start, used = time.perf_counter(), time.process_time()
            assert way().num_rows == instances
            taken[name].append((time.perf_counter() - start, time.process_time() - used))
    return {
        f"{name} {what}": 1000 * statistics.median(column)
        for name, times in taken.items()
        for what, column in zip(("wall", "cpu"), zip(*times, strict=True), strict=True)
    }


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
        took = ", ".join(f"{n} {seconds:.1f} s" for n, seconds in checked.items() if n.startswith("check"))
        print(f"checked: {took}; processor {checked['cpu']:.1f} s; peak {checked['peak_mb']:.0f} MB")
        ways = (
            f"{n} {found[f'{n} wall']:.0f} ms (processor {found[f'{n} cpu']:.0f} ms)" for n in ("pyarrow", "duckdb")
        )
        print("a study found by id: " + ", ".join(ways))


if __name__ == "__main__":
    main()
