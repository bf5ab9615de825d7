"""A real head, moved and cut as scans are: defaced with no brain lost and no face left, or refused."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from curate.pixels.head import ct_head
from tests.pixels import heads

Bools = npt.NDArray[np.bool_]
pytestmark = heads.needs_head


@cache
def truth() -> tuple[Bools, Bools]:
    """Of the head as it was scanned: brain well inside the skull, and eyes, nose, mouth; drawn by hand, in boxes."""
    hu = heads.cranium()
    z, y, x = (np.indices(hu.shape).T * (heads.STEP_MM, 2 * heads.PLANE_MM, 2 * heads.PLANE_MM)).T
    soft = (hu > 0) & (hu < 90)
    brain = soft & (((x - 124) / 58) ** 2 + ((y - 137) / 72) ** 2 + ((z - 95) / 48) ** 2 < 1)
    features = (hu > -300) & (y < 60) & (z < 38) & (np.abs(x - 122) < 45)
    return brain, features


def variants() -> dict[str, tuple[float, int]]:
    """Turns by name: degrees, and about which axis of the patient."""
    names = ("pitch", "roll", "yaw")
    return {f"{name} {d}": (d, axis) for axis, name in enumerate(names) for d in (-20, -10, 10, 20)}


def outcome(hu: heads.Volume, affine: npt.NDArray[np.float64], brain: Bools, features: Bools) -> str:
    """What became of a volume; it fails where a cut leaves face or takes brain."""
    verdict = ct_head.judge(hu, affine)
    assert not verdict.clear
    if verdict.plane is None:
        return "refused"
    index = np.moveaxis(np.indices(hu.shape), 0, -1)
    beyond = verdict.plane.beyond(index @ affine[:3, :3].T + affine[:3, 3])
    assert not (beyond & brain).any()
    assert features.any()
    assert (beyond & features).sum() >= 0.98 * features.sum()
    return "defaced"


def test_the_head_as_it_was_scanned() -> None:
    """Eyes, nose and mouth go, no voxel of the brain does."""
    assert outcome(heads.cranium(), heads.matrix(), *truth()) == "defaced"


@pytest.mark.parametrize(("degrees", "axis"), variants().values(), ids=variants().keys())
def test_turned_heads(degrees: float, axis: int) -> None:
    """Turned by 10 or 20 degrees about each axis: defaced, or refused."""
    hu = heads.turned(heads.cranium(), degrees, axis)
    brain, features = (heads.turned(one.astype(np.float32), degrees, axis, 0, 0) > 0.5 for one in truth())
    outcome(hu, heads.matrix(), brain, features)


@pytest.mark.parametrize("kept", [slice(10, None), slice(25, None), slice(0, 95), slice(0, 60), slice(0, 35)])
def test_cropped_heads(kept: slice) -> None:
    """Without chin, crown, or nearly all of the brain: defaced, or refused, never taken for no head."""
    affine = heads.matrix()
    affine[2, 3] = (kept.start or 0) * heads.STEP_MM
    outcome(heads.cranium()[kept], affine, *(one[kept] for one in truth()))


def test_thick_slices_and_headrest() -> None:
    """Slices of 4.5 mm, a headrest that touches: defaced."""
    hu, (brain, features) = heads.cranium(), truth()
    assert outcome(hu[::3], heads.matrix(4.5), brain[::3], features[::3]) == "defaced"
    rested = np.array(hu)
    rested[:, 112:118, 20:110] = np.maximum(rested[:, 112:118, 20:110], 120)
    assert outcome(rested, heads.matrix(), brain, features) == "defaced"


@pytest.mark.parametrize("degrees", [-20, 15])
def test_gantry_tilt(degrees: float) -> None:
    """A tilt as a scanner states it, where the head leans in its slices: the geometry says where voxels lie."""
    affine = heads.matrix()
    affine[1, 0] = np.tan(np.radians(degrees)) * heads.STEP_MM
    per_slice = affine[1, 0] / (2 * heads.PLANE_MM)
    room = abs(round(len(heads.cranium()) * per_slice)) + 1
    affine[1, 3] = -room * 2 * heads.PLANE_MM

    def leaning(values: npt.NDArray[np.generic], fill: float) -> npt.NDArray[np.generic]:
        wide = np.pad(values, ((0, 0), (room, room), (0, 0)), constant_values=fill)
        return np.stack([np.roll(one, -round(z * per_slice), 0) for z, one in enumerate(wide)])

    brain, features = (np.asarray(leaning(one, 0), bool) for one in truth())
    hu = np.asarray(leaning(heads.cranium(), -1000), np.float32)
    assert outcome(hu, affine, brain, features) == "defaced"


def test_a_body_is_no_head() -> None:
    """A trunk without a head is clear; a limb's width is not, since a head without its brain is as wide."""
    y, x = np.mgrid[:128, :128]
    for wide, clear in ((60, True), (20, False)):
        hu = np.full((40, 128, 128), -1000, np.float32)
        hu[:, ((x - 64) / wide) ** 2 + ((y - 64) / (wide * 0.7)) ** 2 < 1] = 40
        affine = np.diag([3.0, 3.0, 3.0, 1.0])[[2, 1, 0, 3]]
        assert ct_head.judge(hu, affine).clear is clear
