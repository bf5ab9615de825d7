"""What it costs to decode coded frames in a process of their own, beside the same decoders in this process.

Run: python -m benchmarks.decoding [--rounds 5]

Needs the shared corpus beside the project. Each compressed frame of it is looked at for text in both ways, in turn, and the
median of the ratios of processor time (both processes together) is given, and the same for decoding alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import psutil

from curate.decoding import client, codecs
from curate.deid.pixeldata.pixel_module import pixels_of
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.pixels.image import Image, UndecodableError, stored
from curate.pixels.text.text_detection import look
from tests.planter import bases


def images() -> Iterator[tuple[str, Image]]:
    """Compressed images that can be decoded."""
    for path in sorted(path for path in bases.CORPUS.rglob("*") if path.is_file()):
        try:
            fields = pixels_of(parse(path.read_bytes()))
        except MalformedError:
            continue
        if fields is None or not fields.get("encoded") or fields["frames"] > 20:
            continue
        image = Image(**fields)
        try:
            stored(image, 0)
        except UndecodableError:
            continue
        yield path.name, image


def here(request: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytearray]:
    """What the process would answer, in this one."""
    said, data = codecs.do(request, payload)
    return said, bytearray(data)


def cpu(work: Callable[[], object]) -> float:
    """Seconds of this process and of the decoder."""
    decoder = psutil.Process(client._running()._popen.pid)

    def spent() -> float:
        times = decoder.cpu_times()
        return time.process_time() + times.user + times.system

    start = spent()
    work()
    return spent() - start


def main() -> None:
    """Print the two ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")
    chosen = [(name, image) for name, image in images() if image.rows * image.columns < 400_000][::2]
    codecs.warm_up()

    def looks() -> None:
        for _, image in chosen:
            look(image, thorough=False)

    def decodes() -> None:
        for _, image in chosen:
            for index in range(image.frames):
                for _ in range(10):
                    stored(image, index)

    print(f"{len(chosen)} images, {sum(image.frames for _, image in chosen)} frames, {rounds} rounds")
    for name, work in (("look", looks), ("decoding alone", decodes)):
        ratios = []
        work()
        for _ in range(rounds):
            apart = cpu(work)
            with patch.object(client, "ask", here):
                ratios.append(apart / cpu(work))
        print(f"{name}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
