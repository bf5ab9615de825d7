"""What each step holds at its peak in an archive of very many studies: `python -m benchmarks.memory`.

Studies of a few small instances, as intake leaves them (`tests.steps.many`), so that what is held is of rows and not of
pixels. Each command in a process of its own; processor time and peak resident memory. Goal: 1 GB for any step.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.main_job import Figure, run

_GROW = """
import sys
from pathlib import Path
from curate.archive import repository
from tests.steps.donors import make_archive
from tests.steps.many import admit, visits
root, start, stop = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if not root.exists():
    make_archive(root, privacy="largest_suppressed_share = 0.05\\n")
with repository.opened(root, write=True) as archive:
    admit(archive, visits(range(start, stop)), pack=50)
    print(next(iter(archive.ledger.studies())).study_id)
"""


def measured(folder: Path, studies: int) -> Iterator[tuple[str, Figure]]:
    """Each step of an archive's life once, in turn."""
    root, hub = folder / "archive", (folder / "hub").as_uri()
    old, new = (str(root / "releases" / version) for version in ("1.0.0", "1.1.0"))
    study = _grow(root, 0, studies)
    yield "release, the first", _curate("release", str(root), "--accept-loss")
    yield "check", _curate("check", old, "--workers", "1")
    yield "publish, to a folder", _curate("publish", str(root), "1.0.0", "--to", hub)
    yield "withdraw", _curate("withdraw", str(root), study)
    _grow(root, studies, studies + studies // 100)
    yield "release, 1% new", _curate("release", str(root), "--accept-loss")
    yield "publish, with the purge of the withdrawn", _curate("publish", str(root), "1.1.0", "--to", hub)
    yield "diff", _curate("diff", old, new)
    yield "risk", _curate("risk", str(root))
    yield "review", _curate("review", new, "--out", str(folder / "review"))
    yield "report", _curate("report", str(root), "--out", str(folder / "site"))
    yield "doctor", _curate("doctor", str(root))
    yield "ledger", _curate("ledger", str(root))


def _grow(root: Path, start: int, stop: int) -> str:
    """Donors come; the id of one of the archive's studies."""
    command = [sys.executable, "-c", _GROW, str(root), str(start), str(stop)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]


def _curate(*words: str) -> Figure:
    return run(sys.executable, "-m", "curate", *words)


def main() -> None:
    """Print the table that docs/speed.md shows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=100_000)
    with tempfile.TemporaryDirectory() as folder:
        print("| step | CPU s | peak MB |\n| --- | ---: | ---: |")
        for step, figure in measured(Path(folder), parser.parse_args().studies):
            print(f"| {step} | {figure.cpu:.1f} | {figure.peak_mb:.0f} |", flush=True)


if __name__ == "__main__":
    main()
