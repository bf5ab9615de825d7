"""What is decided by hand about the allow-list: edit this, then run `regenerate_profile`."""

# ruff: noqa: E501 - a rule a line reads better than a rule over several
from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent

IODS = [
    "computed-radiography-image",
    "ct-image",
    "mr-image",
    "nuclear-medicine-image",
    "ultrasound-image",
    "ultrasound-multi-frame-image",
    "secondary-capture-image",
    "multi-frame-grayscale-byte-secondary-capture-image",
    "multi-frame-grayscale-word-secondary-capture-image",
    "multi-frame-true-color-secondary-capture-image",
    "multi-frame-single-bit-secondary-capture-image",
    "x-ray-angiographic-image",
    "x-ray-radiofluoroscopic-image",
    "rt-image",
    "rt-dose",
    "rt-structure-set",
    "rt-plan",
    "rt-ion-plan",
    "positron-emission-tomography-image",
    "digital-x-ray-image",
    "digital-mammography-x-ray-image",
    "vl-whole-slide-microscopy-image",
    "vl-microscopic-image",
    "vl-slide-coordinates-microscopic-image",
    "grayscale-softcopy-presentation-state",
    "color-softcopy-presentation-state",
    "pseudo-color-softcopy-presentation-state",
    "blending-softcopy-presentation-state",
    "xa-xrf-grayscale-softcopy-presentation-state",
    "advanced-blending-presentation-state",
    "enhanced-sr",
    "comprehensive-sr",
    "comprehensive-3d-sr",
    "extensible-sr",
    "key-object-selection-document",
    "mammography-cad-sr",
    "chest-cad-sr",
    "colon-cad-sr",
    "x-ray-radiation-dose-sr",
    "radiopharmaceutical-radiation-dose-sr",
    "acquisition-context-sr",
    "enhanced-mr-image",
    "mr-spectroscopy",
    "enhanced-mr-color-image",
    "enhanced-ct-image",
    "spatial-registration",
    "deformable-spatial-registration",
    "spatial-fiducials",
    "real-world-value-mapping",
    "enhanced-xa-image",
    "enhanced-xrf-image",
    "segmentation",
    "x-ray-3d-angiographic-image",
    "breast-tomosynthesis-image",
    "enhanced-pet-image",
    "surface-segmentation",
    "enhanced-us-volume",
    "intravascular-optical-coherence-tomography-image",
    "legacy-converted-enhanced-ct-image",
    "legacy-converted-enhanced-mr-image",
    "legacy-converted-enhanced-pet-image",
    "breast-projection-x-ray-image",
    "parametric-map",
    "tractography-results",
    "planar-mpr-volumetric-presentation-state",
    "microscopy-bulk-simple-annotations",
    "photoacoustic-image",
    "confocal-microscopy-image",
    "confocal-microscopy-tiled-pyramidal-image",
    "height-map-segmentation",
]

MODULES_LEFT_OUT = (
    "patient", "clinical-trial-subject", "clinical-trial-study", "clinical-trial-series", "overlay-plane",
    "patient-study", "waveform", "enhanced-patient-orientation", "hanging-protocol-definition",
)  # fmt: skip

