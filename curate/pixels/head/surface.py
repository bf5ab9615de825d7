"""The surface of a volume as a picture: seen from the front and from both sides, lit along the view."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from curate.pixels.head.grid import Bools, Floats, Grid, Values, gridded
from curate.pixels.head.mr_head import between

_FINER = 3  # pixels a voxel of the grid
_SKIN_HU = -300
_VIEWS = ((1, False), (0, False), (0, True))  # axis along which one looks, and whether from its upper end


def surface(values: Values, affine: Floats, hounsfield: bool) -> bytes:
    """A PNG, 8 bits, of three views side by side; in CT of the skin, else of what is brighter than air."""
    grid = gridded(values, affine, -1000 if hounsfield else 0)
    smooth = ndimage.gaussian_filter(grid.values, 0.7)
    body = smooth > (_SKIN_HU if hounsfield else _threshold(grid))
    views = [_view(body, axis, upper) for axis, upper in _VIEWS]
    picture = Image.fromarray(np.concatenate(views, 1))
    picture = picture.resize((picture.width * _FINER, picture.height * _FINER), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _threshold(grid: Grid) -> float:
    """Between air and dim tissue."""
    values = grid.values[grid.known]
    values = np.minimum(values, np.percentile(values, 99))
    return between(values[values < between(values)])


def _view(body: Bools, axis: int, upper: bool) -> npt.NDArray[np.uint8]:
    """Depth-shaded: dark ground, the surface the brighter the more it faces the eye."""
    seen = body[::-1] if upper and axis == 0 else body
    hit = seen.any(axis)
    depth = np.where(hit, seen.argmax(axis), 0).astype(np.float32)
    weight = np.maximum(ndimage.gaussian_filter(hit.astype(np.float32), 1.0), 1e-3)
    smooth = ndimage.gaussian_filter(depth * hit, 1.0) / weight
    one, two = np.gradient(smooth)
    light = 1 / np.sqrt(1 + one**2 + two**2)
    far = 1 - 0.5 * smooth / max(body.shape[axis], 1)
    shade = np.where(hit, 40 + 215 * light * far, 0)
    flat = shade.T[::-1, ::-1] if upper else shade.T[::-1]
    return np.asarray(np.clip(flat, 0, 255), np.uint8)
