"""What an instance contributes to a volume, by its header alone: whether it can be part of one, its planes, its units.

Intake asks this of what it writes, for the column `regular_volume`; `curate.volume` of what it reads. So the two agree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from curate.core.errors import InputError
from curate.dicom.geometry import mosaics, regular_grid
from curate.dicom.geometry.regular_grid import Plane, group
from curate.dicom.keyword_view import Header

Readable = Dataset | Header
_SAME = (
    ("SeriesInstanceUID", "series"),
    ("FrameOfReferenceUID", "frames of reference"),
    ("Rows", "heights"),
    ("Columns", "widths"),
)
_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
UNREADABLE = "An instance holds a value that its VR does not allow, where its place or its values are stated."


@dataclass(frozen=True, slots=True)
class Scale:
    """How a frame's stored values become physical ones; `table`: through the instance's Modality LUT."""

    slope: float
    intercept: float
    unit: str
    table: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """One instance: what all of a volume share, its planes and their scales; `refusal` says why it is part of none."""

    same: tuple[str, ...]
    planes: tuple[Plane, ...]
    scales: tuple[Scale, ...]
    refusal: tuple[str, str] | None
    placed: bool


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """The planes of a volume in their order, with their scales; the affine as `Volume` has it; the unit."""

    planes: tuple[Plane, ...]
    scales: tuple[Scale, ...]
    affine: npt.NDArray[np.float64]
    unit: str


def part_of(header: Readable) -> Part:
    """What one instance contributes."""
    same = tuple(str(header.get(name)) for name, _ in _SAME)
    placed = False
    try:
        placed = _has_place(header)
        _image_of_values(header)
        planes = tuple(regular_grid.planes([header]))
        groups = header.get("PerFrameFunctionalGroupsSequence")
        if groups and len(groups) != len(planes):
            raise InputError(
                f"An instance states {len(planes)} frames and places {len(groups)}.", hint=regular_grid.WHOLE
            )
        scales = tuple(_shared([scale(header, plane.frame) for plane in planes]))
    except InputError as error:
        return Part(same, (), (), (error.message, error.hint), placed)
    except (TypeError, ValueError):  # pydicom's, of a value that is none of its VR
        return Part(same, (), (), (UNREADABLE, regular_grid.WHOLE), placed)
    return Part(same, planes, scales, None, placed)


def _shared(scales: Sequence[Scale]) -> Sequence[Scale]:
    """Equal scales as one object."""
    known: dict[Scale, Scale] = {}
    return [known.setdefault(one, one) for one in scales]


def grid_of(parts: Sequence[Part]) -> Grid:
    """The grid that the instances of one series form.

    Raises:
        InputError: they form none.
    """
    if not parts:
        raise InputError("There are no rows.", hint="Give the rows of one series.")
    for place, (_, what) in enumerate(_SAME):
        _one({part.same[place] for part in parts}, what)
    for part in parts:
        if part.refusal is not None:
            raise InputError(part.refusal[0], hint=part.refusal[1])
    found = [
        (Plane(source, *_rest(plane)), one)
        for source, part in enumerate(parts)
        for plane, one in zip(part.planes, part.scales, strict=True)
    ]
    order, affine = regular_grid.ordered([plane for plane, _ in found])
    scales = {(plane.source, plane.frame): one for plane, one in found}
    placed = tuple(scales[plane.source, plane.frame] for plane in order)
    _one({one.unit for one in placed}, "units")
    return Grid(tuple(order), placed, affine, placed[0].unit)


def _rest(plane: Plane) -> tuple[Any, ...]:
    return plane.frame, plane.position, plane.orientation, plane.spacing, plane.thickness


def _one(values: set[str], what: str) -> None:
    if len(values) != 1:
        raise InputError(f"The rows have {len(values)} {what}.", hint="Give the rows of one series, of one kind.")


def _has_place(header: Readable) -> bool:
    """Whether the first frame says where it lies."""
    position = group(header, 0, "PlanePositionSequence") or header
    axes = group(header, 0, "PlaneOrientationSequence") or header
    return bool(position.get("ImagePositionPatient")) and bool(axes.get("ImageOrientationPatient"))


def _image_of_values(header: Readable) -> None:
    """Refuse what is no slice or stack of slices of values.

    Raises:
        InputError: it is in colour, a segmentation, a mosaic that does not place its slices, or no image.
    """
    if "PALETTE" in str(header.get("PhotometricInterpretation")) or _number(header, "SamplesPerPixel", 1) > 1:
        raise InputError(
            "Colour images form no volume of values.", hint="Read them singly: curate.read_instance(row).pixel_array."
        )
    if header.get("Modality") == "SEG":
        raise InputError("This is a segmentation.", hint="Use curate.segmentation(row).")
    if "Rows" not in header or not any(name in header for name in _PIXELS):
        raise InputError("This series holds no images.", hint="Choose another by its Modality.")
    if mosaics.is_mosaic(header):
        mosaics.tiling_of(header)


def scale(header: Readable, frame: int) -> Scale:
    """How stored values become physical ones, and their unit (PS3.3 C.11.1, C.8.8.3, C.7.6.16.2.9).

    Raises:
        InputError: a slope of zero, an empty one where the class needs it, or what is no number.
    """
    if "DoseGridScaling" in header:
        return Scale(_slope(header, "DoseGridScaling"), 0.0, str(header.get("DoseUnits") or ""))
    item = group(header, frame, "PixelValueTransformationSequence") or header
    stated = item.get("RescaleSlope") not in (None, "")
    if stated or ("RescaleSlope" in item and header.get("Modality") in ("CT", "PT")):
        slope, intercept = _slope(item, "RescaleSlope"), _number(item, "RescaleIntercept", 0.0)
        return Scale(slope, intercept, _unit(header, item))
    if tables := header.get("ModalityLUTSequence"):
        return Scale(1.0, 0.0, str(tables[0].get("ModalityLUTType") or ""), table=True)
    real = group(header, frame, "RealWorldValueMappingSequence")
    if real is not None and real.get("RealWorldValueSlope") not in (None, ""):
        units = real.get("MeasurementUnitsCodeSequence")
        unit = str(units[0].get("CodeValue") or "") if units else ""
        return Scale(_slope(real, "RealWorldValueSlope"), _number(real, "RealWorldValueIntercept", 0.0), unit)
    return Scale(1.0, 0.0, _unit(header, header))


def _unit(header: Readable, item: Readable) -> str:
    """The unit that is stated; a CT's default (PS3.3 C.8.2.1.1.2) where it has a rescale and says nothing."""
    if header.get("Modality") == "PT" and header.get("Units"):
        return str(header.get("Units"))
    stated = str(item.get("RescaleType") or "")
    localizer = "LOCALIZER" in (header.get("ImageType") or ())
    default = "HU" if header.get("Modality") == "CT" and "RescaleSlope" in item and not localizer else ""
    return default if stated in ("", "US") else stated