# Attributes of the modules left out, and ones outside the modules that real files carry.
MORE = [
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "BurnedInAnnotation",
    "RecognizableVisualFeatures",
    "PatientOrientationCodeSequence",
    "PatientOrientationModifierCodeSequence",
    "PatientGantryRelationshipCodeSequence",
    "CodeValue",
    "CodingSchemeDesignator",
    "CodingSchemeVersion",
    "CodeMeaning",
    "MappingResource",
    "ContextIdentifier",
    "LongCodeValue",
    "ContextUID",
    "MappingResourceUID",
    "ExposureDoseSequence",
    "RadiationMode",
    "AcquisitionType",
    "SingleCollimationWidth",
    "TotalCollimationWidth",
    "TableSpeed",
    "TableFeedPerRotation",
    "SpiralPitchFactor",
    "ExposureModulationType",
    "EstimatedDoseSaving",
    "CTDIvol",
    "RevolutionTime",
    "AcquisitionDuration",
    "ScanLength",
    "ModalitiesInStudy",
    "SOPClassesInStudy",
    "PatientPosition",
    "ImageRotation",
    "RadionuclideCodeSequence",
    "RadionuclideHalfLife",
    "RadionuclidePositronFraction",
    "RadionuclideTotalDose",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
    "RadiopharmaceuticalStopTime",
    "RadiopharmaceuticalStopDateTime",
    "RadiopharmaceuticalVolume",
    "RadiopharmaceuticalSpecificActivity",
    "EchoTime",
    "RepetitionTime",
    "InversionTime",
    "NumberOfTemporalPositions",
    "TemporalPositionIdentifier",
    "InStackPositionNumber",
    "DiffusionBValue",
    "DiffusionGradientOrientation",
    "LargestImagePixelValue",
    "SmallestImagePixelValue",
    "UltrasoundColorDataPresent",
    "PhysicalUnitsXDirection",
    "NumberOfFrames",
    "FrameIncrementPointer",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "SeriesType",
    "Units",
    "CountsSource",
    "FrameReferenceTime",
    "DecayFactor",
    "DoseCalibrationFactor",
    "ScatterFractionFactor",
    "DeadTimeFactor",
    "SliceVector",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "SpacingBetweenSlices",
    "TriggerTime",
    "NominalInterval",
    "CardiacNumberOfImages",
    "HeartRate",
    "LowRRValue",
    "HighRRValue",
    "IntervalsAcquired",
    "IntervalsRejected",
    "PVCRejection",
    "SkipBeats",
    "BeatRejectionFlag",
    "AnatomicRegionSequence",
    "PrimaryAnatomicStructureSequence",
    "ReferencedSOPClassUID",
    "ReferencedSOPInstanceUID",
    "ReferencedFrameNumber",
    "ReferencedSegmentNumber",
    "PixelAspectRatio",
    "AngularPosition",
    "BeamDoseSpecificationPoint",
    "TotalNumberOfExposures",
    "TransferSyntaxUID",
    "ExposureIndex",
    "DeviationIndex",
    "TargetExposureIndex",
    "DistanceSourceToDetector",
    "DistanceSourceToPatient",
    "EstimatedRadiographicMagnificationFactor",
    "BodyPartThickness",
    "CompressionForce",
    "RelativeXRayExposure",
    "EntranceDoseInmGy",
    "OrganDose",
    "HalfValueLayer",
    "AnodeTargetMaterial",
    "FilterMaterial",
    "FilterThicknessMinimum",
    "FilterThicknessMaximum",
    "ImageAndFluoroscopyAreaDoseProduct",
    "DoseType",
    "DoseUnits",
    "DoseComment",
    "GridFrameOffsetVector",
]
MORE = [keyword for keyword in MORE if keyword not in ("TransferSyntaxUID", "SOPClassesInStudy", "DoseComment")]

NEVER = [
    re.compile(pattern)
    for pattern in (
        r"^Selector", r"^Private|PrivateCreator|PrivateElement|PrivateDataElement", r"Signature|Encrypted|^MAC",
        r"Retriev|WADO|XDS", r"^Issuer|Issuer", r"Calendar", r"Breed|Species|Strain|GeneticMod",
        r"PatientBodyMassIndex|PatientSize|MeasuredAP|MeasuredLateral", r"^HL7", r"DeviceAlternate",
        r"TypeOfPatientID|StorageMedia|Consent|ResponsiblePerson|Assigning|UniversalEntity|LocalNamespace",
        r"ResponsibleGroup|RequestingService|GroupOfPatients|PatientGroup|Order(Filler|Placer)",
        r"ReasonFor", r"IdentifierTypeCode", r"CodingSchemeIdentification|CodingSchemeResources|CodingSchemeURL",
        r"Certificate|CertifiedTimestamp", r"TextObject|TextStyle|GraphicAnnotationSequence", r"SetupPhoto",
        r"ParticipationType|ObserverType|OrganizationalRole", r"Instance(Origin|Coercion)",
        r"ReferencedRequest|RequestAttributes", r"DeidentificationAction|PatientAlternative",
        r"LensMake|Camera", r"ReferencedWaveform", r"^Issue", r"^Histogram", r"DocumentClassCode|StructuredDocument",
        r"PhotoSequence", r"SeriesDescriptionCodeSequence", r"Identical", r"ClinicalTrial",
        r"QueryRetrieveView|TemplateType", r"TextValue", r"ContextGroup(Ext|Id)|MappingResource(Id|Name)",
    )
]  # fmt: skip

