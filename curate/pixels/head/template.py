"""A mean head, and where a head in an MR volume lies and how it is turned: an affine registration of the two.

The head is pydeface's (MIT; `data/head.txt`), on a grid of 3 mm in the patient's axes, with its brain drawn into it. A
search by a mutual information of few points, over turns and shifts, gives the starts of SimpleITK's registration: from
one start it fails on heads that are cropped and turned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from curate.core.resources import vocabulary_path
from curate.pixels.head.grid import GRID_MM, Bools, Floats, Grid, Values

PATH = vocabulary_path("pixels/head/data/head.npz")
STEP_MM, AIR = 3.0, 0.12
# in the template: nasion, nose, mouth, both eyes
FEATURES = np.array([(6, -95, -28), (6, -122, -65), (6, -108, -90), (36, -88, -30), (-24, -88, -30)], np.float64)
_FRONT, _TOP = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, 1.0])
_AROUND = 12  # voxels of air added where the template ends, but not below, where the neck goes on
_COARSE_MM, _FINE_MM, _BINS = 6.0, 4.0, 24
_NOD, _LEAN, _LOOK = (-30, -15, 0, 15, 30), (-20, 0, 20), (-20, 0, 20)  # degrees
_SHIFTS_MM = (-40, -20, 0, 20, 40)
_HEAD_MM = 150
_STARTS, _SAMPLES, _SEED = 2, 8_000, 1
_APART = 6  # voxels between the points of the search
_SCALES, _SHEAR = (0.72, 1.35), 1.35  # of each axis; of the largest to the smallest
_ANGLE = 42.0


@dataclass(frozen=True, slots=True)
class Template:
    """Values from 0 to 1, the brain, and where the first voxel lies, mm."""

    head: Values
    brain: Bools
    origin: Floats


@dataclass(frozen=True, slots=True)
class Found:
    """How a head lies: template point = matrix . point + offset (mm)."""

    matrix: Floats
    offset: Floats

    def warped(self, mask: Bools, grid: Grid) -> Bools:
        """A mask of the template on the grid of the scan."""
        offset = (self.matrix @ grid.origin + self.offset - template().origin) / STEP_MM
        shape = grid.values.shape
        values = ndimage.affine_transform(
            mask.astype(np.float32), self.matrix * GRID_MM / STEP_MM, offset, output_shape=shape, order=1
        )
        return np.asarray(values > 0.5)

    def inside(self, grid: Grid) -> Bools:
        """Where the template says something of the scan: not below its lower end."""
        height = np.tensordot(self.matrix[2] * GRID_MM, np.indices(grid.values.shape), 1)
        return np.asarray(height + self.matrix[2] @ grid.origin + self.offset[2] > template().origin[2] + 6)

    def points(self, of_template: Floats) -> Floats:
        """Where points of the template lie in the scan."""
        return np.asarray((of_template - self.offset) @ np.linalg.inv(self.matrix).T)

    def seen(self, grid: Grid) -> float:
        """The share of the template's brain that lies where the scan has measured."""
        index = np.round((self.points(_brain_points()) - grid.origin) / GRID_MM).astype(int)
        there = ((index >= 0) & (index < grid.known.shape)).all(1)
        return float(grid.known[tuple(index[there].T)].sum() / len(index))

    def axes(self) -> tuple[Floats, Floats]:
        """Where the head's front and top point."""
        left, _, right = np.linalg.svd(self.matrix)
        turn = (left @ right).T
        return turn @ _FRONT, turn @ _TOP

    def plausible(self) -> bool:
        """Whether a person's head has that size and form, and lies as a head can in a coil."""
        left, scales, right = np.linalg.svd(self.matrix)
        turn = left @ right
        angle = np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1)))
        sized = _SCALES[0] <= scales.min() and scales.max() <= min(_SCALES[1], _SHEAR * scales.min())
        return bool(sized and angle <= _ANGLE and np.linalg.det(turn) > 0)


def installed() -> bool:
    """Whether the library that registers is there."""
    return find_spec("SimpleITK") is not None


@cache
def template() -> Template:
    """The mean head."""
    with np.load(PATH) as file:
        values = file["head"].astype(np.float32) / 255
        around = ((_AROUND, _AROUND), (_AROUND, _AROUND), (0, _AROUND))
        origin = file["origin"] - np.array([_AROUND, _AROUND, 0]) * STEP_MM
        return Template(np.pad(values, around), np.pad(file["brain"], around), origin)


@cache
def _brain_points() -> Floats:
    return np.asarray(np.argwhere(template().brain) * STEP_MM + template().origin)


