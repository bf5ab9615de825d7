"""Make `curate/pixels/head/data/head.npz` from the mean head of pydeface, which lies in its wheel as a NIfTI file.

Run: python -m tests.pixels.regenerate_template pydeface/data/mean_reg2mean.nii.gz

The head goes to a grid of 3 mm in the patient's axes, 8 bits. The brain is what lies 13 mm and more below the skin and
above the skull's base, whose height along the head was read from the picture, at its middle and at its sides.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813  its own name for itself
from scipy import ndimage

from curate.pixels.head.grid import ball, largest
from curate.pixels.head.template import AIR, PATH, STEP_MM

_MIDDLE_X, _UNDER_SKIN_MM, _POLE_Y = 6, 13, -85
_MEDIAL = (
    [-90, -80, -55, -50, -20, -14, -5, 12, 20, 70, 86],
    [-8, -14, -20, -22, -24, -40, -58, -66, -66, -50, -10],
)
_LATERAL = (
    [-90, -80, -55, -48, -42, -10, 0, 16, 22, 70, 86],
    [-4, -8, -10, -14, -38, -42, -38, -40, -64, -50, -10],
)


def main(path: str) -> None:
    """Read, reduce, draw the brain, write."""
    image = sitk.SmoothingRecursiveGaussian(sitk.ReadImage(path, sitk.sitkFloat32), 1.2)
    corners = np.array(
        [
            image.TransformIndexToPhysicalPoint([(n - 1) * b for n, b in zip(image.GetSize(), bits, strict=True)])
            for bits in np.ndindex(2, 2, 2)
        ]
    )
    origin = corners.min(0)
    size = [int(n) for n in np.ceil(np.ptp(corners, 0) / STEP_MM) + 1]
    where = ([float(v) for v in origin], [STEP_MM] * 3, np.eye(3).ravel().tolist())
    grid = sitk.Resample(image, size, sitk.Transform(), sitk.sitkLinear, *where)
    head = sitk.GetArrayFromImage(grid).transpose(2, 1, 0)
    head = np.clip(head / np.percentile(head, 99.5), 0, 1)
    x, y, z = np.moveaxis(np.moveaxis(np.indices(head.shape), 0, -1) * STEP_MM + origin, -1, 0)
    body = ndimage.binary_fill_holes(largest(ndimage.binary_opening(head > AIR, ball(2))))
    down = np.concatenate([np.repeat(body[:, :, :1], 8, 2), body], 2)  # the scan's lower end is no skin
    deep = ndimage.distance_transform_edt(down)[:, :, 8:] * STEP_MM
    side = np.clip((np.abs(x - _MIDDLE_X) - 12) / 10, 0, 1)
    base = np.interp(y, *_MEDIAL) * (1 - side) + np.interp(y, *_LATERAL) * side
    brain = largest(ndimage.binary_opening((deep > _UNDER_SKIN_MM) & (z > base) & (y > _POLE_Y), ball(1)))
    np.savez_compressed(PATH, head=np.round(head * 255).astype(np.uint8), brain=brain, origin=origin)
    Path(PATH).chmod(0o644)


if __name__ == "__main__":
    main(sys.argv[1])
