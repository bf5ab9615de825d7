"""The head CT of Debian's package `invesalius-examples` (GPL-2; nothing of it is copied), moved and cut as scans."""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

CRANIUM = Path("/usr/share/doc/invesalius-examples/examples/Cranium.inv3")
PLANE_MM, STEP_MM = 0.9570312, 1.5
Volume = npt.NDArray[np.float32]
needs_head = pytest.mark.skipif(not CRANIUM.exists(), reason="Debian's package invesalius-examples is not installed")


@cache
def cranium() -> Volume:
    """HU as slices upwards, rows to the back, columns to the left; every second row and column."""
    with tarfile.open(CRANIUM) as tar:
        name = next(one for one in tar.getnames() if one.endswith("matrix.dat"))
        file = tar.extractfile(name)
        assert file is not None
        values = np.frombuffer(file.read(), np.int16).reshape(108, 256, 256)
    return np.asarray(values[:, ::-1][:, ::2, ::2], np.float32)


def matrix(step: float = STEP_MM) -> npt.NDArray[np.float64]:
    """From (slice, row, column) to LPS mm."""
    found = np.zeros((4, 4))
    found[2, 0], found[1, 1], found[0, 2], found[3, 3] = step, 2 * PLANE_MM, 2 * PLANE_MM, 1
    return found


def turned(values: Volume, degrees: float, axis: int, fill: float = -1000, order: int = 1) -> Volume:
    """The head turned about an axis (x, y or z of the patient)."""
    angle = np.radians(degrees)
    turn = np.eye(3)
    one, two = [k for k in range(3) if k != axis]
    turn[one, one] = turn[two, two] = np.cos(angle)
    turn[one, two], turn[two, one] = -np.sin(angle), np.sin(angle)
    mm = matrix()[:3, :3]
    back = np.linalg.inv(mm) @ turn @ mm
    middle = (np.array(values.shape) - 1) / 2
    found = ndimage.affine_transform(values, back, middle - back @ middle, order=order, cval=fill)
    return np.asarray(found, np.float32)