def _slope(item: Readable, name: str) -> float:
    found = _number(item, name, None)
    if not found:
        raise InputError(
            f"An instance has a {_spoken(name)} of zero: its values mean nothing.", hint=regular_grid.WHOLE
        )
    return found


def _number(item: Readable, name: str, default: float | None) -> float:
    """A number that an instance states; `default` where it states none."""
    value = item.get(name)
    if value in (None, "") and default is not None:
        return default
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not math.isfinite(found):
        raise InputError(
            f"An instance has an empty {_spoken(name)}, or one that is no number: its values mean nothing.",
            hint=regular_grid.WHOLE,
        )
    return found


def _spoken(name: str) -> str:
    return "".join(f" {letter}" if letter.isupper() else letter for letter in name).strip()


def regular(parts: Sequence[Part]) -> tuple[bool | None, float | None]:
    """Whether the instances of a series form a volume, and the distance of its slices in mm along their normal.

    Null where an instance does not say where it lies, so that nobody can tell.
    """
    try:
        found = grid_of(parts)
    except InputError:
        return (False if all(part.placed for part in parts) else None), None
    if len(found.planes) < 2:
        return True, None
    along, down = found.affine[:3, 2], found.affine[:3, 1]
    normal = np.cross(along, down)
    step = float(abs(found.affine[:3, 0] @ normal) / np.linalg.norm(normal))
    return True, round(step, 6)
