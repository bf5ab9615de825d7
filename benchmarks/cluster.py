"""The intake of one donation on this machine, from and to S3, and on a Dask cluster: `python -m benchmarks.cluster`.

Processor time of the coordinator and of all workers, to that of one local process in the same run; peak memory of
each. The S3 server of the tests runs beside it and is not counted.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import corpus
from tests.cluster.machines import Cluster, cluster, s3
from tests.cluster.test_dask import make, upload


@dataclass(frozen=True)
class Figure:
    """Seconds of processor time, and peak memory in MB of the coordinator and of the largest worker."""

    cpu: float
    coordinator_mb: float
    worker_mb: float


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _worker(machines: Cluster, name: str) -> tuple[float, float]:
    """Seconds of processor time and peak MB of a running worker."""
    folder = Path(f"/proc/{machines.processes[name].pid}")
    fields = (folder / "stat").read_text().rsplit(") ", 1)[1].split()
    ticks = os.sysconf("SC_CLK_TCK")
    peak = next(line for line in (folder / "status").read_text().splitlines() if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / ticks, int(peak.split()[1]) / 1000


def measure(folder: Path, data: Path, table: Path, way: str) -> Figure:
    """One intake into a new archive."""
    with ExitStack() as stack:
        environment: dict[str, str] = {}
        source, stores = str(data), ""
        if "S3" in way:
            environment = stack.enter_context(s3(folder / "server"))
            upload(environment, data)
            source, stores = "s3://given", "s3://shared/archive"
        archive = make(folder / "archive", stores)
        how = ["--workers", "1"]
        before: dict[str, tuple[float, float]] = {}
        machines = None
        if "Dask" in way:
            machines = stack.enter_context(cluster(folder / "cluster", 2, environment))
            machines.wait_for("worker0", "worker1")
            before = {name: _worker(machines, name) for name in ("worker0", "worker1")}
            how = ["--scheduler", machines.address]
        command = ["intake", str(archive), source, "--studies", str(table), "--deidentify", "--quiet", *how]
        start = _cpu()
        timed = [sys.executable, "-c", _TIMED, *command]
        ran = subprocess.run(timed, check=True, env={**os.environ, **environment}, capture_output=True, text=True)
        cpu, peak = _cpu() - start, float(ran.stderr.split()[-1]) / 1000
        worker = 0.0
        if machines is not None:
            after = {name: _worker(machines, name) for name in before}
            cpu += sum(after[name][0] - before[name][0] for name in before)
            worker = max(mb for _, mb in after.values())
        return Figure(cpu, peak, worker)


_TIMED = """
import resource, sys
from curate.cli.main import run
sys.argv = ["curate", *sys.argv[1:]]
try:
    run()
except SystemExit as ended:
    assert not ended.code, ended.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)
"""


def main() -> None:
    """Measure the ways on one corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=8)
    parser.add_argument("--slices", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data, table = corpus.make(Path(temporary), options.studies, options.slices, 512)
        size = sum(path.stat().st_size for path in data.rglob("*.dcm"))
        print(f"\n{options.studies} studies, {options.studies * options.slices:,} files, {size / 1e6:,.0f} MB\n")
        print("| intake | CPU, to one local process | MB a core second | coordinator, peak MB | worker, peak MB |")
        print("| --- | ---: | ---: | ---: | ---: |")
        local = 0.0
        for number, way in enumerate(("one local process", "the same, S3", "Dask, 2 workers", "Dask, 2 workers, S3")):
            with tempfile.TemporaryDirectory(dir=temporary, prefix=f"{number}-") as folder:
                f = measure(Path(folder), data, table, way)
            local = local or f.cpu
            worker = f"{f.worker_mb:,.0f}" if f.worker_mb else ""
            rate = size / 1e6 / f.cpu
            print(f"| {way} | {f.cpu / local:.2f} | {rate:,.0f} | {f.coordinator_mb:,.0f} | {worker} |", flush=True)


if __name__ == "__main__":
    main()
