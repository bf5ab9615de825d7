"""Intake, release and check against reading and SHA-256 hashing the same bytes: `make bench`.

Ratios of processor time and wall time, with one worker, in one run, to the named yardstick; peak memory of
the largest single process.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import corpus

_HASH = """
import hashlib, os, sys
for folder, _, names in os.walk(sys.argv[1]):
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            hashlib.sha256(file.read()).digest()
"""
_COPY = """
import hashlib, os, sys
with open(sys.argv[2], "wb") as out:
    for folder, _, names in os.walk(sys.argv[1]):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read()
            hashlib.sha256(data).digest()
            out.write(data)
    out.flush()
    os.fsync(out.fileno())
"""


@dataclass(frozen=True)
class Figure:
    """One measured command: seconds of processor and of wall time, peak memory in MB."""

    cpu: float
    wall: float
    peak_mb: float


def run(*command: str) -> Figure:
    """Run a command to its end; it must succeed."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - start
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figure(cpu, wall, after.ru_maxrss / 1000)


def measure(data: Path, table: Path, folder: Path) -> None:
    """Print a row a step for one corpus."""
    curate = (sys.executable, "-m", "curate")
    archive = str(folder / "archive")
    files = sum(1 for path in data.rglob("*") if path.is_file())
    size = sum(path.stat().st_size for path in data.rglob("*") if path.is_file())
    run(sys.executable, "-c", _HASH, str(data))  # the page cache is warm for all
    read = run(sys.executable, "-c", _HASH, str(data))
    written = run(sys.executable, "-c", _COPY, str(data), str(folder / "copy"))
    (folder / "copy").unlink()
    run(*curate, "init", archive, "--title", "Bench", "--publisher", "Bench", "--population", "test")
    one = ("--quiet", "--workers", "1")  # the system does not count the workers of a fork server
    intake = (*curate, "intake", archive, str(data), "--studies", str(table), "--deidentify", *one)
    steps = {
        "read and hash": read,
        "read, hash and write": written,
        "intake": run(*intake),
        "intake again": run(*intake),
        "release": run(*curate, "release", archive, "--quiet"),
        "check": run(*curate, "check", f"{archive}/releases/1.0.0", *one),
    }
    print(f"\n{files:,} files, {size / 1e6:,.0f} MB, {os.cpu_count()} processors\n")
    yardsticks = "CPU, to read and hash | CPU, to read, hash and write | wall, to read and hash"
    print(f"| step | {yardsticks} | files a CPU second | peak MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, f in steps.items():
        ratios = f"{f.cpu / read.cpu:.2f} | {f.cpu / written.cpu:.2f} | {f.wall / read.wall:.2f}"
        print(f"| {name} | {ratios} | {files / f.cpu:,.0f} | {f.peak_mb:,.0f} |")


def main() -> None:
    """Measure the corpora of large and of small files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the corpora lie; a temporary folder by default")
    parser.add_argument("--studies", type=int, default=40)
    parser.add_argument("--small", type=int, default=20_000, help="files of 12 kB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        shapes = ((options.studies, 100, 512), (options.small // 100, 100, 64))
        for number, (studies, slices, side) in enumerate(shapes):
            data, table = corpus.make(folder, studies, slices, side)
            with tempfile.TemporaryDirectory(dir=folder, prefix=f"run{number}-") as scratch:
                measure(data, table, Path(scratch))


if __name__ == "__main__":
    main()