WHY_GEOMETRY = "geometry"
# Decimal strings keep six significant digits, these all: what a volume, a value or a dose is computed from.
EXACT = re.compile(
    r"^((Image|RTImage)(Position|Orientation)|(Imager|NominalScanned)?PixelSpacing|ImagePlanePixelSpacing|"
    r"SliceThickness|SpacingBetweenSlices|SliceLocation|[XYZ]OffsetInSlide|GridFrameOffsetVector|ContourData|"
    r"FrameOfReferenceTransformationMatrix|Isocenter|DoseReferencePointCoordinates|BeamDoseSpecificationPoint|"
    r"(LeafJawPositions|LeafPositionBoundaries|BlockData)$|(.*Meterset(Weight)?$)|"
    r"Rescale|RealWorldValue(Slope|Intercept|LUTData)|DoseGridScaling|DVHDoseScaling|"
    r"ImagingFrequency|DistanceSourceToDetector|DistanceSourceToPatient|ReconstructionDiameter|"
    r"RadionuclidePositronFraction|PixelAspectRatio|DiffusionGradient|DiffusionBValue)"
)
ORDINALS = (
    r"^(Referenced)?(ROI|Beam|FractionGroup|DoseReference|ToleranceTable|PatientSetup|Wedge|Source|"
    r"BrachyApplicationSetup|RangeShifter|LateralSpreadingDevice|RangeModulator|ReferenceImage)Number$|"
    r"^(Observation|Contour|Compensator|Block|ApplicationSetup|Template|BrachyAccessoryDevice|Channel|"
    r"SourceApplicator|ApplicatorShapeReferencedROI|TransferTube|ChannelShield|GeneralAccessory|Lesion|Stage|View|"
    r"Fraction|CurrentFraction)Number$|^TemporalPositionIdentifier$"
)
# Ranges by keyword, first match wins: from physics, or from what the module lets the attribute hold, so that no device's
# value is lost; seven digits at most, too narrow for an identifier of eight. `measured` and `big` allow larger numbers and
# round them to six significant digits, from 10^7 on to four; `measured` keeps all digits below 10^6.
NUMBERS = [
    (re.compile(pattern), form, low, high, why)
    for pattern, form, low, high, why in (
        # quantities with many digits
        (r"RadionuclideTotalDose|SpecificActivity|CountsAccumulated|SyringeCounts|^CountRate", "big", 0, 1e15, "activity and counts"),
        (r"HalfLife", "big", 0, 1e9, "decay"),
        (r"ActualFrameDuration|FrameReferenceTime|FrameAcquisitionDuration|^FrameTime$|FrameDelay|AcquisitionDuration|ExclusionDuration|ExposureTimeInuS|XRayTubeCurrentInuA|ExposureInuAs|TemporalPositionTimeOffset|^TriggerTime|EventTimeOffset|TimeSlotTime|RWaveTimeVector", "big", -1e9, 1e9, "timing and exposure"),
        (r"TableOfPixelValues", "big", 0, 1e7, "ultrasound table"),
        (r"^Window(Center|Width)$", "measured", -1e12, 1e12, "display of pixel values, in their unit"),
        (r"^(Double)?FloatPixelPadding(Value|RangeLimit)$", "padding", -3.4e38, 3.4e38, "pixels that are none"),
        (r"^DoubleFloatRealWorldValue|StoredValueMapped$", "measured", -1e39, 1e39, "pixel values"),
        (r"^NumericValue$|^FloatingPointValue$|^RationalNumeratorValue$", "measured", -1e15, 1e15, "measurement, in any unit"),
        (r"^RationalDenominatorValue$", "measured", 1, 1e15, "measurement, in any unit"),
        # counts: as many as the object holds, in a file of any size that is shared
        (ORDINALS, "order", -1, 99999, "number by which one part of an object refers to another"),
        (r"^NumberOf(Frames|ContourPoints|GraphicPoints|SurfacePoints|Vectors|VolumetricCurvePoints|PolygonalVertices|Annotations|ScanSpotPositions|ControlPoints|TableEntries)$|TotalPixelMatrix(Rows|Columns)|PositionInTotalImagePixelMatrix|DimensionIndexValues|ReferencedFrameNumber|FrameList|FrameOffsetNumber|ImagesInAcquisition|ReferencedContentItemIdentifier|DVHNumberOfBins", "num", -9999999, 9999999, "count or order"),
        (r"^(ROINumber|ContourNumber|ObservationNumber|ReferencedROINumber|SurfaceNumber|ReferencedSurfaceNumber|InStackPositionNumber|TemporalPosition(Identifier|Index)|NumberOfTemporalPositions)$", "num", -1, 999999, "count, index or order"),
        (r"^(GraphicData|VerticesOf.*|DisplayedArea(TopLeft|BottomRight)HandCorner|BoundingBox(TopLeft|BottomRight)HandCorner|AnchorPoint)$", "num", -9999999, 9999999, "coordinates in a pixel matrix of any size"),
        (r"Spectral|Frequency$|Bandwidth|^ALineRate$", "num", -9999999, 9999999, "frequency"),
        # geometry and slice order
        (r"^(ImageOrientation|RTImageOrientation|PlaneNormal|SlabOrientation|.*UpDirections|.*(View)?(Height|Width)Direction)", "num", -1.001, 1.001, "orientation"),
        (r"MappingMatrix|TransformationMatrix", "num", -20000, 20000, "transformation between coordinate systems"),
        (r"^PixelSpacing|PixelSpacing$|SpacingBetweenSlices|SliceThickness|ElementSpacing|ElementSize|Thickness", "num", -1000, 1000, WHY_GEOMETRY),
        (r"^(InstanceNumber|SeriesNumber|AcquisitionNumber)$", "order", -32768, 99999, "slice and series order"),
        (r"^(DeviationIndex|PixelIntensityRelationshipSign|.*IncrementSign)$", "num", -1000, 1000, "exposure"),
        (r"Offset|Position|Location|Center|Isocenter|Origin|Point|Coordinate|Distance|SID$|SAD$|SSD$|Height$|Width$|Depth|Displacement|Diameter|Length$|Dimension|BoundaryI|Slab|Boundaries|Extents|Plane$|Edge$|Shift", "num", -20000, 20000, WHY_GEOMETRY),
        (r"Vector$", "num", -20000, 99999, "frame order"),
        (r"Angle|Angulation|Tilt|Slew|Rotation|Azimuth|Swivel|Orientation|Arc$|Trim", "num", -3600, 3600, "angle"),
        # pixel description
        (r"^(BitsAllocated|BitsStored|HighBit|SamplesPerPixel|PlanarConfiguration|PixelRepresentation)$", "num", 0, 64, "pixel description"),
        (r"^(Rows|Columns)$", "num", 0, 65535, "pixel description"),
        (r"^(Double)?Float", "measured", -1e39, 1e39, "pixel values"),
        (r"PixelValue|PixelPadding|StoredValue|ValueMapped|BinValue|LUTDescriptor|LookupTableDescriptor|MaximumFractionalValue", "num", -9999999, 9999999, "pixel values"),
        (r"^Rescale|RealWorldValue(Slope|Intercept|LUTData)|DoseGridScaling|DVHDoseScaling", "num", -9999999, 9999999, "meaning of pixel values"),
        (r"CIELab", "num", 0, 65535, "display colour"),
        (r"FrameNumber|FramesIn|Index$|IndexValues|Number$|Numbers$|^NumberOf|^Number|Count$|Items$|Id$|Columns$|Rows$|Steps", "num", -1, 99999, "count, index or order"),
        (r"DecayFactor|DoseCalibrationFactor|ScatterFraction|DeadTimeFactor|SensitivityFactor", "measured", 0, 1e15, "quantification"),
        # MR
        (r"^(EchoTime|RepetitionTime|InversionTime|EffectiveEchoTime)", "num", 0, 99999, "MR timing"),
        (r"DiffusionBValue", "num", -99999, 99999, "diffusion weighting"),
        (r"DiffusionGradient", "num", -1.1, 1.1, "diffusion direction"),
        (r"MagneticFieldStrength", "num", 0, 30000, "field strength"),
        (r"FlipAngle", "num", -720, 720, "MR flip angle"),
        # X-ray
        (r"^KVP$|Energy", "num", 0, 99999, "X-ray or beam energy"),
        (r"^(Exposure|XRayTube|GeneratorPower|ExposureTime|ExposureIn|RelativeXRay)", "num", 0, 9999999, "X-ray exposure"),
        (r"Dose|CTDIvol|Kerma|Meterset|Fluence", "num", -1000, 9999999, "dose, in any unit"),
        (r"^(ContourData|BlockData|LeafJaw|ScanSpot|Compensator)", "num", -99999, 99999, "contours and shapes"),
        (r"^Region|^ReferencePixel|^PhysicalDelta|^TMLine|^Doppler", "num", -9999999, 9999999, "ultrasound regions"),
        (r"^PixelComponentMask$|^LinePattern$", "num", 0, 65535, "bits"),
        (r"Percent|Fraction|Ratio|Factor|Opacity|Weight|Transmission", "num", -1000, 20000, "ratio"),
        (r"HeartRate|CineRate|FrameRate|RRValue|RRInterval|Interval", "num", 0, 20000, "physiology and timing"),
        (r"Time|Duration|Delay", "num", -99999, 99999, "timing"),
        (r"DVHData", "measured", -1, 1e9, "dose-volume histogram"),
    )
]  # fmt: skip

