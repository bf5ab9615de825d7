"""The columns that tell how an MR series was acquired say what a converter finds in the released series."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from curate.dicom.geometry.volume_parts import part_of
from curate.dicom.io.reader import parse
from curate.dicom.keyword_view import Header
from curate.dicom.mr_acquisition import acquisition_of, row
from tests import synth
from tests.dicom import converted, vendor_blocks

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of the odd files it reads


def row_of(files: list[Path]) -> dict[str, object]:
    """The columns of files of one series."""
    items = [parse(path.read_bytes()).dataset for path in files]
    return row([acquisition_of(item) for item in items], [part_of(Header(item)) for item in items])


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", sorted(n for n in converted.folders() if "dcm_qa" in n) or ["absent"])
def test_the_columns_say_what_a_converter_finds(name: str) -> None:
    """Direction, echo spacing of Siemens, multiband factor, b-values, number of volumes, and that slices are timed."""
    with converted.released(name) as (files, volumes):
        if len(volumes) != 1:
            pytest.skip("the folder holds several volumes' series, or none that is read")
        (volume,) = volumes.values()
        sidecar, found = json.loads(volume.with_suffix(".json").read_text()), row_of(files)
        assert found["phase_encoding_direction"] == sidecar.get("PhaseEncodingDirection")
        assert found["multiband_factor"] == sidecar.get("MultibandAccelerationFactor")
        assert found["slice_times_stated"] or "SliceTiming" not in sidecar
        if sidecar["Manufacturer"] == "Siemens" and "EffectiveEchoSpacing" in sidecar:
            assert found["effective_echo_spacing_s"] == pytest.approx(sidecar["EffectiveEchoSpacing"], rel=1e-4)
        if volume.with_suffix(".bval").exists():
            assert found["b_values"] == sorted(set(np.loadtxt(volume.with_suffix(".bval")).ravel().tolist()))
        assert found["volume_count"] == _volumes(volume)


def _volumes(path: Path) -> int:
    shape = converted.nibabel.load(path).shape
    return shape[3] if len(shape) > 3 else 1


def test_what_is_no_mr_image_says_nothing() -> None:
    """No slice times, no direction; how often a series has each slice is told of every modality."""
    items = [parse(synth.instance_bytes(1, 1, 1, number, modality="CT")).dataset for number in (0, 1, 2)]
    found = row([acquisition_of(item) for item in items], [part_of(Header(item)) for item in items])
    assert found.pop("volume_count") == 1
    assert set(found.values()) == {None}


@pytest.mark.parametrize(
    "raw",
    [
        b"SV10",
        bytes(200),
        vendor_blocks.csa({"B_value": ["x"], "NumberOfImagesInMosaic": ["-1"]}),
        vendor_blocks.csa({"B_value": [""], "PhaseEncodingDirectionPositive": [], "NumberOfImagesInMosaic": [""]}),
    ],
)
def test_a_header_of_another_form_says_nothing(raw: bytes) -> None:
    """A release of another tool may hold any."""
    dataset = synth.load_instance(1, 1, 1, 1, modality="MR", private=False)
    dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", raw)
    found = acquisition_of(parse(synth.to_bytes(dataset)).dataset)
    assert (found.direction, found.b_value, found.slices) == (None, None, None)
