"""How often a head is defaced, refused, or worse, and what that costs: real heads, turned and cropped.

Run: python -m benchmarks.faces   (`make bench-pixels`)

Needs Debian's `invesalius-examples` (a head CT) and `mricron-data` (a head MR). The CT is judged as it is, and once more
as MR would show it. "brain" and "face" count the volumes whose cut took a voxel of brain, or left more than 2% of eyes,
nose and mouth; "no head" those that were taken for none. CPU time of one process.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np

from curate.pixels.head import ct_head, mr_head
from curate.pixels.head.plane import Verdict
from tests.pixels import heads
from tests.pixels.mr_heads import Head, colin, from_ct
from tests.pixels.test_face import truth
from tests.pixels.test_magnetic import cropped

TURNS = [(0, 0, 0)] + [tuple(d if k == axis else 0 for k in range(3)) for axis in range(3) for d in (-20, -10, 10, 20)]
CROPS = ("whole", "low", "high", "slab")
Judge = Callable[..., Verdict]


def ct() -> Head:
    """The head CT in HU."""
    return Head(heads.cranium(), heads.matrix(), *truth())


def outcome(head: Head, judge: Judge) -> str:
    """What became of a volume."""
    verdict = judge(head.values, head.affine)
    if verdict.plane is None:
        return "no head" if verdict.clear else "refused"
    index = np.moveaxis(np.indices(head.values.shape), 0, -1)
    beyond = verdict.plane.beyond(index @ head.affine[:3, :3].T + head.affine[:3, 3])
    if (beyond & head.brain).any():
        return "brain"
    return "defaced" if (beyond & head.features).sum() >= 0.98 * head.features.sum() else "face"


def moved(head: Head, fill: float) -> Iterator[tuple[str, Head]]:
    """The head in all turns and crops."""
    for turn in TURNS:
        other = head.turned(*turn, fill=fill)
        for crop in CROPS:
            yield crop, cropped(other, crop)


def changed(head: Head) -> Iterator[tuple[str, Head]]:
    """An MR head otherwise: thick slices, noise, shading, another contrast."""
    for every in (2, 3, 4):
        yield "thick", head.thick(every)
    for share in (0.05, 0.1, 0.2, 0.3):
        yield "noise", head.noisy(share)
    for strength in (0.3, 0.6, 0.9):
        yield "shading", head.shaded(strength)
    yield "contrast", head.inverted()


def table(name: str, judge: Judge, volumes: Iterator[tuple[str, Head]]) -> None:
    """Rows by kind of change."""
    found: dict[str, Counter[str]] = {}
    spent, count = 0.0, 0
    for kind, head in volumes:
        start = time.process_time()
        found.setdefault(kind, Counter())[outcome(head, judge)] += 1
        spent, count = spent + time.process_time() - start, count + 1
    for kind, counts in found.items():
        cells = " | ".join(str(counts[one]) for one in ("defaced", "refused", "brain", "face", "no head"))
        print(f"| {name}, {kind} | {counts.total()} | {cells} |", flush=True)
    print(f"{name}: {spent / count:.1f} CPU seconds a volume", flush=True)


def main() -> None:
    """Print the table of the documentation."""
    print(
        "| head | volumes | defaced | refused | brain | face | no head |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    table("CT", ct_head.judge, moved(ct(), -1000))
    table("MR of the CT", mr_head.judge, moved(from_ct(), 0))
    table("MR", mr_head.judge, moved(colin(), 0))
    table("MR of the CT", mr_head.judge, changed(from_ct()))
    table("MR", mr_head.judge, changed(colin()))


if __name__ == "__main__":
    main()