TERMS = ("terms", "text rebuilt from the vocabulary of acquisition terms")
DATE, TIME, DT = (("date", "interval"), ("time", "interval"), ("datetime", "interval"))
VENDOR, MODEL, SOFTWARE = (
    ("vendor", "harmonisation: vendor"),
    ("model", "harmonisation: model"),
    ("software", "harmonisation: software"),
)
LABEL = ("label", "identifier that other instances refer to, keyed where it is no single digit")
COIL = ("coil", "coil's name from a closed list")


def ordinal(letter: str) -> tuple[str, str]:
    """A label that only its own instance refers to."""
    return f"ordinal({letter})", "label within the object, renamed by its order"


UID = ("uid", "keyed identifier")
STANDARD_UID = ("uid-standard", "UID registered by the standard")

GRAMMARS: dict[str, tuple[str, str]] = {
    "ConvolutionKernelGroup": ("words(BRAIN,SOFT_TISSUE,LUNG,BONE,CONSTANT_ANGLE)", "enumerated term"),
    "OrganExposed": ("words(BREAST,GONADS,BONE MARROW,FETUS,LENS)", "enumerated term"),
    "SpecificCharacterSet": ("charset", "what is written is ASCII"),
    "PatientName": ("empty", "Table E.1-1"),
    "PatientID": ("donor", "keyed pseudonym of the donor"),
    "PatientBirthDate": ("empty", "Table E.1-1"),
    "PatientSex": ("empty", "Table E.1-1; the manifest states it"),
    "PatientWeight": ("weight", "SUV: rounded to 1 kg, in PT and quantitative NM only"),
    "PatientIdentityRemoved": ("const(YES)", "PS3.15 E.1.1"),
    "DeidentificationMethod": ("const(DICOM PS3.15 Table E.1-1 2026d)", "PS3.15 E.1.1"),
    "LongitudinalTemporalInformationModified": ("longitudinal", "PS3.15 E.3.6"),
    "ConvolutionKernel": ("kernel", "reconstruction kernel"),
    "SequenceName": ("sequence", "pulse sequence"),
    "PulseSequenceName": ("sequence", "pulse sequence"),
    "ImagedNucleus": ("nucleus", "MR nucleus"),
    "PositionReferenceIndicator": ("words(SN,OM,IC,XY,NA,SLIDE_CORNER,CM,XIPHOID)", "slice order"),
    "RescaleType": ("rescale", "units"),
    "ModalityLUTType": ("rescale", "units"),
    "ROIName": ("roi", "TG-263 name or a number"),
    "SegmentLabel": ("segment", "name from the vocabulary, or a number"),
    "BodyPartExamined": ("bodypart", "region, not finer than the manifest's"),
    "PatientSpeciesDescription": ("never", ""),
    "CodeValue": ("code", "code of a known scheme"),
    "LongCodeValue": ("code", "code of a known scheme"),
    "CodingSchemeDesignator": ("scheme", "known coding schemes"),
    "CodingSchemeVersion": ("version", "version of a coding scheme"),
    "CodeMeaning": ("meaning", "meaning from the table of known codes"),
    "ContextIdentifier": ("cid", "context group of PS3.16"),
    "TemplateIdentifier": ("cid", "template of PS3.16"),
    "ICCProfile": ("icc", "colour calibration, rebuilt from its numbers"),
    "PixelData": ("pixels", "the image"),
    "FloatPixelData": ("pixels", "the image"),
    "DoubleFloatPixelData": ("pixels", "the image"),
    "SpectroscopyData": ("floats(-1e30,1e30)", "the spectra"),
    "ExtendedOffsetTable": ("drop", "rebuilt by readers from the fragments"),
    "ExtendedOffsetTableLengths": ("drop", "rebuilt by readers from the fragments"),
    "RadionuclideCodeSequence": ("items", "SUV: which nuclide"),
    "ContentSequence": ("items", "coded content of a report"),
    "AcquisitionContextSequence": ("items", "coded acquisition context"),
    "SpecimenPreparationSequence": ("items", "coded preparation of a specimen"),
    "ReferencedImageSequence": ("items", "references between instances"),
    "SourceImageSequence": ("items", "references between instances"),
    "VerifyingObserverSequence": ("items", "Table E.1-1"),
    "DeidentificationMethodCodeSequence": ("items", "PS3.15 E.1.1"),
    "TimezoneOffsetFromUTC": ("drop", "Table E.1-1"),
    "FillPattern": ("drop", "binary, not needed"),
    "LUTData": ("lut", "meaning of pixel values"),
    "StudyPriorityID": ("never", ""),
    "ContentLabel": ("content", "kind of content, or a constant"),
    "GraphicLayer": ordinal("L"),
    "FiducialIdentifier": ordinal("F"),
    "StackID": ordinal("S"),
    "ToleranceTableLabel": ordinal("T"),
    "WedgeID": ordinal("W"),
    "CompensatorID": ordinal("C"),
    "BlockTrayID": ordinal("B"),
    "ApplicatorID": ordinal("A"),
    "SourceApplicatorID": ordinal("A"),
    "SnoutID": ordinal("N"),
    "RangeShifterID": ordinal("R"),
    "RangeModulatorID": ordinal("M"),
    "LateralSpreadingDeviceID": ordinal("D"),
    "PatientSupportID": ordinal("P"),
    "FluenceModeID": ordinal("F"),
    "TrackingID": ("const(T0)", "label of what is tracked, made of its Tracking UID"),
    "ReceiveCoilName": COIL,
    "TransmitCoilName": COIL,
    "MultiCoilElementName": COIL,
    "MultiCoilConfiguration": COIL,
    "DataPathID": ("cs", "term"),
    "Illumination": ("num(0,65535)", "setting"),
}
for _keyword in ("Manufacturer", "SecondaryCaptureDeviceManufacturer", "DetectorManufacturerName",
                 "ReceiveCoilManufacturerName", "TransmitCoilManufacturerName", "ApplicationManufacturer"):  # fmt: skip
    GRAMMARS[_keyword] = VENDOR
