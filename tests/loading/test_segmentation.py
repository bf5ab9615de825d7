"""Segmentations become labels on their image's grid; highdicom is the oracle."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from curate.core.errors import InputError
from curate.loading.segmentation import segmentation
from curate.loading.volume import volume
from tests import corpus, synth
from tests.loading.segmented import again, segmented

SHAPE = 6, 12, 10


@pytest.fixture(scope="module")
def slices() -> list[Dataset]:
    """A CT series of six slices, in no order."""
    found = [synth.load_instance(0, 0, 0, n, rows=SHAPE[1], columns=SHAPE[2]) for n in range(SHAPE[0])]
    return [found[n] for n in (3, 0, 5, 1, 4, 2)]


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    """Two parts, of which the first and last slices show nothing."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:4, 2:7, 1:5] = 1
    labels[2:5, 8:11, 4:9] = 2
    return labels


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_labels_lie_on_the_images_grid(slices: list[Dataset], truth: np.ndarray, kind: str) -> None:
    """With its image a segmentation has the image's shape and affine, empty slices included."""
    seg = segmented(slices, truth, kind, 2)
    image = volume(slices)
    found = segmentation(seg, image)
    assert np.array_equal(found.labels, truth)
    assert np.array_equal(found.affine, image.affine)
    assert found.fractions is None
    assert [(one.number, one.property_type, one.property_meaning) for one in found.segments] == [
        (1, "SCT:10200004", "Liver"),
        (2, "SCT:78961009", "Spleen"),
    ]
    assert np.array_equal(segmentation(seg, slices, segments=[2]).labels, truth * (truth == 2))


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_the_own_grid_agrees_with_highdicom(slices: list[Dataset], truth: np.ndarray, kind: str) -> None:
    """Without its image, labels and affine are those of highdicom's volume of the same segmentation."""
    seg = segmented(slices, truth, kind, 2)
    found = segmentation(seg)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = highdicom.seg.Segmentation.from_dataset(seg).get_volume(combine_segments=True)
    same(found, theirs)


def same(found: Any, theirs: Any) -> None:
    """The same value at the same place: theirs may run through the slices the other way."""
    into = np.linalg.inv(found.affine) @ theirs.affine
    array = theirs.array
    if into[0, 0] < 0:
        array, into = (
            array[::-1],
            into @ np.array([[-1, 0, 0, array.shape[0] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
        )
    assert np.allclose(into[:, :3], np.eye(4)[:, :3], atol=1e-6)
    z = round(float(into[0, 3]))
    assert np.allclose(into[1:3, 3], 0, atol=1e-6)
    ours = found.labels[z : z + len(array)] if z >= 0 else np.concatenate([np.zeros_like(array[:-z]), found.labels])
    assert np.array_equal(ours, array)
    assert found.labels.sum() == array.sum()


def test_fractions_keep_their_values(slices: list[Dataset], truth: np.ndarray) -> None:
    """A fractional segmentation gives a value from 0 to 1 for each segment; labels are those of a half or more."""
    fractions = np.zeros((*SHAPE, 2), np.float32)
    fractions[1:4, 2:7, 1:5, 0], fractions[2:5, 2:7, 1:5, 1] = 0.6, 0.3
    fractions[2, 3, 3] = (0.2, 0.8)
    seg = segmented(slices, fractions, "FRACTIONAL", 2, fractional_type="PROBABILITY", max_fractional_value=200)
    found = segmentation(seg, slices)
    assert found.fractions is not None
    assert np.abs(found.fractions - np.moveaxis(fractions, -1, 0)).max() < 0.0026
    expected = (fractions[..., 0] >= 0.5).astype(int)
    expected[2, 3, 3] = 2
    assert np.array_equal(found.labels, expected)


def test_overlapping_segments_are_asked_for_one_by_one(slices: list[Dataset]) -> None:
    """One label cannot show two segments: refused, and possible singly."""
    both = np.zeros((*SHAPE, 2), np.uint8)
    both[1:4, 2:7, 1:5, 0] = both[3:5, 4:9, 2:6, 1] = 1
    seg = segmented(slices, both, "BINARY", 2)
    with pytest.raises(InputError, match="overlaps another one") as told:
        segmentation(seg, slices)
    assert "segments=[2]" in told.value.hint
    for number in (1, 2):
        assert np.array_equal(segmentation(seg, slices, segments=[number]).labels, both[..., number - 1] * number)
    with pytest.raises(InputError, match="no segment 7"):
        segmentation(seg, slices, segments=[7])


def test_another_image_is_refused(slices: list[Dataset], truth: np.ndarray) -> None:
    """An image of another patient, size, or spacing is not what was segmented."""
    seg = segmented(slices, truth, "BINARY", 2)

    def changed(**attributes: Any) -> list[Dataset]:
        found = [pydicom.dcmread(again(one)) for one in slices]
        for one in found:
            for name, value in attributes.items():
                setattr(one, name, value)
        return found

    with pytest.raises(InputError, match="different frames of reference"):
        segmentation(seg, changed(FrameOfReferenceUID=synth.uid("other")))
    with pytest.raises(InputError, match="not lie on the image's grid"):
        segmentation(seg, changed(PixelSpacing=["0.7", "0.7"]))
    with pytest.raises(InputError, match="not lie on the image's grid"):
        segmentation(seg, sorted(slices, key=lambda one: one.InstanceNumber)[3:])
    with pytest.raises(InputError, match="holds no segmentation"):
        segmentation(slices[0])
    with pytest.raises(InputError, match=r"Use|segmentation"):
        volume(seg)


def _paths() -> list[Path]:
    if not corpus.ROOT.is_dir():
        return [Path(str(get_testdata_file("liver_1frame.dcm")))]
    with (corpus.ROOT / "MANIFEST.csv").open(newline="") as file:
        return [corpus.ROOT / row["shared_path"] for row in csv.DictReader(file) if row["Modality"] == "SEG"]


@pytest.mark.parametrize("path", _paths(), ids=lambda path: path.name)
def test_real_segmentations(path: Path) -> None:
    """Each SEG of the corpus gives labels, or says why not; what highdicom reads of them is the same."""
    seg = pydicom.dcmread(path)
    try:
        found = segmentation(seg)
    except InputError as told:
        assert any(text in str(told) for text in ("overlaps", "slides, or of several images")), told
        return
    values = np.unique(found.labels)
    assert set(values) <= {0, *(one.number for one in found.segments)}
    assert found.labels.any()
    if found.affine is None or seg.get("SegmentationType") == "FRACTIONAL":
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs = highdicom.seg.Segmentation.from_dataset(seg).get_volume(combine_segments=True)
        except Exception:
            return  # the oracle refuses it
    same(found, theirs)
