"""The column `regular_volume` is true exactly where `curate.volume` reads a series, for every kind of series."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from curate.core.errors import InputError
from curate.dicom.geometry.volume_parts import UNREADABLE, part_of
from curate.dicom.geometry.volume_parts import regular as regular_of
from curate.dicom.io.reader import parse
from curate.dicom.keyword_view import Header
from curate.loading.volume import Volume, volume
from tests import corpus, synth
from tests.loading.test_volume import REFUSED, _item, enhanced, series

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of the odd files it reads

COUNT = 6
MOST_BYTES = 6_000_000


def regular(files: Sequence[bytes]) -> tuple[bool | None, float | None]:
    """What intake says of the clean bytes of a series."""
    return regular_of([part_of(Header(parse(data).dataset)) for data in files])


def read(files: Sequence[bytes]) -> Volume | None:
    try:
        return volume(list(files))
    except InputError:
        return None


def dose(orientation: Sequence[float], offsets: Sequence[float], frames: int | None = None) -> Dataset:
    """Planes of 1, 2, 3 ... Gy, 5 rows by 4 columns."""
    made = synth.load_instance(modality="CT", rows=5, columns=4)
    made.Modality, made.SOPClassUID = "RTDOSE", "1.2.840.10008.5.1.4.1.1.481.2"
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    count = len(offsets) if frames is None else frames
    made.NumberOfFrames, made.DoseGridScaling, made.DoseUnits = count, "1", "GY"
    made.ImagePositionPatient, made.ImageOrientationPatient = [-10, -20, 50], list(orientation)
    made.GridFrameOffsetVector = list(offsets)
    for name in ("RescaleSlope", "RescaleIntercept", "RescaleType", "SliceThickness"):
        if name in made:
            delattr(made, name)
    made.PixelData = b"".join(np.full((5, 4), n + 1, "<u2").tobytes() for n in range(count))
    return made


def changed(**values: Any) -> Callable[[str], list[Dataset]]:
    def make(modality: str) -> list[Dataset]:
        slices = series(modality)
        for one in slices:
            for name, value in values.items():
                setattr(one, name, value)
        return slices

    return make


def one_enhanced(modality: str, change: Callable[[Dataset], None] = lambda made: None) -> list[Dataset]:
    made = enhanced(sorted(series("CT"), key=lambda one: int(one.InstanceNumber)))
    made.Modality = modality
    change(made)
    return [made]


def mosaic(modality: str, *, private: bool) -> list[Dataset]:
    slices = series(modality)[:1]
    if private:
        slices[0].private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0A, "US", 16)
    else:
        slices[0].ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    return slices


def fewer_groups(made: Dataset) -> None:
    del made.PerFrameFunctionalGroupsSequence[-1]


def fewer_frames(made: Dataset) -> None:
    made.NumberOfFrames = COUNT - 1


def no_shared_spacing(made: Dataset) -> None:
    del made.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence


def real_world(made: Dataset) -> None:
    del made.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    mapping = _item(RealWorldValueSlope=0.0, RealWorldValueIntercept=0.0)
    made.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence = [mapping]


HFS, HFP, FFS, FFP = (1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0)
KINDS: dict[str, tuple[Callable[[str], list[Dataset]], bool]] = {
    "slices": (series, True),
    "one slice": (lambda modality: series(modality)[:1], True),
    "enhanced": (one_enhanced, True),
    "enhanced, a frame without a place": (lambda m: one_enhanced(m, fewer_groups), False),
    "enhanced, more places than frames": (lambda m: one_enhanced(m, fewer_frames), False),
    "enhanced, no spacing": (lambda m: one_enhanced(m, no_shared_spacing), False),
    "enhanced, a mapping of slope 0": (lambda m: one_enhanced(m, real_world), False),
    "spacing 0": (changed(PixelSpacing=["0", "0.7"]), False),
    "spacing below 0": (changed(PixelSpacing=["-0.7", "0.7"]), False),
    "slope 0": (changed(RescaleSlope="0"), False),
    "intercept alone": (changed(RescaleIntercept=""), True),
    "a mosaic by its type": (lambda m: mosaic(m, private=False), False),
    "a mosaic by its private header": (lambda _: mosaic("MR", private=True), False),
    "palette": (changed(PhotometricInterpretation="PALETTE COLOR"), False),
    "dose, relative": (lambda _: [dose(HFS, [0, 3, 6])], True),
    "dose, absolute": (lambda _: [dose(HFP, [50, 53, 56])], True),
    "dose, neither": (lambda _: [dose(HFS, [7, 10, 13])], False),
    "dose, absolute and oblique": (lambda _: [dose((0.8, 0.6, 0, 0, 0, -1), [50, 53, 56])], False),
    "dose, absolute and tilted": (lambda _: [dose((1, 0, 0, 0, 0.8, 0.6), [50, 53, 56])], False),
    "dose, more frames than offsets": (lambda _: [dose(HFS, [0, 3, 6], 4)], False),
    "dose, fewer frames than offsets": (lambda _: [dose(HFS, [0, 3, 6], 2)], False),
}


@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
@pytest.mark.parametrize("name", KINDS)
def test_the_column_says_what_reading_does(name: str, modality: str) -> None:
    """Generated series of each modality, classic and enhanced."""
    make, expected = KINDS[name]
    files = [synth.to_bytes(one) for one in make(modality)]
    found, (said, spacing) = read(files), regular(files)
    assert (found is not None) is expected
    assert bool(said) is expected
    if found is not None and len(found.instances) > 1:
        assert spacing == pytest.approx(found.spacing_mm[0])


@pytest.mark.parametrize("name", [name for name in REFUSED if name not in ("no rows", "no image", "bad orientation")])
def test_it_is_not_true_of_what_is_refused(name: str) -> None:
    """Whatever `curate.volume` refuses."""
    files = [synth.to_bytes(one) for one in REFUSED[name][0](series())]
    assert read(files) is None
    assert regular(files)[0] is (None if name == "no position" else False)  # nobody can tell, or it is none


@pytest.mark.parametrize("modality", ["CT", "PT"])
def test_an_empty_slope_means_nothing_where_the_class_needs_it(modality: str) -> None:
    """Refused in CT and PET, naming the series; in MR, where none is needed, stored values stay without a unit."""
    slices = changed(RescaleSlope="", RescaleIntercept="", RescaleType="")(modality)
    with pytest.raises(InputError, match=rf"Series {slices[0].SeriesInstanceUID}: .*empty Rescale Slope"):
        volume(slices)
    other = changed(RescaleSlope="", RescaleIntercept="", RescaleType="")("MR")
    assert (volume(other).unit, volume(other).array.max()) == (
        "",
        max(one.pixel_array.max() for one in other),
    )


@pytest.mark.parametrize(
    ("orientation", "offsets", "expected"),
    [
        (HFS, [0, 3, 6], [50, 53, 56]),
        (HFP, [0, 3, 6], [50, 53, 56]),
        (FFS, [0, 3, 6], [50, 47, 44]),  # relative offsets go along the normal
        (FFP, [0, 3, 6], [50, 47, 44]),
        (HFS, [50, 53, 56], [50, 53, 56]),
        (HFP, [50, 53, 56], [50, 53, 56]),
        (FFS, [50, 53, 56], [50, 53, 56]),  # absolute ones are the planes' own z
        (FFP, [50, 47, 44], [50, 47, 44]),
    ],
)
def test_each_plane_of_a_dose_lies_at_its_z(
    orientation: Sequence[float], offsets: Sequence[float], expected: Sequence[float]
) -> None:
    """PS3.3 C.8.8.3.2: head first and feet first, supine and prone."""
    found = volume(dose(orientation, offsets))
    z = {round(float(found.array[n, 0, 0])): float((found.affine @ (n, 0, 0, 1))[2]) for n in range(3)}
    assert [z[value] for value in (1, 2, 3)] == expected


def test_the_column_says_what_reading_does_over_the_corpus() -> None:
    """Real series, whole where they are small."""
    found: dict[str, list[bytes]] = defaultdict(list)
    sizes: dict[str, int] = defaultdict(int)
    for path in sorted(corpus.corpus().rglob("*")):
        if not path.is_file() or path.suffix in (".csv", ".md", ".txt") or path.stat().st_size > MOST_BYTES // 4:
            continue
        data = path.read_bytes()
        try:
            header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
            parse(data)
        except Exception:
            continue
        uid = str(header.get("SeriesInstanceUID"))
        sizes[uid] += len(data)
        if sizes[uid] <= MOST_BYTES:
            found[uid].append(data)
    yes, no, wrong = 0, 0, []
    for uid, files in found.items():
        said = bool(regular(files)[0])
        try:
            volume(files)
            reads = True
        except InputError as error:
            # which decoders are installed no header tells; and no value is written that its VR does not allow
            if "cannot be decoded" in str(error) or UNREADABLE in str(error):
                continue
            reads = False
        yes, no = yes + reads, no + (not reads)
        if said != reads:
            wrong.append(uid[-8:])
    assert wrong == []
    assert yes > 3 and no > 3
