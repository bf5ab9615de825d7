"""The files that are planted: synthetic ones of each kind of object, and real ones of the shared corpus."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID

from tests.planter.raw import BIG, DEFLATED, EXPLICIT, IMPLICIT, JPEG_2000, JPEG_BASELINE, Draft, read

ROOT = "1.2.826.0.1.3680043.8.498.77"
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
# One or more of each kind, small ones, in as many transfer syntaxes as the corpus has.
REAL = (
    "pydicom+pydicom/src/pydicom/data/test_files/CT_small.dcm",
    "pydicom+pydicom/src/pydicom/data/test_files/MR_small.dcm",
    "pydicom+pydicom/src/pydicom/data/test_files/MR_small_RLE.dcm",
    "pydicom+pydicom/src/pydicom/data/test_files/MR_small_jp2klossless.dcm",
    "pydicom+pydicom/src/pydicom/data/test_files/MR_small_jpeg_ls_lossless.dcm",
    "pydicom+pydicom/src/pydicom/data/test_files/rtplan.dcm",
    "pydicom+pydicom/src/pydicom/data/test_files/rtdose.dcm",
    "ImagingDataCommons+highdicom/data/test_files/dx_image.dcm",
    "ImagingDataCommons+highdicom/data/test_files/seg_image_ct_binary.dcm",
    "ImagingDataCommons+highdicom/data/test_files/seg_image_ct_true_fractional.dcm",
    "ImagingDataCommons+highdicom/data/test_files/sr_document.dcm",
    "QIICR+dcmqi/data/segmentations/23x38x3/multiframe/mf.dcm",
    "QIICR+dcmqi/data/segmentations/sparse-labelmap-ppv5.dcm",
    "QIICR+dcmqi/data/segmentations/23x38x3/image/IMG0001.dcm",
)


def item(**values: Any) -> Dataset:
    """A data set by keyword."""
    made = Dataset()
    for keyword, value in values.items():
        setattr(made, keyword, Sequence(value) if isinstance(value, list) and _items(value) else value)
    return made


def _items(value: list[Any]) -> bool:
    return bool(value) and isinstance(value[0], Dataset)


def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    """A code sequence of one item."""
    return [item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def _common(sop_class: str, modality: str, number: int) -> Dataset:
    return item(
        SpecificCharacterSet="ISO_IR 100",
        SOPClassUID=sop_class,
        SOPInstanceUID=f"{ROOT}.{number}.3",
        StudyInstanceUID=f"{ROOT}.{number}.1",
        SeriesInstanceUID=f"{ROOT}.{number}.2",
        Modality=modality,
        FrameOfReferenceUID=f"{ROOT}.{number}.4",
        StudyDate="20190314",
        SeriesDate="20190314",
        StudyTime="091500",
        SeriesTime="091600",
        AcquisitionDate="20190314",
        AcquisitionTime="091730.250",
        ContentDate="20190314",
        ContentTime="091731",
        PatientName="Doe^Jane",
        PatientID="4711",
        PatientBirthDate="19610203",
        PatientSex="F",
        PatientAge="058Y",
        PatientWeight="71.3",
        StudyID="1",
        SeriesNumber="3",
        InstanceNumber="7",
        AccessionNumber="A77",
        ReferringPhysicianName="Roe^Ann",
        Manufacturer="ACME",
        ManufacturerModelName="One",
        SoftwareVersions="V1",
        PatientPosition="HFS",
        StudyDescription="CT HEAD",
        SeriesDescription="AXIAL 1 mm",
        BodyPartExamined="HEAD",
        PositionReferenceIndicator="",
    )


def _plane(data: Dataset, frames: int = 1, bits: int = 12) -> Dataset:
    generator = np.random.default_rng(7)
    pixels = generator.integers(0, 1 << bits, (frames, 24, 20), dtype=np.uint16)
    data.update(
        item(
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
            Rows=24,
            Columns=20,
            BitsAllocated=16,
            BitsStored=bits,
            HighBit=bits - 1,
            PixelRepresentation=0,
            ImagePositionPatient=[-10.5, 4.0, 22.5],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[0.5, 0.5],
            SliceThickness="1.5",
            WindowCenter="40",
            WindowWidth="400",
        )
    )
    data.add_new(0x7FE00010, "OW", pixels.tobytes())
    return data


def _ct() -> Dataset:
    data = _plane(_common("1.2.840.10008.5.1.4.1.1.2", "CT", 1))
    data.update(
        item(
            KVP="120",
            RescaleIntercept="-1024",
            RescaleSlope="1",
            RescaleType="HU",
            ConvolutionKernel="B30f",
            XRayTubeCurrent="180",
            ExposureTime="500",
            AcquisitionNumber="1",
            SliceLocation="22.5",
            ScanOptions="HELICAL MODE",
            ProtocolName="Head routine",
            GantryDetectorTilt="0",
            CTDIvol=12.5,
            AnatomicRegionSequence=code("69536005", "SCT", "Head"),
            ReferencedImageSequence=[
                item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=ROOT + ".1.9")
            ],
        )
    )
    return data


def _pt() -> Dataset:
    data = _plane(_common("1.2.840.10008.5.1.4.1.1.128", "PT", 2), bits=16)
    pharmaceutical = item(
        RadiopharmaceuticalStartTime="081500",
        RadionuclideTotalDose="370000000",
        RadionuclideHalfLife="6586.2",
        RadionuclidePositronFraction="0.97",
        RadiopharmaceuticalStartDateTime="20190314081500",
        RadionuclideCodeSequence=code("77004003", "SCT", "^18^Fluorine"),
        RadiopharmaceuticalCodeSequence=code("35321007", "SCT", "Fluorodeoxyglucose F^18^"),
    )
    data.update(
        item(
            Units="BQML",
            DecayCorrection="START",
            CorrectedImage=["DECY", "ATTN", "SCAT"],
            FrameTime="120000",
            RescaleIntercept="0",
            RescaleSlope="1.5",
            SeriesType=["STATIC", "IMAGE"],
            NumberOfSlices=47,
            ActualFrameDuration="120000",
            FrameReferenceTime="60000",
            DecayFactor="1.05",
            ImageIndex=7,
            RadiopharmaceuticalInformationSequence=[pharmaceutical],
            RandomsCorrectionMethod="DLYD",
            AttenuationCorrectionMethod="CT",
        )
    )
    return data


def _nm() -> Dataset:
    data = _plane(_common("1.2.840.10008.5.1.4.1.1.20", "NM", 3), frames=2, bits=16)
    data.update(
        item(
            NumberOfFrames="2",
            FrameIncrementPointer=0x00540010,
            EnergyWindowVector=[1, 1],
            NumberOfEnergyWindows=1,
            NumberOfDetectors=1,
            DetectorVector=[1, 2],
            CountsAccumulated="90000",
            EnergyWindowInformationSequence=[
                item(EnergyWindowRangeSequence=[item(EnergyWindowLowerLimit="126", EnergyWindowUpperLimit="154")])
            ],
            DetectorInformationSequence=[item(CollimatorType="PARA", FieldOfViewShape="RECTANGLE")],
        )
    )
    return data


def _enhanced() -> Dataset:
    data = _plane(_common("1.2.840.10008.5.1.4.1.1.4.1", "MR", 4), frames=2)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(data, keyword)
    shared = item(
        PixelMeasuresSequence=[item(PixelSpacing=[0.5, 0.5], SliceThickness="1.5")],
        PlaneOrientationSequence=[item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])],
        MRTimingAndRelatedParametersSequence=[item(RepetitionTime="2000", FlipAngle="90", EchoTrainLength="1")],
        FrameAnatomySequence=[item(FrameLaterality="U", AnatomicRegionSequence=code("69536005", "SCT", "Head"))],
    )
    frames = [
        item(
            FrameContentSequence=[
                item(
                    FrameAcquisitionDateTime="20190314091730",
                    DimensionIndexValues=[1, number],
                    FrameReferenceDateTime="20190314091730",
                    StackID="1",
                    InStackPositionNumber=number,
                )
            ],
            PlanePositionSequence=[item(ImagePositionPatient=[0, 0, 1.5 * number])],
            MREchoSequence=[item(EffectiveEchoTime=30.5)],
        )
        for number in (1, 2)
    ]
    data.update(
        item(
            NumberOfFrames="2",
            SharedFunctionalGroupsSequence=[shared],
            PulseSequenceName="tse",
            PerFrameFunctionalGroupsSequence=frames,
            MagneticFieldStrength="3",
            ResonantNucleus="1H",
            DimensionOrganizationSequence=[item(DimensionOrganizationUID=ROOT + ".4.7")],
            AcquisitionDateTime="20190314091730",
            ContentQualification="PRODUCT",
        )
    )
    return data


def _structures() -> Dataset:
    data = _common("1.2.840.10008.5.1.4.1.1.481.3", "RTSTRUCT", 5)
    contour = item(
        ContourGeometricType="POINT",
        NumberOfContourPoints="1",
        ContourData=[1, 2, 3],
        ContourImageSequence=[
            item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=ROOT + ".1.3")
        ],
    )
    series = item(SeriesInstanceUID=ROOT + ".1.2", ContourImageSequence=list(contour.ContourImageSequence))
    study = item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=ROOT + ".1.1",
        RTReferencedSeriesSequence=[series],
    )
    data.update(
        item(
            StructureSetLabel="SETONE",
            StructureSetName="Set",
            StructureSetDate="20190314",
            StructureSetTime="101010",
            ReferencedFrameOfReferenceSequence=[
                item(FrameOfReferenceUID=ROOT + ".1.4", RTReferencedStudySequence=[study])
            ],
            StructureSetROISequence=[
                item(
                    ROINumber="1",
                    ReferencedFrameOfReferenceUID=ROOT + ".1.4",
                    ROIName="Brain",
                    ROIGenerationAlgorithm="MANUAL",
                )
            ],
            ROIContourSequence=[item(ROIDisplayColor=[255, 0, 0], ReferencedROINumber="1", ContourSequence=[contour])],
            RTROIObservationsSequence=[
                item(
                    ObservationNumber="1",
                    ReferencedROINumber="1",
                    RTROIInterpretedType="ORGAN",
                    ROIInterpreter="Roe^Ann",
                )
            ],
        )
    )
    return data


def _mg() -> Dataset:
    data = _plane(_common("1.2.840.10008.5.1.4.1.1.1.2", "MG", 6))
    data.update(
        item(
            BodyPartExamined="BREAST",
            ImageLaterality="L",
            ViewPosition="CC",
            KVP="28",
            BodyPartThickness="55",
            ViewCodeSequence=code("399162004", "SCT", "cranio-caudal"),
            BurnedInAnnotation="NO",
            PresentationIntentType="FOR PRESENTATION",
            PatientOrientation=["A", "R"],
            AnatomicRegionSequence=code("76752008", "SCT", "Breast"),
        )
    )
    return data


def _presentation() -> Dataset:
    data = _common("1.2.840.10008.5.1.4.1.1.11.1", "PR", 7)
    image = item(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.2", ReferencedSOPInstanceUID=ROOT + ".1.3")
    data.update(
        item(
            ContentLabel="STATE",
            ContentDescription="of note",
            PresentationCreationDate="20190314",
            PresentationCreationTime="101010",
            ContentCreatorName="Roe^Ann",
            PresentationLUTShape="IDENTITY",
            ReferencedSeriesSequence=[item(SeriesInstanceUID=ROOT + ".1.2", ReferencedImageSequence=[image])],
            GraphicLayerSequence=[item(GraphicLayer="ONE", GraphicLayerOrder="1")],
            DisplayedAreaSelectionSequence=[
                item(
                    DisplayedAreaTopLeftHandCorner=[1, 1],
                    DisplayedAreaBottomRightHandCorner=[20, 24],
                    PresentationSizeMode="SCALE TO FIT",
                )
            ],
        )
    )
    return data


def _us_jpeg() -> Dataset:
    data = _plane(_common("1.2.840.10008.5.1.4.1.1.6.1", "US", 8))
    data.update(
        item(
            BitsAllocated=8,
            BitsStored=8,
            HighBit=7,
            LossyImageCompression="01",
            ImageType=["ORIGINAL", "PRIMARY"],
            LossyImageCompressionRatio="10",
            LossyImageCompressionMethod="ISO_10918_1",
        )
    )
    return data


def coded_image(kind: str) -> bytes:
    """A small grey image as JPEG or as a JPEG 2000 codestream."""
    pixels = np.tile(np.arange(0, 240, 12, dtype=np.uint8), (24, 1))
    buffer = io.BytesIO()
    options = {"no_jp2": True} if kind == "JPEG2000" else {"quality": 90}
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def written(data: Dataset, syntax: str = EXPLICIT) -> bytes:
    """A data set as a Part 10 file."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(ROOT + ".9")
    data.file_meta = meta
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(buffer, data, enforce_file_format=True, overwrite=True)
    return buffer.getvalue()