for _keyword in ("ManufacturerModelName", "SecondaryCaptureDeviceManufacturerModelName",
                 "DetectorManufacturerModelName", "ApplicationName"):  # fmt: skip
    GRAMMARS[_keyword] = MODEL
for _keyword in ("SoftwareVersions", "SecondaryCaptureDeviceSoftwareVersions", "ManufacturerModelVersion",
                 "ApplicationVersion", "AlgorithmVersion"):  # fmt: skip
    GRAMMARS[_keyword] = SOFTWARE
for _keyword in [
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "PerformedProcedureStepDescription",
    "ContrastBolusAgent",
    "ContrastBolusRoute",
    "FilterType",
    "AcquisitionProtocolName",
    "AcquisitionProtocolDescription",
    "ReconstructionMethod",
    "ReconstructionDescription",
    "ScatterCorrectionMethod",
    "AttenuationCorrectionMethod",
    "Radiopharmaceutical",
    "RadiopharmaceuticalRoute",
    "CardiacFramingType",
    "PVCRejection",
    "DetectorLinesOfResponseUsed",
    "LUTLabel",
    "LUTExplanation",
    "WindowCenterWidthExplanation",
    "DimensionDescriptionLabel",
    "AlgorithmName",
    "SegmentAlgorithmName",
    "ViewName",
    "EnergyWindowName",
    "StageName",
    "DerivationDescription",
    "RequestedProcedureDescription",
    "RequestedContrastAgent",
    "TypeOfFilters",
    "ContentDescription",
    "AnnotationGroupLabel",
    "StructureSetLabel",
    "RTPlanLabel",
    "RTImageLabel",
    "FrameLabel",
    "TrackSetLabel",
    "ASLTechniqueDescription",
    "PaddleDescription",
    "HistogramExplanation",
    "OpticalPathDescription",
    "DetectorDescription",
    "DetectorMode",
    "FieldOfViewDescription",
    "PlateType",
    "PhosphorType",
    "ImageFilter",
    "ProcessingFunction",
    "SourceIsotopeName",
    "MaterialID",
    "BeamName",
    "GraphicLayerDescription",
    "TriggerSourceOrType",
    "ImageComments",
    "AcquisitionComments",
    "AcquisitionDeviceProcessingDescription",
    "ContrastBolusIngredient",
    "InterventionDrugName",
    "FrameComments",
    "SegmentDescription",
    "GridAbsorbingMaterial",
    "GridSpacingMaterial",
]:
    GRAMMARS.setdefault(_keyword, TERMS)
