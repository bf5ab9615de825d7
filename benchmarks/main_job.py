"""Intake, release and check against reading, SHA-256 hashing and writing the same bytes: `make bench`.

Every step and its yardstick run in turn, each a process of its own with one worker; told are medians of the
ratios of processor time, pair by pair, so that a machine whose speed drifts does not matter. `--studies 0` or
`--small 0` leaves a corpus out; the naive script is run on 400 files, since it takes minutes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import corpus

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
os.unlink(sys.argv[2])
"""
_NAIVE = """
import sys
from pathlib import Path
import pydicom
from datasets import Dataset
NAMES = ("PatientName", "PatientID", "PatientBirthDate", "InstitutionName", "ReferringPhysicianName", "OperatorsName")
def rows():
    for path in sorted(Path(sys.argv[1]).rglob("*.dcm")):
        ds = pydicom.dcmread(path)
        ds.remove_private_tags()
        for name in NAMES:
            setattr(ds, name, "")
        yield {"study": ds.StudyInstanceUID, "series": ds.SeriesInstanceUID, "image": ds.pixel_array}
Dataset.from_generator(rows, cache_dir=sys.argv[2] + "/cache").to_parquet(sys.argv[2] + "/out.parquet")
"""
_AGAIN = """
import os, sys, time
from pathlib import Path
from curate.steps.intake import intake
archive, source, table = map(Path, sys.argv[1:])
def stats():
    for folder, _, names in os.walk(source):
        for name in names:
            os.stat(os.path.join(folder, name))
def cpu(function):
    best = []
    for _ in range(5):
        start = time.process_time()
        function()
        best.append(time.process_time() - start)
    return sorted(best)[2]
again = lambda: intake(archive, [source], table, deidentify=True, workers=1)
assert again().admitted_studies == 0
print(cpu(again) / cpu(stats))
"""


@dataclass(frozen=True)
class Figure:
    """One measured command: seconds of processor time, peak memory in MB."""

    cpu: float
    peak_mb: float


def run(*command: str) -> Figure:
    """Run a command to its end; it must succeed."""
    quiet = {**os.environ, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=quiet)
    _, status, after = os.wait4(process.pid, 0)
    if status:
        raise subprocess.CalledProcessError(status, command)
    return Figure(after.ru_utime + after.ru_stime, after.ru_maxrss / 1000)


def in_turn(
    times: int, step: Callable[[], Figure], yardstick: Callable[[], Figure]
) -> tuple[float, float, float, float]:
    """The median of step / yardstick over pairs of runs, its least and largest; the step's peak in MB."""
    pairs = [(step(), yardstick()) for _ in range(times)]
    ratios = [a.cpu / b.cpu for a, b in pairs]
    return median(ratios), min(ratios), max(ratios), max(a.peak_mb for a, _ in pairs)


class Job:
    """One corpus and the archive that it goes into."""

    def __init__(self, data: Path, table: Path, scratch: Path) -> None:
        self.data, self.table, self.scratch = data, table, scratch
        self.archive = scratch / "archive"
        self.curate = (sys.executable, "-m", "curate")

    def copy(self) -> Figure:
        """The yardstick: read, hash and write."""
        return run(sys.executable, "-c", _COPY, str(self.data), str(self.scratch / "copy"))

    def intake(self) -> Figure:
        """Into a new archive."""
        shutil.rmtree(self.archive, ignore_errors=True)
        about = ("--title", "Bench", "--publisher", "Bench", "--population", "test")
        run(*self.curate, "init", str(self.archive), *about)
        given = (str(self.archive), str(self.data), "--studies", str(self.table), "--deidentify")
        return run(*self.curate, "intake", *given, "--quiet", "--workers", "1")

    def release(self) -> Figure:
        """The first one."""
        return run(*self.curate, "release", str(self.archive), "--quiet", "--accept-loss")

    def check(self) -> Figure:
        """Of that release."""
        return run(*self.curate, "check", f"{self.archive}/releases/1.0.0", "--quiet", "--workers", "1")

    def again(self) -> float:
        """Processor time of a second look at the same, without the start of a process, to its stat calls."""
        command = [sys.executable, "-c", _AGAIN, str(self.archive), str(self.data), str(self.table)]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    def naive(self) -> Figure:
        """The script that one would write first."""
        folder = self.scratch / "naive"
        shutil.rmtree(folder, ignore_errors=True)
        return run(sys.executable, "-c", _NAIVE, str(self.data), str(folder))


def measure(job: Job, times: int) -> None:
    """Print a row a step for one corpus."""
    files = [path.stat().st_size for path in job.data.rglob("*.dcm")]
    print(f"\n{len(files):,} files, {sum(files) / 1e6:,.0f} MB, {os.cpu_count()} processors\n")
    print("| step | CPU, to read, hash and write: median (least to largest) | files a CPU second | peak MB |")
    print("| --- | ---: | ---: | ---: |")
    job.copy()  # the page cache is warm for all
    yardstick: list[float] = []

    def copy() -> Figure:
        yardstick.append((figure := job.copy()).cpu)
        return figure

    for name, step, count in (
        ("intake", job.intake, times),
        ("release", job.release, 1),
        ("check", job.check, times),
    ):
        middle, least, most, peak = in_turn(count, step, copy)
        rate = len(files) / (middle * median(yardstick))
        spread = f" ({least:.2f} to {most:.2f})" if count > 1 else ""
        print(f"| {name} | {middle:.2f}{spread} | {rate:,.0f} | {peak:,.0f} |", flush=True)
    print(
        f"\nIntake again, nothing new: {job.again():.1f} times its stat calls, the process's start apart.",
        flush=True,
    )


def main() -> None:
    """Measure the corpora of large and of small files, and the naive script."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the corpora lie; a temporary folder by default")
    parser.add_argument("--studies", type=int, default=40, help="of 100 slices of 526 kB")
    parser.add_argument("--small", type=int, default=20_000, help="files of 12 kB")
    parser.add_argument("--times", type=int, default=3, help="runs of each pair")
    parser.add_argument("--without-naive", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        for studies, slices, side in ((options.studies, 100, 512), (options.small // 100, 100, 64)):
            if studies:
                data, table = corpus.make(folder, studies, slices, side)
                with tempfile.TemporaryDirectory(dir=folder, prefix="run-") as scratch:
                    measure(Job(data, table, Path(scratch)), options.times)
        if not options.without_naive:
            data, table = corpus.make(folder, 4, 100, 512)
            with tempfile.TemporaryDirectory(dir=folder, prefix="run-") as scratch:
                job = Job(data, table, Path(scratch))
                middle, least, most, peak = in_turn(options.times, job.naive, job.copy)
                print(f"\nNaive script: {middle:.1f} ({least:.1f} to {most:.1f}), peak {peak:,.0f} MB")
                print(f"Intake of the same 400 files: {in_turn(options.times, job.intake, job.copy)[0]:.1f}")


if __name__ == "__main__":
    main()
