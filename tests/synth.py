"""Synthetic DICOM by number: the same numbers always give the same instance, with a header like a scanner's.

Every person, place and number in it is invented; the names are meant to be found again by leak tests.
"""

from __future__ import annotations

import hashlib
import io
import struct
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

_SOP_CLASS = {
    "CT": "1.2.840.10008.5.1.4.1.1.2",
    "MR": "1.2.840.10008.5.1.4.1.1.4",
    "PT": "1.2.840.10008.5.1.4.1.1.128",
    "CR": "1.2.840.10008.5.1.4.1.1.1",
}
_FAMILY = ("Puigdomènech", "Ferrer", "Casanovas", "Ibarra", "Quintana", "Roca", "Vidal", "Zabaleta")
_GIVEN = ("Montserrat", "Jordi", "Amparo", "Iñaki", "Remei", "Oriol", "Begoña", "Ximena")
_FIRST_DAY = datetime(2019, 3, 4, 8, 17, 23)


def uid(*numbers: int | str) -> str:
    """A UID that these numbers alone decide."""
    return f"1.2.826.0.1.3680043.10.1.{int.from_bytes(_hash(*numbers)[:8])}"


def _hash(*numbers: int | str) -> bytes:
    return hashlib.sha256("/".join(map(str, numbers)).encode()).digest()


def load_instance(
    patient: int = 0,
    study: int = 0,
    series: int = 0,
    instance: int = 0,
    *,
    modality: str = "CT",
    rows: int = 64,
    columns: int = 64,
    private: bool = True,
) -> Dataset:
    """One instance of a patient's study, as pydicom has it; slices of 2.5 mm, one after the other."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    _add_study(ds, patient, study, modality)
    _add_series(ds, patient, study, series, modality)
    _add_image(ds, patient, study, series, instance, rows, columns, modality)
    if private:
        _add_private(ds, patient, instance)
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.SourceApplicationEntityTitle = "CTSCANNER3"
    return ds


def to_bytes(ds: Dataset, **options: Any) -> bytes:
    """The Part 10 file of a data set."""
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True, **options)
    return buffer.getvalue()


def instance_bytes(*numbers: int, **options: Any) -> bytes:
    """The Part 10 file of `load_instance`'s instance."""
    return to_bytes(load_instance(*numbers, **options))


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _add_study(ds: Dataset, patient: int, study: int, modality: str) -> None:
    when = _FIRST_DAY + timedelta(days=97 * study + patient, minutes=11 * study)
    ds.SpecificCharacterSet = "ISO_IR 100"
    ds.StudyInstanceUID = uid(patient, study)
    ds.StudyDate, ds.StudyTime = when.strftime("%Y%m%d"), when.strftime("%H%M%S.%f")
    ds.AccessionNumber = f"ACC{_hash(patient, study).hex()[:9]}"
    ds.StudyID = str(10_000 + 13 * patient + study)
    ds.StudyDescription = "TORAX SIN CONTRASTE" if modality == "CT" else "CRANEO"
    ds.ReferringPhysicianName = "Arrizabalaga^Koldo^^Dr."
    ds.PatientName = f"{_FAMILY[patient % 8]}^{_GIVEN[patient // 8 % 8]}"
    ds.PatientID = f"HC{_hash('patient', patient).hex()[:8]}"
    ds.PatientBirthDate = f"{1940 + patient % 50}0617"
    ds.PatientSex = "FM"[patient % 2]
    ds.PatientAge = f"{79 - patient % 50:03d}Y"
    ds.PatientWeight = str(60 + patient % 30)
    ds.PatientAddress = "Carrer de Muntaner 143, Barcelona"
    ds.InstitutionName = "Hospital General de Sant Pau de Mar"
    ds.InstitutionAddress = "Passeig Marítim 25"
    ds.StationName = "CT03"
    ds.OperatorsName = "Larrea^Nekane"
    request = Dataset()
    request.RequestedProcedureID = f"RP{study}"
    request.ScheduledProcedureStepDescription = "TC torax"
    request.ScheduledProtocolCodeSequence = Sequence([_code("TXSC", "99HOSP", "Torax sin contraste")])
    ds.RequestAttributesSequence = Sequence([request])
    ds.ProcedureCodeSequence = Sequence([_code("RTID", "99HOSP", "TC TORAX")])


