"""Heads as MR shows them: one that was scanned (Debian's `mricron-data`; nothing is copied), one made from a CT."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

from curate.pixels.head.template import turn
from tests.pixels import heads

TEMPLATES = Path("/usr/share/mricron/templates")
Bools = npt.NDArray[np.bool_]
Volume = npt.NDArray[np.float32]
needs_colin = pytest.mark.skipif(
    not (TEMPLATES / "ch2.nii.gz").exists(), reason="Debian's package mricron-data is not installed"
)
_SHAPE = (181, 217, 181)  # x to the right, y to the front, z upwards, 1 mm
_STEPS = (2, 1.5, 1.5)  # of slices, rows and columns: 2 mm as scans have them, and a little finer


@dataclass(frozen=True, slots=True)
class Head:
    """A volume (slices, rows, columns), its matrix to LPS mm, its brain, and eyes, nose, mouth where they are known."""

    values: Volume
    affine: npt.NDArray[np.float64]
    brain: Bools
    features: Bools

    def turned(self, *degrees: float, fill: float = 0) -> Head:
        """Turned about x, y and z of the patient; what was out of the field of view stays so."""
        mm = self.affine[:3, :3]
        back = np.linalg.inv(mm) @ turn(*degrees) @ mm
        middle = (np.array(self.values.shape) - 1) / 2
        offset = middle - back @ middle

        def moved(values: Volume, order: int) -> Volume:
            outside = fill if order else 0
            found = ndimage.affine_transform(values, back, offset, order=order, cval=outside)
            return np.asarray(found, np.float32)

        brain, features = (moved(one.astype(np.float32), 0) > 0.5 for one in (self.brain, self.features))
        return replace(self, values=moved(self.values, 1), brain=brain, features=features)

    def cut(self, start: int, stop: int | None = None, axis: int = 0) -> Head:
        """Slices, rows or columns of it alone."""
        where = tuple(slice(start, stop) if k == axis else slice(None) for k in range(3))
        affine = np.array(self.affine)
        affine[:3, 3] += start * affine[:3, axis]
        return Head(self.values[where], affine, self.brain[where], self.features[where])

    def thick(self, every: int) -> Head:
        """Slices of several times the thickness."""
        count = len(self.values) // every * every
        values = self.values[:count].reshape(-1, every, *self.values.shape[1:]).mean(1)
        affine = np.array(self.affine)
        affine[:3, 3] += (every - 1) / 2 * affine[:3, 0]
        affine[:3, 0] *= every
        part = slice(every // 2, count, every)
        return Head(values, affine, self.brain[part], self.features[part])

    def noisy(self, share: float, seed: int = 1) -> Head:
        """With Rician noise of a share of the brain's brightness."""
        rng = np.random.default_rng(seed)
        sigma = share * float(np.median(self.values[self.brain]))
        real, imaginary = rng.normal(0, sigma, (2, *self.values.shape))
        return replace(self, values=np.asarray(np.hypot(self.values + real, imaginary), np.float32))

    def shaded(self, strength: float = 0.6) -> Head:
        """Brighter towards the back and the top, as near a surface coil."""
        z, y, _ = np.indices(self.values.shape) / np.array(self.values.shape)[:, None, None, None]
        return replace(self, values=np.asarray(self.values * (1 + strength * (y + z - 1)), np.float32))

    def inverted(self) -> Head:
        """With a brain in which what was dark is bright, as in T2."""
        top = float(np.percentile(self.values[self.brain], 99))
        inside = ndimage.binary_closing(self.brain, iterations=3)
        values = np.where(inside, np.maximum(1.2 * top - self.values, 0), 0.6 * self.values)
        return replace(self, values=np.asarray(values, np.float32))


def _nifti(name: str) -> npt.NDArray[np.uint8]:
    """The voxels of a file of `mricron-data`: slices upwards, rows to the back, columns to the left."""
    data = gzip.decompress((TEMPLATES / name).read_bytes())
    start = int(np.frombuffer(data, "<f4", 1, 108)[0])
    values = np.frombuffer(data, np.uint8, int(np.prod(_SHAPE)), start).reshape(_SHAPE[::-1])
    return values[:, ::-1]


@cache
def colin() -> Head:
    """The head of one man, 27 times scanned; his nose and chin lie out of the field of view."""
    every = (slice(None, None, 2), slice(None, None, 2), slice(None, None, 2))
    values, brain = (_nifti(name)[every] for name in ("ch2.nii.gz", "ch2bet.nii.gz"))
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = 2
    affine[3, 3] = 1
    around = ((0, 0), (12, 4), (4, 4))  # air, as a scan has it
    affine[:3, 3] = (-8, -24, 0)
    _, y, x = np.indices(values.shape)
    z = np.indices(values.shape)[0]
    features = (values > 40) & (y < 12) & (z < 16) & (np.abs(x - 45) < 25)
    made = [np.pad(one, around) for one in (values.astype(np.float32), brain > 10, features)]
    return Head(made[0], affine, made[1], made[2])


def _without_holder(hu: Volume) -> Bools:
    """The head alone: the holder around it is no thicker than 12 mm."""
    tissue = ndimage.binary_closing(hu > -300, iterations=2)
    filled = np.stack([ndimage.binary_fill_holes(one) for one in tissue])
    core = ndimage.distance_transform_edt(filled, sampling=(heads.STEP_MM, *[2 * heads.PLANE_MM] * 2)) > 9
    labels, _ = ndimage.label(core)
    head = labels == np.bincount(labels.ravel())[1:].argmax() + 1
    near = ndimage.distance_transform_edt(~head, sampling=(heads.STEP_MM, *[2 * heads.PLANE_MM] * 2)) < 12
    return np.asarray(near & tissue)


@cache
def from_ct() -> Head:
    """A whole head with its face, of a CT: fat bright, muscle and brain grey, bone and air dark."""
    hu = heads.cranium()
    hu = np.where(_without_holder(hu), hu, -1000)
    soft = np.interp(hu, [-300, -120, -20, 0, 20, 60, 150, 400], [0, 0.9, 0.9, 0.35, 0.5, 0.6, 0.4, 0.06])
    z, y, x = (np.indices(hu.shape).T * (heads.STEP_MM, 2 * heads.PLANE_MM, 2 * heads.PLANE_MM)).T
    inside = ((x - 124) / 58) ** 2 + ((y - 137) / 72) ** 2 + ((z - 95) / 48) ** 2 < 1
    brain = (hu > 0) & (hu < 90) & inside
    features = (hu > -300) & (y < 60) & (z < 38) & (np.abs(x - 122) < 45)
    return Head(np.asarray(200 * soft, np.float32), heads.matrix(), brain, features)
