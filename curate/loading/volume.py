"""`curate.volume`: a series as one array of physical values with its place in the patient."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut

from curate.errors import InputError
from curate.loading import geometry
from curate.loading.geometry import Plane, group
from curate.loading.images import Row, datasets_of, pixels

_MAX_FLOAT32 = 16  # stored bits that float32 scales without visible loss


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """A regular grid of values.

    `array` is (z, y, x): slice, row, column. `affine` (4 x 4) maps such an index to the voxel's centre in
    LPS millimetres: `affine @ (z, y, x, 1)`. Slices that shift along the table (gantry tilt) make it
    oblique, exactly. `unit` is HU, BQML, GY ...: what DICOM states, or empty where it states nothing.
    `instances` are the SOPInstanceUIDs along z.
    """

    array: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    unit: str
    modality: str
    frame_of_reference: str
    instances: tuple[str, ...]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between neighbouring voxels along z, y, x."""
        z, y, x = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(z), float(y), float(x)


def volume(rows: Row | Iterable[Row]) -> Volume:
    """The volume of a series' rows of `images`, in any order, or of one multi-frame row.

    Values are rescaled (PS3.3 C.11.1): Hounsfield units for CT. Nothing is resampled, cropped or clipped.

    Raises:
        InputError: the rows form no regular grid: several series, orientations, sizes, times or units, a
            slice that is missing, colour, or no place in the patient.
    """
    found = datasets_of(rows)
    _one_series(found)
    planes, affine = geometry.ordered(geometry.planes(found))
    scales = [_scale(found[plane.source], plane.frame) for plane in planes]
    return Volume(
        _filled(found, planes, [scale for scale, _ in scales]),
        affine,
        _one(sorted({unit for _, unit in scales}), "units"),
        str(found[0].get("Modality") or ""),
        str(found[0].get("FrameOfReferenceUID") or ""),
        tuple(str(found[plane.source].SOPInstanceUID) for plane in planes),
    )


def _one_series(found: Sequence[Dataset]) -> None:
    if not found:
        raise InputError("There are no rows.", hint="Give the rows of one series.")
    for name, what in (
        ("SeriesInstanceUID", "series"),
        ("FrameOfReferenceUID", "frames of reference"),
        ("Rows", "heights"),
        ("Columns", "widths"),
    ):
        _one(sorted({str(dataset.get(name)) for dataset in found}), what)
    if any(_is_colour(dataset) for dataset in found):
        raise InputError(
            "Colour images form no volume of values.", hint="Read them singly: curate.dicom(row).pixel_array."
        )
    if found[0].get("Modality") == "SEG":
        raise InputError("This is a segmentation.", hint="Use curate.segmentation(row).")
    if "Rows" not in found[0]:
        raise InputError("This series holds no images.", hint="Choose another by its Modality.")


def _is_colour(dataset: Dataset) -> bool:
    palette = "PALETTE" in str(dataset.get("PhotometricInterpretation"))
    return palette or int(dataset.get("SamplesPerPixel") or 1) > 1


def _one(values: Sequence[str], what: str) -> str:
    if len(values) != 1:
        raise InputError(
            f"The rows have {len(values)} {what}.", hint="Give the rows of one series, of one kind."
        )
    return values[0]


Scale = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def _scale(dataset: Dataset, frame: int) -> tuple[Scale, str]:
    """How stored values become physical ones, and their unit."""
    real = group(dataset, frame, "RealWorldValueMappingSequence")
    item = group(dataset, frame, "PixelValueTransformationSequence") or dataset
    if "DoseGridScaling" in dataset:
        return _linear(float(dataset.DoseGridScaling), 0.0), str(dataset.get("DoseUnits") or "")
    if "RescaleSlope" in item:
        return _linear(float(item.RescaleSlope), float(item.get("RescaleIntercept") or 0)), _unit(
            dataset, item
        )
    if dataset.get("ModalityLUTSequence"):
        return lambda values: apply_modality_lut(values, dataset), str(
            dataset.ModalityLUTSequence[0].get("ModalityLUTType") or ""
        )
    if real is not None and "RealWorldValueSlope" in real:
        units = real.get("MeasurementUnitsCodeSequence")
        unit = str(units[0].get("CodeValue") or "") if units else ""
        return _linear(float(real.RealWorldValueSlope), float(real.RealWorldValueIntercept)), unit
    return _linear(1.0, 0.0), _unit(dataset, dataset)


def _linear(slope: float, intercept: float) -> Scale:
    return lambda values: np.asarray(values, np.float64) * slope + intercept


def _unit(dataset: Dataset, item: Dataset) -> str:
    """The unit that is stated; a CT's default (PS3.3 C.8.2.1.1.2) where it has a rescale and says nothing."""
    if dataset.get("Modality") == "PT" and dataset.get("Units"):
        return str(dataset.Units)
    stated = str(item.get("RescaleType") or "")
    localizer = "LOCALIZER" in (dataset.get("ImageType") or ())
    default = "HU" if dataset.get("Modality") == "CT" and "RescaleSlope" in item and not localizer else ""
    return default if stated in ("", "US") else stated


def _filled(
    found: Sequence[Dataset], planes: Sequence[Plane], scales: Sequence[Scale]
) -> npt.NDArray[np.floating[Any]]:
    """The array; each instance is decoded once, and only one is held beside it."""
    first = found[0]
    wide = int(first.get("BitsAllocated") or 32) > _MAX_FLOAT32 and "FloatPixelData" not in first
    shape = len(planes), int(first.Rows), int(first.Columns)
    array = np.empty(shape, np.float64 if wide else np.float32)
    places: dict[int, list[int]] = {}
    for place, plane in enumerate(planes):
        places.setdefault(plane.source, []).append(place)
    for source, targets in places.items():
        decoded = pixels(found[source]).reshape(-1, *shape[1:])
        for place in targets:
            array[place] = scales[place](decoded[planes[place].frame])
    return array