for _keyword in [
    "OpticalPathIdentifier",
    "ReferencedOpticalPathIdentifier",
    "StackID",
    "EntityLabel",
    "SegmentationTemplateLabel",
]:
    GRAMMARS.setdefault(_keyword, LABEL)
for _keyword in [
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "InstanceCreationDate",
    "StructureSetDate",
    "PresentationCreationDate",
    "RTPlanDate",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepEndDate",
    "Date",
    "TreatmentDate",
]:
    GRAMMARS[_keyword] = DATE
for _keyword in [
    "StudyTime",
    "SeriesTime",
    "AcquisitionTime",
    "ContentTime",
    "InstanceCreationTime",
    "StructureSetTime",
    "PresentationCreationTime",
    "RTPlanTime",
    "PerformedProcedureStepStartTime",
    "PerformedProcedureStepEndTime",
    "Time",
    "TreatmentTime",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStopTime",
    "ContrastBolusStartTime",
    "ContrastBolusStopTime",
]:
    GRAMMARS[_keyword] = TIME
for _keyword in [
    "AcquisitionDateTime",
    "FrameAcquisitionDateTime",
    "FrameReferenceDateTime",
    "StartAcquisitionDateTime",
    "EndAcquisitionDateTime",
    "RadiopharmaceuticalStartDateTime",
    "RadiopharmaceuticalStopDateTime",
    "DecayCorrectionDateTime",
    "DateTime",
    "ObservationDateTime",
    "ExclusionStartDateTime",
    "FunctionalSyncPulse",
    "SourceStartDateTime",
    "SourceEndDateTime",
]:
    GRAMMARS[_keyword] = DT
