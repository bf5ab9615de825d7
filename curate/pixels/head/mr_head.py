"""An MR volume: cleared as a trunk, or a plane before the brain of its head, or neither.

Its values have no unit, so that body and air are told apart by their histogram. A brain is believed where two ways
agree on it: the template's, warped by registration, and the piece of tissue that erosion parts from the scalp.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from curate.pixels.head import template
from curate.pixels.head.ct_head import SAME, SAME_MM
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
from curate.pixels.head.plane import Frame, Plane, Verdict, has_face, holds, plane_between

_MOST_STEP_MM = 7.5
_BRIGHTEST = 99  # percentile that counts as 1
_WIDE_MM, _DEEP_MM, _AREA_CM2 = 280, 120, 400  # of a trunk's cross-section; heads have 100 to 300 cm2
_EDGE_MM = 10  # of a trunk's ends, whose slices may show less
_AT_EDGE = 0.4  # of the image's edge: where more of it is bright, air may be, as in an inverted image or a field map
_LEVELS = (0.35, 0.5, 0.65, 0.8)  # of the brain's own brightness: where it ends
_DEPTHS_MM = (4.0, 6.0, 8.0)
_SAME_BRAIN, _SAME_HEAD = 0.88, 0.85
_AROUND_BRAIN = 12
_IN_BODY = 0.97
_SEEN = 0.97  # of the brain; a registration to part of one can be out by some mm, and then eyes stay
_BRAIN_ML = (700, 2300)


def judge(values: Values, affine: Floats, plane: Plane | None = None, outline: Outline | None = None) -> Verdict:
    """What a volume (slices, rows, columns; affine from such an index to LPS mm) shows, and where to cut it.

    With `plane` and `outline` of another series of the same frame of reference, the plane holds where the body lies in
    the same place, or where this volume's own brain says so.
    """
    if not judgeable(values.shape, affine, _MOST_STEP_MM):
        return Verdict(False)
    grid = _scaled(values, affine)
    if is_trunk(grid):
        return Verdict(True)
    body = body_of(grid)
    mine = Outline(body, grid.known, grid.origin)
    if plane and outline and agree(mine, outline, SAME, SAME_MM):
        return Verdict(False, plane, mine)
    head = _head(grid, body)
    if head is None:
        return Verdict(False)
    brain, frame, features = head
    found = plane or plane_between(brain, features, frame)
    if not holds(found, brain, grid.points(body), frame) or not found.beyond(features).all():
        return Verdict(False)
    return Verdict(False, found, mine)


def shown(values: Values, affine: Floats) -> bool | None:
    """Whether a volume shows a face; None where it cannot be told."""
    if not judgeable(values.shape, affine, _MOST_STEP_MM):
        return None
    grid = _scaled(values, affine)
    if is_trunk(grid):
        return False
    body = body_of(grid)
    head = _head(grid, body)
    if head is None:
        return None
    brain, frame, _ = head
    return has_face(brain, grid.points(body), frame)


def lies_in(values: Values, affine: Floats, outline: Outline) -> bool:
    """Whether what is bright in a volume of another kind, such as PET, lies in a body that is known."""
    grid = gridded(np.maximum(values, 0), affine, 0)
    where = grid.points(body_of(grid))
    near = ndimage.binary_dilation(outline.body, ball(3))
    index = np.round((where - outline.origin) / GRID_MM).astype(int)
    there = ((index >= 0) & (index < near.shape)).all(1)
    return bool(there.any() and near[tuple(index[there].T)].sum() >= _IN_BODY * len(index))


def _scaled(values: Values, affine: Floats) -> Grid:
    """The grid of values from 0 to about 1."""
    above = np.maximum(values, 0)
    top = float(np.percentile(above, _BRIGHTEST)) or 1.0
    return gridded(np.clip(above / top, 0, 1.5), affine, 0)


def between(values: npt.NDArray[np.floating]) -> float:
    """The threshold that parts two kinds of values best (Otsu 1979)."""
    counts, edges = np.histogram(values, 128)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (sums[-1] * below / below[-1] - sums) ** 2 / (below * (below[-1] - below))
    return float(middles[int(np.nan_to_num(spread[:-1]).argmax())])


def _thresholds(values: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Between air and dim tissue, and between dim and bright."""
    high = between(values)
    below = values[values < high]
    return (between(below) if len(below) > 100 else high), high


