"""How well text in pixels is found and masked, and what the look costs, on real frames with generated text.

Run: python -m benchmarks.pixels [--lines 600] [--seed 2026]   (`make bench-pixels`)

Needs the shared corpus beside the project, and for the proof Debian's `tesseract-ocr`, an engine of another family.
Lines are found if the boxes cover half of their ink. The yardstick of cost is the header path (`rewrite` and
`verify_rewritten`) on the same files in the same run; CPU time of one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import subprocess
import tempfile
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Picture

from curate.deid.records import StudyContext
from curate.deid.rewrite import rewrite
from curate.deid.verify import verify_rewritten
from curate.dicom.model import MalformedError
from curate.keys.derivation import Keys
from curate.pixels.image import grey, stored
from curate.pixels.mask import mask
from curate.pixels.text import stroke_screen, text_detection
from curate.policies import Policy
from tests.pixels import burned
from tests.pixels.bases import Base, bases


@dataclass(frozen=True, slots=True)
class Outcome:
    """One generated line: what it was, whether the screen, the look, and OCR of the whole frame found it."""

    base: Base
    line: burned.Line
    screened: float
    found: float
    whole: float


def cpu(work: Callable[[], object]) -> float:
    """Seconds of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def header_path(base: Base, context: StudyContext, policy: Policy) -> None:
    """What every instance costs anyway."""
    with contextlib.suppress(MalformedError):  # refused for what it is, after the same reading
        verify_rewritten(rewrite(base.data, context, policy), policy)


def covered(line: burned.Line, boxes: Iterable[tuple[int, int, int, int]]) -> float:
    """The share of a line's ink within boxes."""
    inside = np.zeros(line.ink.shape, bool)
    for left, top, right, bottom in boxes:
        inside[top:bottom, left:right] = True
    return float(inside[line.ink].mean())


def whole_frame(base: Base, frame: burned.Frame) -> list[tuple[int, int, int, int]]:
    """What OCR of the whole frame, at its own size and at twice that, finds without any screen."""
    values = grey(frame)
    picture = text_detection._picture(frame, values)
    return [
        spot.box
        for scale in (1, 2)
        for spot in text_detection._read(picture, scale, [])
        if text_detection.text_classes.kind(spot.text, spot.score)
    ]


def measure(found: list[Base], lines: int, seed: int, read_all: bool) -> tuple[list[Outcome], int, list[float]]:
    """Burn lines, look, mask; also how many the other engine still reads, and CPU seconds of each frame read."""
    rng = np.random.default_rng(seed)
    outcomes: list[Outcome] = []
    left_over, seconds = 0, []
    while len(outcomes) < lines:
        base = found[int(rng.integers(len(found)))]
        frame, burnt = burned.burn(base.frame, rng, base.bounds)
        if not burnt:
            continue
        image = base.image(frame)
        start = time.process_time()
        seen = text_detection.look(image, thorough=base.thorough)
        if seen.read:
            seconds.append(time.process_time() - start)
        regions = [region.box for region in stroke_screen.regions(grey(frame))]
        everything = whole_frame(base, frame) if read_all else []
        boxes = [one.box for one in seen.found]
        outcomes += [
            Outcome(base, line, covered(line, regions), covered(line, boxes), covered(line, everything))
            for line in burnt
        ]
        if boxes:
            blank = stored(base.image(b"", mask(image, seen.found)), 0)
            left_over += still_read(blank, [line for line in burnt if covered(line, boxes) >= 0.5])
    return outcomes, left_over, seconds


def still_read(frame: burned.Frame, burnt: list[burned.Line]) -> int:
    """How many lines tesseract reads in a masked frame: four characters of one in a row."""
    if shutil.which("tesseract") is None:
        return 0
    values = grey(frame)
    picture = text_detection._scaled(values, *text_detection._limits(values))
    buffer = io.BytesIO()
    Picture.fromarray(cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)).save(buffer, "PNG")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.png")
        path.write_bytes(buffer.getvalue())
        command = ["tesseract", str(path), "-", "--psm", "11"]
        text = subprocess.run(command, capture_output=True, text=True, check=True, env={"OMP_THREAD_LIMIT": "1"}).stdout
    read = plain(text)
    return sum(any(plain(line.text)[i : i + 4] in read for i in range(len(plain(line.text)) - 3)) for line in burnt)


