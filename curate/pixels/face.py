"""A CT volume with a head: one shear plane behind the face and before the brain, or the reason why there is none.

After Schimke and Hale, "Quickshear Defacing for Neuroimages" (HealthSec 2011): the brain is projected on the sagittal
plane, and the cut lies along an edge of its convex hull. Brain, cut and gate work on a grid of 2 mm in the patient's
coordinates (LPS, mm), so that gantry tilt and reformats need nothing of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

GRID_MM = 2.0
_AIR_HU, _BODY_HU, _BONE_HU = -1000, -300, 200
_SOFT_HU = (-15, 100)
_BRAIN_ML = (500, 2000)
_MARGIN_MM = 4.0  # between brain and plane
_STEPS = (0.25, 0.97)  # of the plane's normal: how far it points to the front, at least and at most
_ENCLOSED, _WALL_MM = (
    0.8,
    10.0,
)  # of the brain's surface: so much lies so near to bone, or the mask has leaked
_LONG_MM, _WIDE_MM = (120, 205), (100, 175)
_NARROW_MM, _NARROW_TALL_MM = (90, 270), 20  # a body as thin as that may be a head
_FACE_BACK_MM, _FACE_DOWN_MM = 8.0, 12.0
_MOST_STEP_MM = 6.0
_MOST_BELOW_MM = 130  # of the body below the brain: a plane would cut through a chest, too


@dataclass(frozen=True, slots=True)
class Plane:
    """What lies beyond goes: points p (LPS, mm) with normal . p > offset."""

    normal: tuple[float, float, float]
    offset: float

    def beyond(self, points: Floats) -> Bools:
        """Which points (the last axis: x, y, z) lie beyond."""
        return np.asarray(points @ np.asarray(self.normal) > self.offset)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`clear`: no head; else the plane, or nothing where no safe one was found."""

    clear: bool
    plane: Plane | None = None


@dataclass(frozen=True, slots=True)
class _Grid:
    """HU on the grid, axes x, y, z as LPS; `known` where the scan has measured."""

    hu: npt.NDArray[np.float32]
    known: Bools
    origin: Floats

    def points(self, where: Bools) -> Floats:
        return np.asarray(np.argwhere(where) * GRID_MM + self.origin)


def judge(hu: npt.NDArray[np.float32], affine: Floats, plane: Plane | None = None) -> Verdict:
    """What a volume (slices, rows, columns; affine from such an index to LPS mm) shows, and where to cut it.

    With `plane`, one found in another series of the same frame of reference, the gate alone is asked.
    """
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    if min(hu.shape) < 8 or max(steps) > _MOST_STEP_MM or np.linalg.cond(affine[:3, :3] / steps) > 4:
        return Verdict(False)
    grid = _grid(hu, affine)
    body = _body(grid)
    brain = _brain(grid, body)
    if brain is None:
        return Verdict(not _narrow(body))
    points = grid.points(brain)
    found = plane or _plane(points)
    if found is None or not _holds(found, points, grid.points(body)):
        return Verdict(False)
    return Verdict(False, found)


def _grid(hu: npt.NDArray[np.float32], affine: Floats) -> _Grid:
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in hu.shape], indexing="ij")).reshape(3, -1).T
    corners = ends @ affine[:3, :3].T + affine[:3, 3]
    low = corners.min(0)
    shape = tuple(np.ceil((corners.max(0) - low) / GRID_MM).astype(int) + 1)
    back = np.linalg.inv(affine[:3, :3])
    options = {"output_shape": shape, "order": 1, "offset": back @ (low - affine[:3, 3])}
    values = ndimage.affine_transform(hu, back * GRID_MM, cval=_AIR_HU, **options)
    known = ndimage.affine_transform(np.ones(hu.shape, np.float32), back * GRID_MM, cval=0, **options) > 0.5
    return _Grid(values, known, low)


def _largest(mask: Bools) -> Bools:
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    return np.asarray(labels == np.bincount(labels.ravel())[1:].argmax() + 1)


def _ball(radius: int) -> Bools:
    axes = np.ogrid[-radius : radius + 1, -radius : radius + 1, -radius : radius + 1]
    return np.asarray(sum(axis**2 for axis in axes) <= radius**2 + 1)


