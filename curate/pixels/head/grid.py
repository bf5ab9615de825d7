"""Volumes on a grid of 2 mm in the patient's coordinates (LPS, mm), so that gantry tilt and reformats need nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float32]

GRID_MM = 2.0
_FEWEST = 8  # slices, rows, columns


@dataclass(frozen=True, slots=True)
class Grid:
    """Values on the grid, axes x, y, z as LPS; `known` where the scan has measured."""

    values: Values
    known: Bools
    origin: Floats

    def points(self, where: Bools) -> Floats:
        """The places of voxels: (n, 3), mm."""
        return np.asarray(np.argwhere(where) * GRID_MM + self.origin)


@dataclass(frozen=True, slots=True)
class Outline:
    """Where the body of a series lies; `known` where it was measured."""

    body: Bools
    known: Bools
    origin: Floats


def judgeable(shape: tuple[int, ...], affine: Floats, most_step_mm: float) -> bool:
    """Whether a volume has slices enough, near enough, and of a form that is not sheared beyond a gantry's tilt."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    fine = min(shape) >= _FEWEST and max(steps) <= most_step_mm
    return bool(fine and np.linalg.cond(affine[:3, :3] / steps) <= 4)


def gridded(values: Values, affine: Floats, outside: float) -> Grid:
    """A volume (slices, rows, columns; affine from such an index to LPS mm) on the grid."""
    ends = np.array(np.meshgrid(*[(0, n - 1) for n in values.shape], indexing="ij")).reshape(3, -1).T
    corners = ends @ affine[:3, :3].T + affine[:3, 3]
    low = corners.min(0)
    shape = tuple(np.ceil((corners.max(0) - low) / GRID_MM).astype(int) + 1)
    back = np.linalg.inv(affine[:3, :3])
    options = {"output_shape": shape, "order": 1, "offset": back @ (low - affine[:3, 3])}
    found = ndimage.affine_transform(values, back * GRID_MM, cval=outside, **options)
    measured = np.ones(values.shape, np.float32)
    known = ndimage.affine_transform(measured, back * GRID_MM, cval=0, **options) > 0.5
    return Grid(found, known, low)


def largest(mask: Bools) -> Bools:
    """The largest piece of a mask."""
    labels, count = ndimage.label(mask)
    if not count:
        return mask
    return np.asarray(labels == np.bincount(labels.ravel())[1:].argmax() + 1)


def ball(radius: int) -> Bools:
    """A structuring element of three axes; radius in voxels."""
    axes = np.ogrid[-radius : radius + 1, -radius : radius + 1, -radius : radius + 1]
    return np.asarray(sum(axis**2 for axis in axes) <= radius**2 + 1)


def agree(one: Outline, other: Outline, share: float, apart_mm: float) -> bool:
    """Whether two bodies lie in the same place, judged where both scans have measured."""
    shift = np.round((one.origin - other.origin) / GRID_MM).astype(int)
    low = np.maximum(shift, 0)
    high = np.minimum(np.array(one.body.shape) + shift, other.body.shape)
    if (high - low < _FEWEST).any():
        return False
    mine = tuple(slice(a, b) for a, b in zip(low - shift, high - shift, strict=True))
    its = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    both = one.known[mine] & other.known[its]
    first, second = one.body[mine] & both, other.body[its] & both
    total = int(first.sum()) + int(second.sum())
    if not first.any() or not second.any():
        return False
    away = (np.argwhere(first).mean(0) - np.argwhere(second).mean(0)) * GRID_MM
    return bool(2 * (first & second).sum() >= share * total and np.linalg.norm(away) <= apart_mm)