for _keyword in [
    "ContextUID",
    "MappingResourceUID",
    "CodingSchemeUID",
    "SOPClassUID",
    "ReferencedSOPClassUID",
    "RelatedGeneralSOPClassUID",
    "OriginalSpecializedSOPClassUID",
    "PaletteColorLookupTableUID",
]:
    GRAMMARS[_keyword] = STANDARD_UID
for _keyword in [
    "MultiFrameSourceSOPInstanceUID",
    "RadiopharmaceuticalAdministrationEventUID",
    "ReferencedColorPaletteInstanceUID",
    "ReferencedFiducialUID",
    "SOPInstanceUIDOfConcatenationSource",
    "TableFrameOfReferenceUID",
    "VolumeFrameOfReferenceUID",
    "VolumetricPresentationInputSetUID",
    "EquipmentFrameOfReferenceUID",
]:
    GRAMMARS[_keyword] = UID
for _colour in ("Red", "Green", "Blue", "Alpha"):
    GRAMMARS[f"{_colour}PaletteColorLookupTableData"] = ("lut", "palette")
    GRAMMARS[f"Segmented{_colour}PaletteColorLookupTableData"] = ("lut", "palette")
GRAMMARS["BlendingLookupTableData"] = ("lut", "palette")
GRAMMARS["RecommendedDisplayCIELabValueList"] = ("lut", "palette")
for _keyword in ("AcquisitionProtocolDescription", "RequestedProcedureDescription", "RequestedContrastAgent"):
    GRAMMARS.pop(_keyword)