def register(grid: Grid, body: Bools) -> Found | None:
    """How the head of a scan lies, if it is one; values are from 0 to about 1. None where the search ends nowhere."""
    sitk = _itk()
    moving = _image(template().head, template().origin, STEP_MM)
    blurred = sitk.SmoothingRecursiveGaussian(moving, 3.0)
    fixed = sitk.SmoothingRecursiveGaussian(_image(grid.values, grid.origin, GRID_MM), 2.0)
    known = _image(grid.known.astype(np.uint8), grid.origin, GRID_MM)
    best, least = None, 0.0
    for start in _starts(grid, body):
        try:
            value, found = _refined(fixed, known, blurred, _COARSE_MM, start)
        except RuntimeError:  # hardly any of the scan lies in the template
            continue
        if value < least:
            best, least = found, value
    if best is None:
        return None
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(best.GetMatrix())
    affine.SetCenter(best.GetCenter())
    affine.SetTranslation(best.GetTranslation())
    try:
        _, last = _refined(fixed, known, moving, _FINE_MM, affine)
    except RuntimeError:
        return None
    matrix = np.array(last.GetMatrix()).reshape(3, 3)
    centre = np.array(last.GetCenter())
    return Found(matrix, centre + np.array(last.GetTranslation()) - matrix @ centre)


def _itk() -> Any:
    """The library, whose functions state no types."""
    import SimpleITK

    return SimpleITK


def _image(values: npt.NDArray[Any], origin: Floats, step: float) -> Any:
    sitk = _itk()
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.transpose(2, 1, 0)))
    image.SetSpacing([step] * 3)
    image.SetOrigin([float(one) for one in origin])
    return image


def _refined(fixed: Any, known: Any, moving: Any, step: float, start: Any) -> tuple[float, Any]:
    """Follow the mutual information from a start, on a grid of `step` mm; its value and the transform."""
    sitk = _itk()
    size = [max(int(n * GRID_MM / step), 4) for n in fixed.GetSize()]
    where = (size, sitk.Transform(), sitk.sitkLinear, fixed.GetOrigin(), [step] * 3, fixed.GetDirection())
    coarse = sitk.Resample(fixed, *where)
    mask = sitk.Resample(known, coarse, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    method = sitk.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # the same result on every machine
    method.SetMetricAsMattesMutualInformation(32)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(min(_SAMPLES / (size[0] * size[1] * size[2]), 1.0), _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetMetricFixedMask(mask)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 0.04, 60, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(coarse, moving)
    return float(method.GetMetricValue()), start


def _starts(grid: Grid, body: Bools) -> Iterator[Any]:
    """The turns and shifts of the template that explain the scan best, as similarity transforms."""
    sitk = _itk()
    points = grid.points(body)
    top = float(np.percentile(points[:, 2], 99.5))
    points = points[points[:, 2] > top - _HEAD_MM]
    centre, tall = points.mean(0), top - float(points[:, 2].min())
    mean = template()
    its = np.argwhere(mean.head > AIR) * STEP_MM + mean.origin
    target = its[its[:, 2] > np.percentile(its[:, 2], 99.5) - tall].mean(0)
    sampled, values = _sampled(grid)
    smooth = ndimage.gaussian_filter(mean.head, 1.0)
    ranked: list[tuple[float, int, Floats, Floats]] = []
    for nod, lean, look, up in product(_NOD, _LEAN, _LOOK, _SHIFTS_MM):
        matrix = turn(nod, lean, look)
        shift = target - centre + np.array([0, 0, up])
        index = ((sampled - centre) @ matrix.T + centre + shift - mean.origin) / STEP_MM
        within = index[:, 2] >= 0
        if within.sum() < 200:
            continue
        other = ndimage.map_coordinates(smooth, index[within].T, order=1, cval=0)
        ranked.append((_information(values[within], other), len(ranked), matrix, shift))
    for _, _, matrix, shift in sorted(ranked, key=lambda one: one[:2], reverse=True)[:_STARTS]:
        start = sitk.Similarity3DTransform()
        start.SetMatrix(matrix.ravel().tolist(), 1e-6)
        start.SetCenter([float(one) for one in centre])
        start.SetTranslation([float(one) for one in shift])
        yield start


def turn(nod: float, lean: float, look: float) -> Floats:
    """A rotation by degrees about x, y and z."""
    (a, b, c), (d, e, f) = (fn(np.radians([nod, lean, look])) for fn in (np.cos, np.sin))
    about_x = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
    about_y = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    about_z = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
    return np.asarray(about_x @ about_y @ about_z)


def _sampled(grid: Grid) -> tuple[Floats, Values]:
    """Points that lie 12 mm apart, and the smoothed values there."""
    every = (slice(None, None, _APART),) * 3
    smooth = ndimage.uniform_filter(grid.values, 3)[every]
    known = grid.known[every]
    return np.argwhere(known) * _APART * GRID_MM + grid.origin, smooth[known]


def _information(one: npt.NDArray[np.floating], other: npt.NDArray[np.floating]) -> float:
    """Mutual information of two samples of values from 0 to about 1."""
    first, second = (np.clip(values * _BINS, 0, _BINS - 1).astype(np.int64) for values in (one, other))
    joint = np.bincount(first * _BINS + second, minlength=_BINS**2).reshape(_BINS, _BINS) / len(first)
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    there = joint > 0
    return float((joint[there] * np.log(joint[there] / apart[there])).sum())
