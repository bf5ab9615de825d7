"""Measure the disclosure-risk room: `python -m benchmarks.risk [--rows N]`.

Prints the time to count k of N studies, to search the recoding, to recode from end to end, and the peak
memory of the process that did it, the table included. The donors are generated: see tests/privacy/donors.py.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from curate.policies import PrivacyPolicy
from curate.privacy.anonymization import hopeless_rows, recode
from curate.privacy.encoding import prepare, studies
from curate.privacy.generalization_ladder import Hierarchy
from curate.privacy.lattice_search import Choice, search
from curate.privacy.risk import risk
from tests.privacy import donors

T = TypeVar("T")


def main() -> None:
    """Generate in one process, measure in another, so that only the measured work counts."""
    parser = argparse.ArgumentParser(description="k, recoding and memory of the disclosure-risk room")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--measure", type=Path)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "studies.parquet"
        pq.write_table(donors.studies(arguments.rows), path)
        subprocess.run([sys.executable, "-m", "benchmarks.risk", "--measure", path], check=True)


def measure(path: Path) -> None:
    """Print one line a measurement."""
    table, levels, policy = pq.read_table(path), donors.hierarchies(), PrivacyPolicy()
    columns = [level.column for level in levels]
    print(f"studies                    {table.num_rows:>12,}")
    print(f"memory with the table      {_peak():>12,.0f} MB")
    _timed("k over all columns", lambda: risk(table, columns, policy.k))
    choice = _timed("search of the recoding", lambda: _search(table, levels, policy))
    print(f"  nodes looked at          {choice.evaluated:>8} of {choice.lattice}")
    print(f"peak memory of the search  {_peak():>12,.0f} MB")
    made = _timed("recode and audit, all", lambda: recode(table, levels, policy))
    print(f"  published, held          {made.table.num_rows:>12,} {made.held.num_rows:>8,}")
    print(f"peak memory of all         {_peak():>12,.0f} MB")


def _search(table: pa.Table, levels: Sequence[Hierarchy], policy: PrivacyPolicy) -> Choice:
    data, hopeless = hopeless_rows(prepare(table, levels, ()), policy)
    weights = policy.weights([level.column for level in levels])
    return search(
        studies(data, hopeless),
        data.ladders,
        [weights[level.column] for level in levels],
        policy.k,
        policy.largest_suppressed_share,
    )


def _timed(name: str, work: Callable[[], T]) -> T:
    begin, cpu = time.perf_counter(), time.process_time()
    result = work()
    print(f"{name:<26} {time.perf_counter() - begin:>12.2f} s ({time.process_time() - cpu:.2f} s of processor)")
    return result


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
