"""A CT volume with a head: one plane behind the face and before the brain, or the reason why there is none."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from curate.pixels.head.grid import (
    GRID_MM,
    Bools,
    Floats,
    Grid,
    Outline,
    Values,
    agree,
    ball,
    gridded,
    judgeable,
    largest,
)
from curate.pixels.head.plane import Plane, Verdict, has_face, holds, plane_before, upright

AIR_HU = -1000
_BODY_HU, _BONE_HU = -300, 200
_SOFT_HU = (-15, 100)
_BRAIN_ML = (500, 2000)
_WALL_MM = 10.0  # so near to bone lies
_ENCLOSED = 0.8  # of the brain's surface, or the mask has leaked
_END_CM2 = 40  # of brain in the lowest slices: more, and the scan ends within it; so does a face
_WIDE_MM, _TALL_MM = 270, 20  # a body that is thinner may be a head
_MOST_STEP_MM = 6.0
SAME, SAME_MM = 0.93, 4.0  # of two outlines: they are the same head, which has not moved


def judge(hu: Values, affine: Floats, plane: Plane | None = None, outline: Outline | None = None) -> Verdict:
    """What a volume (slices, rows, columns; affine from such an index to LPS mm) shows, and where to cut it.

    With `plane`, one found in another series of the same frame of reference, the gate alone is asked; where no brain
    can be seen, whether the body lies where the other's `outline` does.
    """
    if not judgeable(hu.shape, affine, _MOST_STEP_MM):
        return Verdict(False)
    grid = gridded(hu, affine, AIR_HU)
    body = _body(grid)
    mine = Outline(body, grid.known, grid.origin)
    brain = _brain(grid, body)
    if brain is None:
        if plane and outline and agree(mine, outline, SAME, SAME_MM):
            return Verdict(False, plane, mine)
        return Verdict(_trunk(body))
    points = grid.points(brain)
    frame = upright(points)
    if plane is None and _cut_off(grid, brain):
        return Verdict(False)
    found = plane or plane_before(points, frame)
    if found is None or not holds(found, points, grid.points(body), frame):
        return Verdict(False)
    return Verdict(False, found, mine)


def _cut_off(grid: Grid, brain: Bools) -> bool:
    """Whether the scan ends in the middle of a brain: what of a face is still in it cannot be judged."""
    below = np.zeros_like(grid.known)
    below[:, :, 1:] = grid.known[:, :, :-1]
    return bool((brain & grid.known & ~below).sum() * GRID_MM**2 / 100 > _END_CM2)


def shown(hu: Values, affine: Floats) -> bool | None:
    """Whether a volume shows a face; None where it cannot be told."""
    if not judgeable(hu.shape, affine, _MOST_STEP_MM):
        return None
    grid = gridded(hu, affine, AIR_HU)
    body = _body(grid)
    brain = _brain(grid, body)
    if brain is None:
        return False if _trunk(body) else None
    points = grid.points(brain)
    return has_face(points, grid.points(body), upright(points))


def _body(grid: Grid) -> Bools:
    """The person without what is thin beside him, such as a headrest."""
    core = largest(ndimage.binary_opening(grid.values > _BODY_HU, ball(2)))
    return np.asarray(ndimage.binary_dilation(core, ball(2)) & (grid.values > _BODY_HU))


def _brain(grid: Grid, body: Bools) -> Bools | None:
    """Soft tissue in one piece that bone encloses; None where there is none of a brain's size and form."""
    bone = grid.values > _BONE_HU
    soft = (grid.values > _SOFT_HU[0]) & (grid.values < _SOFT_HU[1]) & body
    smooth = ndimage.median_filter(soft.astype(np.uint8), 3) > 0
    core = largest(ndimage.binary_erosion(smooth, ball(4)))
    brain = np.asarray(ndimage.binary_dilation(core, ball(5)) & ~bone & body)
    ml = brain.sum() * GRID_MM**3 / 1000
    if not _BRAIN_ML[0] <= ml <= _BRAIN_ML[1]:
        return None
    surface = brain & ~ndimage.binary_erosion(brain) & ndimage.binary_erosion(grid.known, ball(2))
    near = ndimage.distance_transform_edt(~bone)[surface] * GRID_MM
    return brain if near.size and (near <= _WALL_MM).mean() >= _ENCLOSED else None


def _trunk(body: Bools) -> bool:
    """Whether the body is wider than a head all along: limbs and children wait, since a mistake there costs a look."""
    boxes = [ndimage.find_objects(largest(body[:, :, z]).astype(np.int8)) for z in range(body.shape[2])]
    sides = [max((s.stop - s.start) * GRID_MM for s in box[0]) for box in boxes if box and box[0]]
    wide = sum(side > _WIDE_MM for side in sides) * GRID_MM
    return bool(wide >= _TALL_MM and len(sides) * GRID_MM - wide < _TALL_MM)
