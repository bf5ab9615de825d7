"""What research computes from an instance is the same after the rewriting."""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from curate.deid.rewrite import rewrite
from curate.dicom.model import MalformedError
from tests import corpus, synth
from tests.planter.system import POLICY, context_of

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of the odd files it reads

GEOMETRY = """
    ImagePositionPatient ImageOrientationPatient PixelSpacing SliceThickness SpacingBetweenSlices Rows Columns
    NumberOfFrames ImagerPixelSpacing GantryDetectorTilt PatientPosition ImageOrientationSlide
    TotalPixelMatrixColumns TotalPixelMatrixRows RowPositionInTotalImagePixelMatrix XOffsetInSlideCoordinateSystem
    GridFrameOffsetVector DoseGridScaling DoseUnits DoseType ContourData SegmentNumber ReferencedSegmentNumber
    SegmentationType MaximumFractionalValue DimensionIndexValues DimensionIndexPointer FunctionalGroupPointer
    RescaleSlope RescaleIntercept RescaleType WindowCenter WindowWidth BitsAllocated BitsStored HighBit
    PixelRepresentation PhotometricInterpretation RealWorldValueSlope RealWorldValueIntercept
    EchoTime RepetitionTime InversionTime FlipAngle MagneticFieldStrength KVP Exposure ConvolutionKernel
    InstanceNumber AcquisitionNumber ReferencedROINumber ROINumber BeamMeterset NominalBeamEnergy GantryAngle
    PhysicalDeltaX PhysicalDeltaY RegionLocationMinX0 ScanningSequence SequenceVariant CTDIvol SpiralPitchFactor
""".split()  # noqa: SIM905 - a list of fifty quoted words reads worse
REFERENCES = ("ReferencedSOPInstanceUID", "ReferencedFrameOfReferenceUID", "SourceImageSequence")


def rewritten(data: bytes) -> Dataset:
    made = rewrite(data, context_of(data), POLICY)
    return pydicom.dcmread(io.BytesIO(b"".join(made.chunks)))


