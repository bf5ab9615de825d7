"""What lossless pixels cost and save beside zstd: `python -m benchmarks.lossless`.

The native CT and MR images of the shared corpus; size and processor time, against their SHA-256, of one run.
"""

from __future__ import annotations

import csv
import hashlib
import time
from collections.abc import Callable

import pyarrow as pa

from curate.deid.pixeldata.container import shape_of
from curate.dicom.io.reader import parse
from curate.dicom.model import PIXEL_DATA
from curate.pixels.lossless import SYNTAXES, Grey, encoded
from tests.corpus import corpus

_Frame = tuple[bytes, Grey]


def _images(modality: str) -> list[_Frame]:
    """The grey native pixels of 8 or 16 bits of a modality."""
    root, found = corpus(), []
    with (root / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["Modality"] == modality and r["pixel_decode"] == "ok"]
    for row in rows:
        if not row["transfer_syntax"].endswith("VR Little Endian"):
            continue
        item = parse((root / row["shared_path"]).read_bytes()).dataset
        shape = shape_of(item)
        if shape.samples == 1 and shape.allocated in (8, 16) and shape.high == shape.stored - 1:
            sizes = (shape.rows, shape.columns, shape.frames, shape.allocated, shape.stored)
            found.append((bytes(item[PIXEL_DATA].value)[: shape.size], Grey(*sizes, shape.signed, shape.photometric)))
    return found


def _measured(images: list[_Frame], way: Callable[[bytes, Grey], int]) -> tuple[int, float]:
    start = time.process_time()
    return sum(way(*image) for image in images), time.process_time() - start


def _lossless(syntax: str) -> Callable[[bytes, Grey], int]:
    return lambda raw, grey: sum(map(len, encoded(raw, grey, syntax) or [raw]))


def main() -> None:
    """Print a row a modality and way."""
    ways: dict[str, Callable[[bytes, Grey], int]] = {
        f"zstd {level}": lambda raw, _, level=level: len(pa.Codec("zstd", level).compress(raw)) for level in (3, 9)
    }
    ways |= {f"`{name}`, encoded, decoded and compared": _lossless(syntax) for name, syntax in SYNTAXES.items()}
    print("| images | way | size | CPU, to SHA-256 |\n| --- | --- | ---: | ---: |")
    for modality in ("CT", "MR"):
        images = _images(modality)
        size = sum(len(raw) for raw, _ in images)
        hashed = min(_measured(images, lambda raw, _: len(hashlib.sha256(raw).hexdigest()))[1] for _ in range(3))
        for name, way in ways.items():
            small, seconds = _measured(images, way)
            print(
                f"| {len(images)} {modality}, {size / 1e6:.0f} MB | {name} | {small / size:.2f} | {seconds / hashed:.0f} |"
            )


if __name__ == "__main__":
    main()
