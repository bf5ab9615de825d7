"""A series becomes one array with its place and unit, or a clear refusal; highdicom is the oracle."""

from __future__ import annotations

import csv
import io
import random
import warnings
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curate.core.errors import InputError
from curate.loading.images import read_instance
from curate.loading.volume import Volume, volume
from tests import corpus, synth

COUNT = 6


def series(modality: str = "CT") -> list[Dataset]:
    """Slices of 2.5 mm, 9 rows and 7 columns, in no order."""
    found = [synth.load_instance(0, 0, 0, n, modality=modality, rows=9, columns=7) for n in range(COUNT)]
    random.Random(4).shuffle(found)
    return found


def test_a_ct_is_in_hounsfield_units_at_its_place() -> None:
    """Rows in any order give (z, y, x) in HU; the affine gives each voxel's centre in LPS millimetres."""
    slices = series()
    found = volume([{"dicom": {"bytes": synth.to_bytes(one), "path": None}} for one in slices])
    assert (found.array.shape, found.array.dtype, found.unit, found.modality) == (
        (COUNT, 9, 7),
        np.float32,
        "HU",
        "CT",
    )
    for one in slices:
        z, stored = one.InstanceNumber - 1, one.pixel_array.astype(float)
        assert np.array_equal(found.array[z], stored - 1024)
        assert found.instances[z] == one.SOPInstanceUID
        place = found.affine @ (z, 3, 5, 1)
        expected = np.array(one.ImagePositionPatient, float) + np.array([5 * 0.683594, 3 * 0.683594, 0])
        assert np.allclose(place[:3], expected)
    assert np.allclose(found.spacing_mm, (2.5, 0.683594, 0.683594))


def test_oblique_and_tilted_stacks_keep_their_place() -> None:
    """Oblique axes, unequal spacing, and slices that shift along the table: the affine is exact."""
    along, down = np.array([0.8, 0.6, 0.0]), np.array([0.0, 0.0, -1.0])
    step = np.cross(along, down) * 3 + down * 0.7
    slices = series("MR")
    for one in slices:
        one.ImageOrientationPatient = [*along, *down]
        one.PixelSpacing = ["0.5", "0.9"]
        one.ImagePositionPatient = list(np.round(np.array([10.0, -20, 30]) + (one.InstanceNumber - 1) * step, 6))
    found = volume(slices)
    for one in slices:
        place = found.affine @ (one.InstanceNumber - 1, 2, 4, 1)
        expected = np.array(one.ImagePositionPatient, float) + along * 0.9 * 4 + down * 0.5 * 2
        assert np.allclose(place[:3], expected, atol=1e-5)
    assert np.allclose(abs(np.linalg.det(found.affine[:3, :3])), 3 * 0.5 * 0.9)


def test_each_slice_has_its_own_rescale() -> None:
    """A PET's slopes differ by slice; its unit is that of Units; an MR without a rescale states none."""
    slices = series("PT")
    for one in slices:
        one.RescaleSlope, one.RescaleIntercept, one.Units = str(one.InstanceNumber * 0.5), "0", "BQML"
    found = volume(slices)
    assert found.unit == "BQML"
    for one in slices:
        expected = one.pixel_array * (one.InstanceNumber * 0.5)
        assert np.allclose(found.array[one.InstanceNumber - 1], expected)
    assert volume(series("MR")).unit == ""


@pytest.mark.parametrize(
    ("stated", "kind", "unit"), [(None, "AXIAL", "HU"), ("US", "AXIAL", "HU"), (None, "LOCALIZER", "")]
)
def test_a_ct_that_states_no_unit(stated: str | None, kind: str, unit: str) -> None:
    """A CT's default is Hounsfield units (PS3.3 C.8.2.1.1.2), but not a localizer's."""
    slices = series()
    for one in slices:
        one.RescaleType, one.ImageType = stated, ["ORIGINAL", "PRIMARY", kind]
        if stated is None:
            del one.RescaleType
    assert volume(slices).unit == unit


def test_a_modality_lut_is_applied() -> None:
    """Values go through a Modality LUT where there is one, and its type is the unit."""
    slices = series("CT")
    for one in slices:
        del one.RescaleSlope, one.RescaleIntercept, one.RescaleType
        table = Dataset()
        table.LUTDescriptor, table.ModalityLUTType, table.LUTData = (
            [4096, 0, 16],
            "OD",
            [3 * n for n in range(4096)],
        )
        table["LUTDescriptor"].VR = table["LUTData"].VR = "US"
        one.ModalityLUTSequence = Sequence([table])
    found = volume(slices)
    assert found.unit == "OD"
    assert np.array_equal(found.array[0], 3.0 * slices[[s.InstanceNumber for s in slices].index(1)].pixel_array)


def _change(**attributes: Any) -> Callable[[list[Dataset]], list[Dataset]]:
    def change(slices: list[Dataset]) -> list[Dataset]:
        for name, value in attributes.items():
            if value is None:
                delattr(slices[0], name)
            else:
                setattr(slices[0], name, value)
        return slices

    return change


def _without(number: int) -> Callable[[list[Dataset]], list[Dataset]]:
    return lambda slices: [one for one in slices if one.InstanceNumber != number]


