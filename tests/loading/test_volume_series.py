"""A series of several volumes is one array (t, z, y, x) that says what each t is."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest

from curate.core.errors import InputError
from curate.loading.volume import volume
from curate.loading.volume_series import volume_series
from tests import synth
from tests.dicom import converted

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of the odd files it reads
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TURNED = np.eye(4)[:, [2, 1, 0, 3]]


def series(echoes: int = 2, slices: int = 3) -> list[pydicom.Dataset]:
    """Slices of several echoes, the values of each 100 more than those of the one before."""
    made = []
    for echo in range(echoes):
        for number in range(slices):
            dataset = synth.load_instance(1, 1, 1, number, modality="MR", private=False)
            dataset.EchoTime, dataset.InstanceNumber = 10.0 + echo, echo * slices + number + 1
            dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{echo}"
            dataset.PixelData = (np.full((64, 64), 100 * echo + number, np.uint16)).tobytes()
            made.append(dataset)
    return made


def test_echoes_are_volumes() -> None:
    """In any order of the rows; one echo of them is the volume that `curate.volume` reads."""
    rows = series()
    found = volume_series(rows[::-1])
    assert found.array.shape == (2, 3, 64, 64)
    assert found.volumes == ({"EchoTime": 10.0}, {"EchoTime": 11.0})
    alone = volume(rows[:3])
    assert np.array_equal(found.array[0], alone.array)
    assert np.allclose(found.affine, alone.affine)
    assert found.instances[0] == alone.instances
    with pytest.raises(InputError, match="share a place"):
        volume(rows)


def test_one_volume_is_one() -> None:
    """Nothing tells it apart."""
    found = volume_series(series(echoes=1))
    assert found.array.shape[0] == 1
    assert found.volumes == ({},)


def test_what_is_no_whole_volume_is_refused() -> None:
    """A slice that is missing from one echo, slices whose echoes cross, and rows of two series."""
    with pytest.raises(InputError, match=r"there 1 times, others 2 times"):
        volume_series(series()[:-1])
    crossed = series()
    crossed[0].EchoTime = 30.0
    with pytest.raises(InputError, match="differ in EchoTime"):
        volume_series(crossed)
    with pytest.raises(InputError, match="not of one series"):
        volume_series([*series(), synth.load_instance(1, 1, 2, 0, modality="MR", private=False)])


def names() -> list[str]:
    """Series of diffusion and function, as slices and as mosaics."""
    wanted = ("decubitus", "_ge/", "Vanderbilt", "mr_0004", "RTIA/", "B17", "E11")
    return [name for name in sorted(converted.folders()) if any(part in name for part in wanted)] or ["absent"]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", names())
def test_a_released_series_has_the_converters_volumes(name: str) -> None:
    """As many, with the same values at the same places, and the b-values of the converter."""
    with converted.released(name) as (files, paths):
        if len(paths) != 1:
            pytest.skip("the converter makes several series of it")
        (path,) = paths.values()
        found = volume_series(files)
        image = converted.nibabel.load(path)
        values = image.get_fdata()
        values = values if values.ndim == 4 else values[..., None]
        assert found.array.shape[0] == values.shape[3]
        to_ours = np.linalg.inv(LPS_TO_RAS @ found.affine @ TURNED) @ image.affine
        bvals = path.with_suffix(".bval")
        order = np.argsort(np.loadtxt(bvals).ravel(), kind="stable") if bvals.exists() else range(values.shape[3])
        for t, theirs in enumerate(order):
            for x, y, z in np.random.default_rng(t).integers(0, values.shape[:3], (20, 3)):
                i, j, k = np.round(to_ours @ [x, y, z, 1])[:3].astype(int)
                assert found.array[t, k, j, i] == pytest.approx(values[x, y, z, theirs], rel=1e-5, abs=1e-3)