def _add_series(ds: Dataset, patient: int, study: int, series: int, modality: str) -> None:
    ds.SeriesInstanceUID = uid(patient, study, series)
    ds.SeriesNumber = series + 1
    ds.Modality = modality
    ds.SeriesDate = ds.StudyDate
    ds.SeriesTime = ds.StudyTime
    ds.SeriesDescription = "Thorax 2.5 B30f"
    ds.ProtocolName = "ThoraxRoutine"
    ds.BodyPartExamined = "CHEST" if modality == "CT" else "HEAD"
    ds.PatientPosition = "HFS"
    ds.Manufacturer = "SIEMENS"
    ds.ManufacturerModelName = "Sensation 64"
    ds.DeviceSerialNumber = "54321"
    ds.SoftwareVersions = "VA10A"
    ds.FrameOfReferenceUID = uid(patient, study, series, "frame")
    ds.PositionReferenceIndicator = ""
    ds.PerformedProcedureStepStartDate = ds.StudyDate
    ds.PerformedProcedureStepStartTime = ds.StudyTime
    ds.PerformedProcedureStepID = f"PPS{series}"
    ds.AnatomicRegionSequence = Sequence([_code("51185008", "SCT", "Chest")])
    if modality == "CT":
        ds.KVP, ds.ConvolutionKernel, ds.GantryDetectorTilt = "120", "B30f", "0"
        ds.XRayTubeCurrent, ds.Exposure, ds.ExposureTime = "187", "94", "500"
        ds.DataCollectionDiameter, ds.ReconstructionDiameter = "500", "350"
        ds.DistanceSourceToDetector, ds.DistanceSourceToPatient = "1040", "570"
        ds.RotationDirection, ds.FilterType, ds.FocalSpots = "CW", "0", "1.2"
        ds.CTDIvol, ds.SpiralPitchFactor, ds.SingleCollimationWidth = 6.32, 1.2, 0.6
        ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "-1024", "1", "HU"
        ds.WindowCenter, ds.WindowWidth = ["40", "-600"], ["400", "1200"]
        ds.WindowCenterWidthExplanation = ["MEDIASTINUM", "LUNG"]
    elif modality == "MR":
        ds.ScanningSequence, ds.SequenceVariant, ds.ScanOptions = "GR", ["SP", "MP"], "IR"
        ds.MRAcquisitionType, ds.MagneticFieldStrength = "3D", "3"
        ds.RepetitionTime, ds.EchoTime, ds.InversionTime, ds.FlipAngle = "2300", "2.98", "900", "9"


def _add_image(
    ds: Dataset, patient: int, study: int, series: int, instance: int, rows: int, columns: int, modality: str
) -> None:
    when = datetime.strptime(ds.StudyDate + ds.StudyTime, "%Y%m%d%H%M%S.%f")
    when += timedelta(seconds=40 + 60 * series + instance * 0.5)
    ds.SOPClassUID = _SOP_CLASS[modality]
    ds.SOPInstanceUID = uid(patient, study, series, instance)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    ds.AcquisitionDate = ds.ContentDate = ds.InstanceCreationDate = when.strftime("%Y%m%d")
    ds.AcquisitionTime = ds.ContentTime = ds.InstanceCreationTime = when.strftime("%H%M%S.%f")
    ds.AcquisitionNumber, ds.InstanceNumber = 2, instance + 1
    ds.SliceThickness, ds.SpacingBetweenSlices, ds.TableHeight = "2.5", "2.5", "144"
    ds.ImagePositionPatient = ["-175", "-175", f"{-300 + 2.5 * instance:g}"]
    ds.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    ds.SliceLocation = f"{-300 + 2.5 * instance:g}"
    ds.PixelSpacing = ["0.683594", "0.683594"]
    references = []
    for other in range(2):
        reference = Dataset()
        reference.ReferencedSOPClassUID = _SOP_CLASS[modality]
        reference.ReferencedSOPInstanceUID = uid(patient, study, series, "scout", other)
        references.append(reference)
    ds.ReferencedImageSequence = Sequence(references)
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = rows, columns
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.PixelData = _pixels(rows, columns, patient, instance)
    ds["PixelData"].VR = "OW"


@lru_cache(maxsize=4)
def _base(rows: int, columns: int) -> np.ndarray:
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    return np.where(x**2 + 1.4 * y**2 < 0.6, 1060 + 60 * np.sin(9 * x) * np.cos(7 * y), 24)


def _pixels(rows: int, columns: int, patient: int, instance: int) -> bytes:
    noise = np.random.default_rng([patient, instance]).normal(0, 12, (rows, columns))
    return np.clip(_base(rows, columns) + noise, 0, 4095).astype("<u2").tobytes()


def _csa_header(ds: Dataset, patient: int) -> bytes:
    """A header of the vendor's form, of fields that name the person and the scanner alone."""
    made = [b"SV10\4\3\2\1", struct.pack("<II", 2, 77)]
    for name, value in (
        ("PatientName", str(ds.PatientName).encode()),
        ("PixelFileName", _hash("csa", patient).hex().encode()),
    ):
        made.append(struct.pack("<64si4siii", name.encode(), 1, b"LO", 19, 1, 77))
        made.append(struct.pack("<4i", len(value), len(value), 77, len(value)) + value + bytes(-len(value) % 4))
    return b"".join(made)


def _add_private(ds: Dataset, patient: int, instance: int) -> None:
    block = ds.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x08, "CS", "IMAGE NUM 4")
    block.add_new(0x10, "OB", _csa_header(ds, patient))
    block = ds.private_block(0x0019, "SIEMENS CT VA0  COAD", create=True)
    block.add_new(0x90, "DS", "0.28")
    block.add_new(0x91, "LO", f"{_FAMILY[patient % 8]}")
    block = ds.private_block(0x0051, "SIEMENS MR HEADER", create=True)
    for number in range(0x08, 0x1A):
        block.add_new(number, "SH", f"P{number}I{instance % 4}")
    nested = Dataset()
    nested.PatientID = ds.PatientID
    nested.InstitutionName = ds.InstitutionName
    ds.private_block(0x0029, "SIEMENS CSA NON-IMAGE", create=True).add_new(0x20, "SQ", Sequence([nested]))