REFUSED: dict[str, tuple[Callable[[list[Dataset]], list[Dataset]], str]] = {
    "no rows": (lambda slices: [], "no rows"),
    "two series": (_change(SeriesInstanceUID=synth.uid("x")), "2 series"),
    "two frames of reference": (_change(FrameOfReferenceUID=synth.uid("x")), "2 frames of reference"),
    "two sizes": (_change(Rows=3), "2 heights"),
    "two orientations": (_change(ImageOrientationPatient=[0, 1, 0, 0, 0, 1]), "several orientations"),
    "two spacings": (_change(PixelSpacing=["1", "1"]), "several pixel spacings"),
    "a slice is missing": (_without(3), "not evenly spaced: 5.000 mm after slice 1, 2.500 mm elsewhere"),
    "a slice is doubled": (lambda slices: [*slices, slices[0]], "share a place"),
    "a slice lies askew": (
        lambda slices: _change(ImagePositionPatient=[9, 9, slices[0].ImagePositionPatient[2]])(slices),
        "do not lie on one line",
    ),
    "no position": (_change(ImagePositionPatient=None), "no Image Position"),
    "no spacing": (_change(PixelSpacing=None), "no Pixel Spacing"),
    "bad orientation": (_change(ImageOrientationPatient=["1", "0", "0", "1", "0"]), "no Image Orientation"),
    "two units": (_change(RescaleType="OD"), "2 units"),
    "colour": (_change(SamplesPerPixel=3), "Colour"),
    "no image": (lambda slices: _change(Rows=None, Modality="SR")(slices[:1]), "no images"),
    "one slice without thickness": (
        lambda slices: _change(SliceThickness="", SpacingBetweenSlices="")(slices[:1]),
        "no third dimension",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_inconsistent_geometry_is_refused(name: str) -> None:
    """Whatever makes no regular grid is refused in one line that says what it is, with a hint."""
    change, said = REFUSED[name]
    with pytest.raises(InputError, match=said) as told:
        volume(change(series()))
    assert told.value.hint
    assert "\n" not in str(told.value)


def test_a_multi_frame_instance_is_a_volume() -> None:
    """An enhanced instance's frames are placed and rescaled by their functional groups."""
    found = volume(enhanced(series("CT")))
    expected = volume(series("CT"))
    assert np.array_equal(found.array, expected.array)
    assert np.allclose(found.affine, expected.affine)
    assert (found.unit, len(found.instances)) == ("HU", COUNT)


def enhanced(slices: list[Dataset]) -> Dataset:
    """The slices as one multi-frame instance with functional groups (PS3.3 C.7.6.16)."""
    made = pydicom.dcmread(io.BytesIO(synth.to_bytes(slices[0])))
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    made.NumberOfFrames = len(slices)
    made.PixelData = b"".join(one.PixelData for one in slices)
    shared = _item(
        PixelMeasuresSequence=_item(PixelSpacing=made.PixelSpacing, SliceThickness="2.5"),
        PlaneOrientationSequence=_item(ImageOrientationPatient=made.ImageOrientationPatient),
        PixelValueTransformationSequence=_item(RescaleSlope="1", RescaleIntercept="-1024", RescaleType="HU"),
    )
    made.SharedFunctionalGroupsSequence = Sequence([shared])
    made.PerFrameFunctionalGroupsSequence = Sequence(
        [_item(PlanePositionSequence=_item(ImagePositionPatient=one.ImagePositionPatient)) for one in slices]
    )
    for name in (
        "PixelSpacing",
        "ImageOrientationPatient",
        "ImagePositionPatient",
        "RescaleSlope",
        "RescaleIntercept",
    ):
        delattr(made, name)
    return made


def _item(**attributes: Any) -> Dataset:
    made = Dataset()
    for name, value in attributes.items():
        setattr(made, name, Sequence([value]) if isinstance(value, Dataset) else value)
    return made


def test_a_dose_is_scaled() -> None:
    """An RT Dose's frames lie at its offsets, its values are scaled to its unit."""
    path = str(get_testdata_file("rtdose.dcm"))
    found, stored = volume(path), pydicom.dcmread(path)
    assert found.unit == stored.DoseUnits == "RELATIVE"
    assert np.allclose(found.array, stored.pixel_array * float(stored.DoseGridScaling))
    assert np.allclose(found.affine[:3, 3], stored.ImagePositionPatient)
    assert np.isclose(abs(found.affine[2, 0]), abs(stored.GridFrameOffsetVector[1] - stored.GridFrameOffsetVector[0]))


def _theirs(slices: list[Dataset]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return highdicom.get_volume_from_series(slices, apply_real_world_transform=False, dtype=np.float64)


def test_real_series_agree_with_highdicom() -> None:
    """Every series of the corpus that highdicom makes a volume of is the same volume here, voxel by voxel."""
    root = corpus.corpus()
    groups: dict[str, list[Dataset]] = defaultdict(list)
    with (root / "MANIFEST.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["Modality"] in ("CT", "MR") and row["pixel_decode"] == "ok" and "vr" not in row["shared_path"]:
                groups[row["SeriesInstanceUID"]].append(root / row["shared_path"])  # type: ignore[arg-type]
    compared = refused = 0
    for paths in groups.values():
        if not 3 <= len(paths) <= 48:
            continue
        slices = [read_instance(path) for path in paths]
        try:
            theirs = _theirs(slices)
        except Exception:
            with pytest.raises(InputError):
                volume(slices)
            refused += 1
            continue
        compare(volume(slices), theirs)
        compared += 1
    assert compared >= 5
    assert refused >= 3


def compare(found: Volume, theirs: Any) -> None:
    """Both have the same value at the same place."""
    into = np.round(np.linalg.inv(found.affine) @ theirs.affine, 3)
    array = theirs.array
    if into[0, 0] < 0:
        array, into = array[::-1], into @ np.array([[-1, 0, 0, len(array) - 1], *np.eye(4)[1:]])
    assert np.allclose(into, np.eye(4), atol=2e-3)
    assert np.allclose(found.array, array, rtol=1e-6, atol=1e-3)