def body_of(grid: Grid) -> Bools:
    """The person to the skin, without what is small beside him; bone and air inside are dark, and filled."""
    low, _ = _thresholds(grid.values[grid.known])
    tissue = ndimage.binary_opening(grid.values > low, ball(1))
    closed = ndimage.binary_closing(np.pad(tissue, 3), ball(3))[3:-3, 3:-3, 3:-3]
    filled = np.stack([ndimage.binary_fill_holes(closed[:, :, z]) for z in range(closed.shape[2])], 2)
    return largest(ndimage.binary_opening(filled, ball(2)))


def is_trunk(grid: Grid) -> bool:
    """Whether no head can be there: each slice across is wider than one, in its air, by that slice's own thresholds."""
    tall = grid.values.shape[2]
    edge = int(_EDGE_MM / GRID_MM)
    return tall > 4 * edge and all(_wide(grid, z) for z in range(edge, tall - edge))


def _wide(grid: Grid, z: int) -> bool:
    plane, known = grid.values[:, :, z], grid.known[:, :, z]
    if known.sum() * GRID_MM**2 / 100 < _AREA_CM2:
        return False
    edge = known & ~ndimage.binary_erosion(known)
    return all(_is_wide(plane > threshold, edge) for threshold in _thresholds(plane[known]))


def _is_wide(mask: Bools, edge: Bools) -> bool:
    opened = ndimage.binary_opening(mask, ball(2)[:, :, 2])
    piece = np.asarray(ndimage.binary_fill_holes(largest(opened)))
    if piece.sum() * GRID_MM**2 / 100 < _AREA_CM2 or piece[edge].mean() > _AT_EDGE:
        return False
    sides = sorted((s.stop - s.start) * GRID_MM for s in ndimage.find_objects(piece.astype(np.int8))[0])
    return bool(sides[0] >= _DEEP_MM and sides[1] >= _WIDE_MM)


def _head(grid: Grid, body: Bools) -> tuple[Floats, Frame, Floats] | None:
    """The points of a brain, its frame and the features of its face, mm; None where two ways do not agree."""
    if not template.installed():
        return None
    found = template.register(grid, body)
    if found is None or not found.plausible() or found.seen(grid) < _SEEN:
        return None
    mean, features = template.template(), found.points(template.FEATURES)
    front, top = found.axes()
    warped = found.warped(mean.brain, grid) & grid.known
    own = _brain(grid, warped)
    if own is None:
        return None
    points = grid.points(warped | own)
    frame = Frame(points.mean(0), front, top)
    inside = grid.known & found.inside(grid) & ~_beyond(plane_between(points, features, frame), grid)
    if _alike(found.warped(mean.head > template.AIR, grid) & inside, body & inside) < _SAME_HEAD:
        return None
    return points, frame, features


def _beyond(plane: Plane, grid: Grid) -> Bools:
    """Which voxels lie beyond a plane: without them a head that was cut already is a head, too."""
    away = plane.offset - float(np.dot(plane.normal, grid.origin))
    heights = [np.arange(n) * GRID_MM * step for n, step in zip(grid.values.shape, plane.normal, strict=True)]
    x, y, z = np.ix_(*heights)
    return np.asarray(x + y + z > away)


def _alike(one: Bools, other: Bools) -> float:
    """Dice's coefficient."""
    return float(2 * (one & other).sum() / max(int(one.sum()) + int(other.sum()), 1))


def _brain(grid: Grid, warped: Bools) -> Bools | None:
    """The piece of tissue that erosion parts from the rest, where it is what the template calls brain; else None."""
    box = _box(warped)
    if box is None:
        return None
    values, known, expected = grid.values[box], grid.known[box], warped[box]
    middle = float(np.median(values[expected]))
    best, alike = None, _SAME_BRAIN
    for level in _LEVELS:
        tissue = (ndimage.uniform_filter(values, 2) > level * middle) | ~known
        deep = ndimage.distance_transform_edt(tissue) * GRID_MM
        for depth in _DEPTHS_MM:
            core = largest((deep > depth) & known)
            if not core.any():
                continue
            near = ndimage.distance_transform_edt(~core) * GRID_MM <= depth + GRID_MM
            piece = np.asarray(ndimage.binary_fill_holes(near) & known)
            ml = piece.sum() * GRID_MM**3 / 1000
            if _BRAIN_ML[0] <= ml <= _BRAIN_ML[1] and (share := _alike(piece, expected)) > alike:
                best, alike = piece, share
    if best is None:
        return None
    whole = np.zeros_like(warped)
    whole[box] = best
    return whole


def _box(mask: Bools) -> tuple[slice, ...] | None:
    """The smallest box around a mask, and some more."""
    found = ndimage.find_objects(mask.astype(np.int8))
    if not found or found[0] is None:
        return None
    return tuple(slice(max(s.start - _AROUND_BRAIN, 0), s.stop + _AROUND_BRAIN) for s in found[0])
