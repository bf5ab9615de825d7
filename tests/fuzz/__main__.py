"""`python -m tests.fuzz --seconds N`: damaged files, and damaged frames of each decoder; failing ones are kept."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from tests.fuzz import decoders
from tests.fuzz.run import fuzz


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where failing files go")
    chosen = parser.parse_args()
    tally = fuzz(chosen.seconds, chosen.seed)
    print(f"{tally.files} files in {chosen.seconds:g} s: {dict(tally.outcomes.most_common())}")  # noqa: T201
    failures = list(tally.failures)
    for decoder in filter(decoders.seeds, decoders.FAMILIES):
        told = decoders.fuzz(decoder, chosen.seconds / len(decoders.FAMILIES), chosen.seed)
        print(f"{decoder}: {told.frames} frames, {dict(told.outcomes.most_common())}")  # noqa: T201
        failures += told.failures
    for reason, data in failures:
        chosen.keep.mkdir(exist_ok=True)
        path = chosen.keep / f"{hashlib.sha256(data).hexdigest()[:16]}.dcm"
        path.write_bytes(data)
        print(f"FAILED {path}: {reason}")  # noqa: T201
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
