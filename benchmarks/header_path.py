"""One process, file by file: scanning, rewriting and verifying against pydicom's plain read and write.

`python -m benchmarks.header_path [--peers]`: with `--peers`, public de-identifiers that are installed take part.
"""

from __future__ import annotations

import argparse
import io
import time
import warnings
from collections.abc import Callable

import pydicom

from curate.dicom.rewrite import rewrite
from curate.dicom.types import Keys, MalformedError, Policy, StudyContext
from curate.dicom.verify import verify
from tests import synth
from tests.corpus import ROOT

Way = Callable[[bytes], object]


def pydicom_read_and_write(data: bytes) -> bytes:
    """What anybody would write first: read, save."""
    out = io.BytesIO()
    pydicom.dcmread(io.BytesIO(data), force=True).save_as(out)
    return out.getvalue()


def pydicom_read_all_values(data: bytes) -> int:
    """Read, and look at every value."""
    return sum(element.value is not None for element in pydicom.dcmread(io.BytesIO(data), force=True).iterall())


def ways(peers: bool) -> dict[str, Way]:
    """What is compared; the first one is the yardstick."""
    context = StudyContext(Keys.from_secret(bytes(32)), "Dexample", 0, "20000101")
    policy = Policy()
    found: dict[str, Way] = {
        "pydicom: read and write": pydicom_read_and_write,
        "pydicom: read, all values": pydicom_read_all_values,
        "curate: rewrite": lambda data: b"".join(rewrite(data, context, policy).chunks),
        "curate: verify": lambda data: verify(data, policy),
    }
    if peers:
        try:
            from dicognito.anonymizer import Anonymizer
        except ImportError:
            print("dicognito is not installed")
        else:
            peer = Anonymizer()

            def dicognito(data: bytes) -> bytes:
                dataset = pydicom.dcmread(io.BytesIO(data), force=True)
                peer.anonymize(dataset)
                out = io.BytesIO()
                dataset.save_as(out)
                return out.getvalue()

            found["dicognito"] = dicognito
    return found


def seconds(way: Way, files: list[bytes]) -> float:
    """Processor time for all files; the best of three rounds."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        for data in files:
            try:
                way(data)
            except (MalformedError, Exception):  # refused, or not readable for that way
                continue
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sets = {"300 CT slices of 12 kB": [synth.instance_bytes(0, 0, 0, n, rows=64, columns=64) for n in range(300)]}
    if ROOT.is_dir():
        paths = sorted((ROOT / "neurolabusc+dcm_qa_nih").rglob("*.dcm"))[:300]
        sets["300 MR slices of the corpus"] = [path.read_bytes() for path in paths]
    print("| files | way | CPU, to pydicom's read and write |\n| --- | --- | ---: |")
    for name, files in sets.items():
        found = {way: seconds(call, files) for way, call in ways(options.peers).items()}
        yardstick = next(iter(found.values()))
        for way, taken in found.items():
            print(f"| {name} | {way} | {taken / yardstick:.2f} |")


if __name__ == "__main__":
    main()
