"""One series as its slices pass by, made coarse, and the volume that they are; and what to think of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from curate.pixels.head import ct_head, mr_head
from curate.pixels.head.grid import GRID_MM, Floats, Values
from curate.pixels.head.plane import Verdict
from curate.pixels.image import Image, stored

FEWEST = 8  # slices in one direction: fewer are no volume
_EVEN = 0.02  # share of the step between slices
_SAME_MM = 0.01


@dataclass(slots=True)
class _Layer:
    """A slice; where several lie in one place, as in a series over time, their sum."""

    matrix: Floats
    values: Values
    count: int = 1


@dataclass(slots=True)
class Stack:
    """Slices of a series by their place; `odd` where one has no geometry that is judged."""

    kind: str
    odd: bool = False
    _layers: dict[tuple[float, ...], _Layer] = field(default_factory=dict)

    def add(self, matrix: Floats, image: Image, slope: float, intercept: float) -> None:
        """One more slice.

        Raises:
            UndecodableError: no decoder reads it.
            ValueError: it holds more than one frame or sample.
        """
        if image.frames != 1 or image.samples != 1:
            raise ValueError
        frame = stored(image, 0)[:: _stride(matrix, 1), :: _stride(matrix, 2)]
        values = np.asarray(frame, np.float32) * np.float32(slope) + np.float32(intercept)
        key = (*np.round(matrix[:3].ravel() / _SAME_MM), *values.shape)
        if (known := self._layers.get(key)) is None:
            self._layers[key] = _Layer(matrix, values)
        else:
            known.values, known.count = known.values + values, known.count + 1

    def __len__(self) -> int:
        return len(self._layers)

    @property
    def short(self) -> bool:
        """Whether no direction has slices enough to be judged, such as a localizer's."""
        directions = [tuple(np.round(one.matrix[:3, :3].ravel(), 2)) for one in self._layers.values()]
        return max((directions.count(one) for one in set(directions)), default=0) < FEWEST

    def heights(self) -> tuple[float, float]:
        """The lowest and the highest place of a slice's centre, mm."""
        centres = [
            (one.matrix @ (0, *((n * _stride(one.matrix, i + 1) / 2) for i, n in enumerate(one.values.shape)), 1))[2]
            for one in self._layers.values()
        ]
        return min(centres, default=0.0), max(centres, default=0.0)

    def volume(self) -> tuple[Values, Floats] | None:
        """One stack of parallel slices at even steps, and its matrix to LPS mm; nothing for any other."""
        layers = list(self._layers.values())
        if self.odd or len(layers) < FEWEST:
            return None
        first = layers[0].matrix
        normal = first[:3, 0]
        if any(
            not np.allclose(one.matrix[:3, :3], first[:3, :3], atol=1e-3) or one.values.shape != layers[0].values.shape
            for one in layers
        ):
            return None
        layers.sort(key=lambda one: float(one.matrix[:3, 3] @ normal))
        places = np.array([one.matrix[:3, 3] for one in layers])
        step = (places[-1] - places[0]) / (len(places) - 1)
        even = places[0] + np.arange(len(places))[:, None] * step
        if np.abs(places - even).max() > _EVEN * np.linalg.norm(step) or step @ normal < 1e-3:
            return None
        matrix = np.array(layers[0].matrix)
        matrix[:3, 0] = step
        for axis in (1, 2):
            matrix[:3, axis] *= _stride(first, axis)
        return np.stack([one.values / np.float32(one.count) for one in layers]), matrix

    def judged(self, known: Verdict | None = None) -> Verdict:
        """What its volume shows; `known` is what was found of another of the same frame of reference."""
        volume = self.volume()
        if volume is None or self.kind not in ("CT", "MR"):
            return Verdict(False)
        judge = ct_head.judge if self.kind == "CT" else mr_head.judge
        return judge(*volume, *((known.plane, known.outline) if known else ()))

    def follows(self, head: Verdict) -> Verdict:
        """The plane of another series of the same frame of reference, where what is seen lies in its body."""
        volume = self.volume()
        if volume is None or head.outline is None or not mr_head.lies_in(*volume, head.outline):
            return Verdict(False)
        return Verdict(False, head.plane, head.outline)

    def shows_face(self) -> bool | None:
        """Whether its volume shows a face; None where it cannot be told."""
        volume = self.volume()
        if volume is None or self.kind not in ("CT", "MR"):
            return None
        return (ct_head.shown if self.kind == "CT" else mr_head.shown)(*volume)


def matrix_of(position: tuple[float, ...], orientation: tuple[float, ...], spacing: tuple[float, ...]) -> Floats:
    """From (0, row, column) to LPS mm (PS3.3 C.7.6.2.1.1); its first column is the slice's normal."""
    along, down = np.split(np.array(orientation), 2)
    matrix = np.eye(4)
    matrix[:3, 0] = np.cross(along, down)
    matrix[:3, 1], matrix[:3, 2], matrix[:3, 3] = down * spacing[0], along * spacing[1], position
    return matrix


def _stride(matrix: Floats, axis: int) -> int:
    """Every how manieth row or column is enough for the grid, so that a study fits in memory."""
    return max(int(GRID_MM / np.linalg.norm(matrix[:3, axis])), 1)