def sample() -> list[Path]:
    """A few real files of every folder of the corpus; the test is skipped where that is absent."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted(corpus.corpus().rglob("*")):
        if path.is_file() and path.suffix not in (".csv", ".md", ".txt"):
            folders.setdefault(path.parent, []).append(path)
    return [path for found in folders.values() for path in found[:: max(1, len(found) // 25)]]


def values(dataset: Dataset, path: str = "") -> Iterator[tuple[str, object]]:
    """What of a data set must not change, by path; private and numberless text apart."""
    for element in dataset:
        if element.VR == "SQ":
            for index, item in enumerate(element.value):
                yield from values(item, f"{path}{element.keyword}[{index}].")
        elif element.keyword in GEOMETRY and element.value not in (None, ""):
            with contextlib.suppress(ValueError):  # a number that is none, such as `1A`
                yield path + element.keyword, _comparable(element)


def _comparable(element: DataElement) -> object:
    """Decimal and integer strings as numbers, whatever their spelling."""
    if element.VR not in ("DS", "IS"):
        return element.value
    numbers = [float(number) for number in element.value] if element.VM > 1 else [float(element.value)]
    if element.keyword.startswith("Window"):  # of display: eight digits behind the point could be anything
        numbers = [round(number, 6) for number in numbers]
    return numbers if element.VM > 1 else numbers[0]


def test_geometry_units_and_timing_are_the_same_on_real_files() -> None:
    """Every number that a volume, a dose grid, a segmentation or an uptake value needs is exactly as before."""
    compared, changed, lost = 0, [], []
    for path in sample():
        data = path.read_bytes()
        try:
            after = dict(values(rewritten(data)))
        except MalformedError:
            continue
        before = dict(values(pydicom.dcmread(path, force=True)))
        for place, value in before.items():
            compared += 1
            if place not in after:
                lost.append((path.name, place))
            elif after[place] != value:
                changed.append((path.name, place))
    assert compared > 4000
    assert not changed, changed[:20]
    assert len(lost) <= compared * 0.001, lost[:20]


def test_references_still_resolve() -> None:
    """An instance that a segmentation, report or structure set names is named by its new UID."""
    named, resolved = 0, 0
    renamed: dict[str, str] = {}
    wanted: list[tuple[set[str], set[str]]] = []
    for path in sample():
        data = path.read_bytes()
        try:
            after = rewritten(data)
        except MalformedError:
            continue
        before = pydicom.dcmread(path, force=True)
        if "SOPInstanceUID" in before:
            renamed[before.SOPInstanceUID] = after.SOPInstanceUID
        wanted.append((set(_references(before)), set(_references(after))))
    for olds, news in wanted:
        for old in olds & set(renamed):
            named += 1
            resolved += renamed[old] in news
    assert named > 30
    assert resolved == named


def _references(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ" and element.tag.group % 2 == 0:
            if element.keyword in ("ReferencedStudySequence", "ReferencedPerformedProcedureStepSequence"):
                continue
            for item in element.value:
                yield from _references(item)
        elif element.keyword == "ReferencedSOPInstanceUID":
            yield str(element.value)


def pet(weight: float, dose: float) -> bytes:
    dataset = synth.load_instance(modality="PT")
    dataset.PatientWeight = weight
    dataset.Units = "BQML"
    dataset.DecayCorrection = "START"
    dataset.AcquisitionDate, dataset.AcquisitionTime = "20190305", "001500.000"
    dataset.SeriesDate, dataset.SeriesTime = "20190305", "001000"
    dose_item = Dataset()
    dose_item.RadiopharmaceuticalStartTime = "231000.00"
    dose_item.RadiopharmaceuticalStartDateTime = "20190304231000.00"
    dose_item.RadionuclideTotalDose = dose
    dose_item.RadionuclideHalfLife = 6586.2
    dataset.RadiopharmaceuticalInformationSequence = [dose_item]
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def suv(dataset: Dataset, stored: float) -> float:
    """SUVbw of a stored value, with the decay from injection to series."""
    item = dataset.RadiopharmaceuticalInformationSequence[0]
    start = pydicom.valuerep.DT(str(item.RadiopharmaceuticalStartDateTime))
    series = pydicom.valuerep.DT(dataset.SeriesDate + dataset.SeriesTime)
    seconds = (series - start).total_seconds()
    dose = float(item.RadionuclideTotalDose) * 2 ** (-seconds / float(item.RadionuclideHalfLife))
    activity = stored * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
    return activity * float(dataset.PatientWeight) * 1000 / dose


@pytest.mark.parametrize(("weight", "dose"), [(74.6, 370_000_000.0), (40.2, 212_345_678.0), (119.5, 3.5e8)])
def test_uptake_values_are_within_the_rounding_of_the_weight(weight: float, dose: float) -> None:
    """SUVbw changes by no more than the weight's rounding to 1 kg; injection time across midnight included."""
    data = pet(weight, dose)
    before, after = pydicom.dcmread(io.BytesIO(data)), rewritten(data)
    assert after.PatientWeight == round(weight)
    assert after.PatientAge if "PatientAge" in after else True
    relative = suv(after, 1000) / suv(before, 1000)
    assert abs(relative - round(weight) / weight) < 1e-5
    codes = [item.CodeValue for item in after.DeidentificationMethodCodeSequence]
    assert "113108" in codes


def test_a_ct_keeps_no_weight() -> None:
    """The weight stays in quantitative objects alone."""
    dataset = synth.load_instance(modality="CT")
    dataset.PatientWeight = 74.6
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    assert "PatientWeight" not in rewritten(stream.getvalue())


def test_a_diffusion_direction_in_a_private_block_stays() -> None:
    """A b-value and a direction of an older scanner stay readable, with their block's creator."""
    dataset = synth.load_instance(modality="MR", private=False)
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "1000")
    block.add_new(0x0E, "FD", [0.5, -0.5, 0.70710678])
    block.add_new(0xFF, "LO", "Maria Garcia")
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    kept = rewritten(stream.getvalue()).private_block(0x0019, "SIEMENS MR HEADER")
    assert int(kept[0x0C].value) == 1000
    assert struct.pack("<3d", *kept[0x0E].value) == struct.pack("<3d", 0.5, -0.5, 0.70710678)
    assert 0xFF not in kept
