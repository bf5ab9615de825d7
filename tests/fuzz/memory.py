"""`python -m tests.fuzz.memory`: time and peak memory of each bomb, in a process of its own (Linux)."""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz import run
from tests.fuzz.bombs import BOMBS
from tests.fuzz.mutate import mutated

TIMES = 10
BESIDE = 64 << 20  # what 200,000 elements and the tables of the program may hold
_STATUS = Path("/proc/self/status")


def _resident(kind: str) -> int:
    found = re.search(rf"{kind}:\s+(\d+) kB", _STATUS.read_text())
    return int(found[1]) * 1024 if found else 0


def files() -> Iterator[tuple[str, bytes]]:
    """Each bomb, then damaged files."""
    for name, make in BOMBS.items():
        yield name, make()
    pick, pool = random.Random(3), run.seeds()
    for number in range(40):
        yield f"damaged {number}", mutated(pick, pick.choice(pool), pick.choice(pool))


def main() -> None:
    """Measure; the peak is reset before each file."""
    measured = {}
    for name, data in files():
        Path("/proc/self/clear_refs").write_text("5")
        before, started = _resident("VmRSS"), time.process_time()
        outcome = run.one(data)
        seconds = time.process_time() - started
        peak = _resident("VmHWM") - before
        measured[name] = {"size": len(data), "peak": peak, "seconds": seconds, "outcome": outcome}
    print(json.dumps(measured))  # noqa: T201


if __name__ == "__main__":
    main()