def plain(text: str) -> str:
    """Letters and digits alone, without accents."""
    return "".join(c for c in unicodedata.normalize("NFKD", text).upper() if c.isalnum() and c.isascii())


def recall(outcomes: list[Outcome], part: Callable[[Outcome], float]) -> str:
    """Found of how many."""
    hits = sum(part(one) >= 0.5 for one in outcomes)
    return f"{hits:,} of {len(outcomes):,} ({hits / max(len(outcomes), 1):.1%})"


def cost(found: list[Base]) -> None:
    """The screen and the look beside the header path, on ordinary CT and MR."""
    keys, policy = Keys.from_secret(b"0" * 32), Policy()
    context = StudyContext(keys, "d", 0, "20000101")
    print(
        "\n| clean frames | n | flagged | screen passes | screen / header path | look / header path | ms a frame read |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    by_kind: dict[str, list[Base]] = defaultdict(list)
    for base in found:
        by_kind[base.kind].append(base)
    for kind, members in sorted(by_kind.items()):
        for _ in range(2):  # the second time as in a long series, whose headers were judged before
            header = cpu(lambda m=members: [header_path(base, context, policy) for base in m])
        values = [grey(base.frame) for base in members]
        screening = cpu(lambda v=values: [stroke_screen.regions(one) for one in v])
        looking = reading = 0.0
        flagged = passed = 0
        for base in members:
            start = time.process_time()
            seen = text_detection.look(base.image(base.frame), thorough=base.thorough)
            spent = time.process_time() - start
            looking, reading = looking + spent, reading + spent * bool(seen.read)
            flagged += any(one.kind != "mark" for one in seen.found)
            passed += bool(seen.read)
        print(
            f"| {kind} | {len(members)} | {flagged} ({flagged / len(members):.1%}) | {passed / len(members):.0%} |"
            f" {screening / header:.1f} | {looking / header:.1f} | {1000 * reading / max(passed, 1):.0f} |"
        )


def main() -> None:
    """Print the tables of the documentation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", type=int, default=600)
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    found = bases()
    text_detection.look(found[0].image(found[0].frame), thorough=True)  # the networks are loaded once
    cost(found)
    if not options.lines:
        return
    ordinary, at_risk = [b for b in found if not b.thorough], [b for b in found if b.thorough]
    for name, members, share in (("CT and MR", ordinary, 3), ("ultrasound, X-ray, captures", at_risk, 1)):
        outcomes, left, seconds = measure(members, options.lines * share // 4, options.seed, share == 3)
        print(f"\n{name}: {len(outcomes):,} lines, seed {options.seed}\n\n| lines | found |\n| --- | ---: |")
        print(f"| all | {recall(outcomes, lambda o: o.found)} |")
        for size in (8, 10, 12, 16, 24, 32):
            print(f"| {size} px | {recall([o for o in outcomes if o.line.size == size], lambda o: o.found)} |")
        for contrast in burned.CONTRASTS:
            part = [o for o in outcomes if o.line.contrast == contrast]
            print(f"| contrast {contrast} | {recall(part, lambda o: o.found)} |")
        print(f"| reached by the screen | {recall(outcomes, lambda o: o.screened)} |")
        if share == 3:
            print(f"| by OCR of every frame, without the screen | {recall(outcomes, lambda o: o.whole)} |")
            lost = [o for o in outcomes if o.whole >= 0.5 > o.screened]
            print(f"| found by OCR of every frame, not reached by the screen | {len(lost)} |")
        ink = [o.found for o in outcomes if o.found >= 0.5]
        print(f"| ink covered, of lines found | {np.mean(ink):.1%} |")
        print(f"| masked lines that tesseract still reads | {left} |")
        print(f"| CPU seconds a frame that reached OCR, mean | {np.mean(seconds):.2f} |")
        for one in [o for o in outcomes if o.found < 0.5][:12]:
            print(f"    missed: {one.base.kind}, {one.line.size} px, {one.line.contrast}, {len(one.line.text)} letters")


if __name__ == "__main__":
    main()
