"""What the release of an archive costs of which 1% is new: `python -m benchmarks.release`.

A generated archive of small studies (20 instances of noise, as intake packs them: below half the size of a pack, so that they are merged), cut once, then again with
1% more studies and one withdrawn. Processor time of the calls alone, of one run. Goal: 5% of the first release.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.manifest import LICENSE, _bare, _series, _series_template, _uid
from curate.archive import arrow_ipc, packs
from curate.archive.ledger_records import StudyRecord
from curate.archive.repository import Archive, opened
from curate.core.digests import sha256_set
from curate.core.records import ArchiveInfo
from curate.steps.init import init
from curate.steps.release import release
from curate.steps.withdraw import withdraw

INSTANCES = 20
_CODED = {
    "age_years": 40,
    "sex": "F",
    "region_codes": ["51185008"],
    "region": "Chest",
    "region_group": "chest",
    "laterality": None,
    "diagnosis_code": None,
    "diagnosis_title": None,
    "diagnosis_basis": None,
}


def _record(archive: Archive, number: int, template: pa.Table, size: int) -> StudyRecord:
    """One study in a pack of its own, as intake leaves it."""
    random, study = np.random.default_rng(number), _uid("study", number)
    series = sorted(_uid("series", number, part) for part in (0, 1))
    rows = [
        packs.PackRow(study, series[n * 2 // INSTANCES], _uid("instance", number, n), random.bytes(size))
        for n in range(INSTANCES)
    ]
    packed = packs.store_pack(rows, archive.packs)
    half = INSTANCES // 2
    columns = {
        "study_id": [study] * INSTANCES,
        "SeriesInstanceUID": [row.series for row in rows],
        "SOPInstanceUID": [row.instance for row in rows],
        "sha256": [hashlib.sha256(row.data).digest() for row in rows],
        "pack": [packs.pack_path(packed.sha256)] * INSTANCES,
        "offset_bytes": [offset for offset, _ in packed.places],
        "size_bytes": [size] * INSTANCES,
        "SOPClassUID": ["1.2.840.10008.5.1.4.1.1.2"] * INSTANCES,
        "transfer_syntax": ["1.2.840.10008.1.2.1"] * INSTANCES,
        "slice_index": [*range(half), *range(INSTANCES - half)],
        "frames": [1] * INSTANCES,
    }
    instances = pa.table(columns, schema=_bare("instances"))
    facts = {
        "modalities": ["CT"],
        "series_count": 2,
        "instance_count": INSTANCES,
        "size_bytes": INSTANCES * size,
        "sha256": sha256_set(columns["sha256"]).hex(),
    }
    payload = {
        "license": LICENSE,
        "fold": number % 10,
        "day": 0,
        "coded": _CODED,
        "facts": facts,
        "evidence": {},
    }
    links = arrow_ipc.to_ipc(_bare("references").empty_table())
    described = arrow_ipc.to_ipc(_series(study, template, instances, random))
    return StudyRecord(study, f"D{number}", b"", payload, described, arrow_ipc.to_ipc(instances), links, None)


def _fill(root: Path, numbers: range, size: int) -> None:
    template = _series_template()
    with opened(root, write=True) as archive:
        for number in numbers:
            record = _record(archive, number, template, size)
            with archive.ledger.transaction():
                archive.ledger.put_study(record)


def _timed(root: Path) -> tuple[float, float]:
    before, start = os.times(), time.perf_counter()
    release(root, accept_loss=True)
    after = os.times()
    return after.user - before.user + after.system - before.system, time.perf_counter() - start


def measure(studies: int, kilobytes: int) -> None:
    """Print three rows of one archive: studies of 20 instances of this size."""
    size = kilobytes * 1000
    with tempfile.TemporaryDirectory() as folder:
        info = ArchiveInfo("Bench", "Bench", LICENSE, "test")
        root = init(Path(folder) / "archive", info, hub_target="", approvals=0)
        _fill(root, range(10), size)
        release(root, accept_loss=True)  # what is imported, and the first use of every library
        _fill(root, range(10, studies), size)
        first = _timed(root)
        _fill(root, range(studies, studies + studies // 100), size)
        withdraw(root, _uid("study", 20))
        again, nothing = _timed(root), _timed(root)
    what = f"{studies:,} studies of {INSTANCES * size / 1e6:,.1f} MB"
    for name, (cpu, wall) in {"first": first, "1% new, one withdrawn": again, "nothing new": nothing}.items():
        print(f"| {what} | {name} | {cpu:.2f} | {wall:.2f} | {cpu / first[0]:.1%} |")


def main() -> None:
    """Print processor and wall time of three releases of two archives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, nargs=2, default=(2_000, 300), help="small and large ones")
    small, large = parser.parse_args().studies
    print("| archive | release | processor s | wall s | of the first |\n| --- | --- | ---: | ---: | ---: |")
    measure(small, 50)
    measure(large, 500)


if __name__ == "__main__":
    main()
