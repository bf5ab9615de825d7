"""Mosaics are read as volumes: slices, order and affine are those that a public converter finds."""

from __future__ import annotations

import numpy as np
import pytest

from curate.core.errors import InputError
from curate.loading.volume import volume
from tests.dicom import converted

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
TURNED = np.eye(4)[:, [2, 1, 0, 3]]  # the converter's axes are x, y, z


def names() -> list[str]:
    return sorted(name for name in converted.folders() if "Orientation" in name or "decubitus" in name) or ["absent"]


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", names())
def test_a_released_mosaic_is_the_converters_volume(name: str) -> None:
    """Each voxel of the first mosaic lies where the converter has it, to 0.01 mm, with the same value."""
    with converted.released(name) as (files, volumes):
        if not files:
            pytest.skip("its files are refused")
        (path,) = volumes.values()
        image = converted.nibabel.load(path)
        values = np.asarray(image.dataobj, np.float64)
        values = values[..., 0] if values.ndim == 4 else values
        found = volume(files[0])
        ours = LPS_TO_RAS @ found.affine @ TURNED  # from (x, y, z) to RAS
        place_in_ours = np.linalg.inv(ours) @ image.affine
        corners = np.array(
            [[x, y, z, 1.0] for x in (0, values.shape[0] - 1) for y in (0, 3) for z in (0, values.shape[2] - 1)]
        )
        mapped = corners @ place_in_ours.T
        assert np.abs(mapped - np.round(mapped)).max() < 0.01
        rng = np.random.default_rng(1)
        for x, y, z in rng.integers(0, values.shape, (200, 3)):
            i, j, k = np.round(place_in_ours @ [x, y, z, 1])[:3].astype(int)
            assert found.array[k, j, i] == values[x, y, z]
        if len(files) > 1:
            with pytest.raises(InputError, match="share a place"):
                volume(files[:2])