def _body(grid: _Grid) -> Bools:
    """The person without what is thin beside him, such as a headrest."""
    core = _largest(ndimage.binary_opening(grid.hu > _BODY_HU, _ball(2)))
    return np.asarray(ndimage.binary_dilation(core, _ball(2)) & (grid.hu > _BODY_HU))


def _brain(grid: _Grid, body: Bools) -> Bools | None:
    """Soft tissue in one piece that bone encloses; None where there is none of a brain's size and form."""
    bone = grid.hu > _BONE_HU
    soft = (grid.hu > _SOFT_HU[0]) & (grid.hu < _SOFT_HU[1]) & body
    smooth = ndimage.median_filter(soft.astype(np.uint8), 3) > 0
    core = _largest(ndimage.binary_erosion(smooth, _ball(4)))
    brain = np.asarray(ndimage.binary_dilation(core, _ball(5)) & ~bone & body)
    ml = brain.sum() * GRID_MM**3 / 1000
    if not _BRAIN_ML[0] <= ml <= _BRAIN_ML[1]:
        return None
    surface = brain & ~ndimage.binary_erosion(brain) & ndimage.binary_erosion(grid.known, _ball(2))
    near = ndimage.distance_transform_edt(~bone)[surface] * GRID_MM
    return brain if near.size and (near <= _WALL_MM).mean() >= _ENCLOSED else None


def _narrow(body: Bools) -> bool:
    """Whether part of the body is as thin as a head: limbs and children too, since a mistake there costs a look."""
    boxes = [ndimage.find_objects(_largest(body[:, :, z]).astype(np.int8)) for z in range(body.shape[2])]
    low, high = _NARROW_MM
    sides = [[(s.stop - s.start) * GRID_MM for s in box[0]] for box in boxes if box and box[0]]
    thin = sum(max(two) >= low and max(two) <= high for two in sides)
    return bool(thin * GRID_MM >= _NARROW_TALL_MM)


def _frame(points: Floats) -> tuple[Floats, Floats, Floats]:
    """Centre, and where the head's front and top point: the brain is longest from front to back."""
    centre = points.mean(0)
    flat = points[:, :2] - centre[:2]
    front = np.append(np.linalg.eigh(flat.T @ flat)[1][:, -1], 0.0)
    front *= -np.sign(front[1]) or 1.0
    return centre, front, np.array([0.0, 0.0, 1.0])


def _plane(points: Floats) -> Plane | None:
    """The longest edge of the sagittal hull that faces down and to the front, with a margin before it."""
    centre, front, top = _frame(points)
    flat = np.stack([(points - centre) @ front, (points - centre) @ top], 1)
    hull = ConvexHull(flat)
    best, length = None, 0.0
    for edge, equation in zip(hull.simplices, hull.equations, strict=True):
        long = float(np.linalg.norm(flat[edge[0]] - flat[edge[1]]))
        if equation[1] < 0 and _STEPS[0] <= equation[0] <= _STEPS[1] and long > length:
            best, length = equation, long
    if best is None:
        return None
    normal = best[0] * front + best[1] * top
    offset = float((points @ normal).max()) + _MARGIN_MM
    return Plane((float(normal[0]), float(normal[1]), float(normal[2])), offset)


def _holds(plane: Plane, brain: Floats, body: Floats) -> bool:
    """No brain beyond the plane; a brain's size; and before and below its frontal lobes nothing is left."""
    centre, front, top = _frame(brain)
    along, up = (brain - centre) @ front, (brain - centre) @ top
    across = (brain - centre) @ np.cross(front, top)
    long, wide = float(np.ptp(along)), float(np.ptp(across))
    plausible = _LONG_MM[0] <= long <= _LONG_MM[1] and _WIDE_MM[0] <= wide <= _WIDE_MM[1]
    if brain[:, 2].min() - body[:, 2].min() > _MOST_BELOW_MM:
        return False
    if not plausible or front[1] > -0.85 or plane.beyond(brain).any():
        return False
    left = body[~plane.beyond(body)]
    pole = along.max()
    base = up[along > pole - 20].min()
    ahead, height = (left - centre) @ front, (left - centre) @ top
    face = (ahead > pole - _FACE_BACK_MM) & (height < base - _FACE_DOWN_MM)
    return not face.any() and len(left) < len(body)