def _coded(data: Dataset, syntax: str, kind: str) -> bytes:
    data.add_new(0x7FE00010, "OB", encapsulate([coded_image(kind)]))
    data["PixelData"].is_undefined_length = True
    return written(data, syntax)


@cache
def synthetic() -> dict[str, bytes]:
    """Files of our own making, by name."""
    return {
        "ct": written(_ct()),
        "pt": written(_pt()),
        "nm": written(_nm()),
        "enhanced-mr": written(_enhanced()),
        "rtstruct": written(_structures()),
        "mg": written(_mg()),
        "pr": written(_presentation()),
        "ct-deflated": written(_ct(), DEFLATED),
        "us-jpeg": _coded(_us_jpeg(), JPEG_BASELINE, "JPEG"),
        "us-j2k": _coded(_us_jpeg(), JPEG_2000, "JPEG2000"),
    }


def _explicit(path: Path) -> bytes:
    """A corpus file as explicit little endian, as pydicom writes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = pydicom.dcmread(path)
        for elem in data.iterall():
            del elem  # reads every value, so that nothing stays in the old encoding
        syntax = data.file_meta.TransferSyntaxUID
        return written(data, syntax if syntax.is_compressed and not syntax.is_deflated else EXPLICIT)


@cache
def real() -> dict[str, bytes]:
    """Files of the corpus, by name; empty where it is absent."""
    return {Path(name).stem: _explicit(CORPUS / name) for name in REAL if (CORPUS / name).exists()}


def drafts() -> list[Draft]:
    """Every base as a draft, some in the older transfer syntaxes as well."""
    made = [read(data, name) for name, data in {**synthetic(), **real()}.items()]
    for name, syntax in (("ct", IMPLICIT), ("ct", BIG), ("rtstruct", IMPLICIT), ("enhanced-mr", BIG)):
        made.append(replace(read(synthetic()[name], f"{name}-{'big' if syntax == BIG else 'implicit'}"), syntax=syntax))
    made.append(replace(read(synthetic()["ct"], "ct-bare"), syntax=IMPLICIT, bare=True))
    return made


def directory(name: str, token: str) -> bytes:
    """A DICOMDIR whose records name a patient."""
    data = item(
        SOPClassUID="1.2.840.10008.1.3.10",
        SOPInstanceUID=ROOT + ".0",
        FileSetID=name[:16],
        DirectoryRecordSequence=[
            item(
                OffsetOfTheNextDirectoryRecord=0,
                RecordInUseFlag=0xFFFF,
                DirectoryRecordType="PATIENT",
                OffsetOfReferencedLowerLevelDirectoryEntity=0,
                PatientName=token,
                PatientID=token,
                ReferencedFileID=["IMAGES", token],
            )
        ],
        OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity=0,
        OffsetOfTheLastDirectoryRecordOfTheRootDirectoryEntity=0,
        FileSetConsistencyFlag=0,
    )
    meta = written(data)
    return meta[:128] + b"DICM" + meta[132:]