PRIVATE_SCHEME = re.compile(r"^99|^L$|LOCAL")
MORE_CODES = [
    ("DCM", "113100", "Basic Application Confidentiality Profile"),
    ("DCM", "113104", "Clean Structured Content Option"),
    ("DCM", "113105", "Clean Descriptors Option"),
    ("DCM", "113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    ("DCM", "113108", "Retain Patient Characteristics Option"),
    ("DCM", "113111", "Retain Safe Private Option"),
    ("RFC5646", "en", "English"), ("RFC5646", "es", "Spanish"), ("RFC5646", "ca", "Catalan"),
    ("RFC5646", "fr", "French"), ("RFC5646", "de", "German"), ("RFC5646", "en-US", "English (US)"),
    ("RFC3066", "en", "English"), ("RFC3066", "fr", "French"), ("RFC3066", "de", "German"),
    ("UCUM", "1", "no units"), ("UCUM", "mm", "millimeter"), ("UCUM", "[hnsf'U]", "Hounsfield unit"),
    ("UCUM", "{SUVbw}g/ml", "Standardized Uptake Value body weight"),
]  # fmt: skip

MORE_UIDS = {
    "1.2.840.10008.5.1.4.1.1.66.7": "SOP Class",
    "1.2.840.10008.5.1.4.1.1.66.8": "SOP Class",
    "1.2.840.10008.3.1.2.3.1": "SOP Class",
    "1.2.840.10008.3.1.2.3.3": "SOP Class",
    "1.2.840.10008.3.1.2.1.1": "SOP Class",
}


def ascii_only(text: str) -> str:
    """Without accents and what ASCII lacks."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def code_strings(regions: Iterable[str]) -> dict[str, list[str]]:
    """The closed vocabulary of code strings (`code_strings.txt` beside this file), names of `regions` apart."""
    lines = (HERE / "code_strings.txt").read_text(encoding="utf-8").splitlines()
    found = {part.strip() for line in lines if not line.startswith("#") for part in line.split("|")} - {""}
    body = {term for term in found if term.replace(" ", "") in set(regions)}
    return {"any": sorted(found - body), "body": sorted(body)}
