"""Where frames lie in the patient (PS3.3 C.7.6.2, C.7.6.16.2): one regular grid, or a clear refusal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from curate.core.errors import InputError
from curate.dicom.geometry import mosaics
from curate.dicom.keyword_view import Header

Vector = npt.NDArray[np.float64]
_TOLERANCE = 0.01  # of the spacing
_SAME_MM = 1e-3
_NEAR = 3  # decimals
_DIRECTION = 1e-4
_SAME_OFFSET_MM = 0.01
WHOLE = "Volumes need one series of parallel slices; read the instances singly with curate.dicom."


@dataclass(frozen=True, slots=True)
class Plane:
    """One frame: first voxel's centre and axes in LPS mm; `spacing` between rows and between columns."""

    source: int
    frame: int
    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    thickness: float | None

    @property
    def place(self) -> tuple[float, ...]:
        """Position and orientation to 0.001: frames of which it is the same lie at one place."""
        return tuple(round(float(number), _NEAR) for number in (*self.position, *self.orientation))


def planes(datasets: Sequence[Dataset | Header]) -> list[Plane]:
    """The planes of all frames, in the order of the instances.

    Raises:
        InputError: a frame does not say where it lies.
    """
    return [plane for number, dataset in enumerate(datasets) for plane in _planes(number, dataset)]


def _planes(number: int, dataset: Dataset | Header) -> Iterator[Plane]:
    frames = int(dataset.get("NumberOfFrames") or 1)
    if dataset.get("GridFrameOffsetVector") is not None:  # RT Dose, PS3.3 C.8.8.3.2
        yield from _dose_planes(number, dataset, frames)
        return
    if frames == 1 and mosaics.is_mosaic(dataset):
        yield from _tiles(number, dataset)
        return
    groups = dataset.get("PerFrameFunctionalGroupsSequence")
    if groups and len(groups) < frames:
        raise InputError(f"An instance states {frames} frames and places {len(groups)} of them.", hint=WHOLE)
    for frame in range(frames):
        measures = group(dataset, frame, "PixelMeasuresSequence") or dataset
        position = (group(dataset, frame, "PlanePositionSequence") or dataset).get("ImagePositionPatient")
        axes = (group(dataset, frame, "PlaneOrientationSequence") or dataset).get("ImageOrientationPatient")
        if frame and "PerFrameFunctionalGroupsSequence" not in dataset:
            raise InputError("A multi-frame instance does not say where its frames lie.", hint=WHOLE)
        yield Plane(
            number,
            frame,
            _numbers(position, 3, "Image Position (Patient)"),
            _numbers(axes, 6, "Image Orientation (Patient)"),
            _spacing(measures),
            _thickness(measures),
        )


def _tiles(number: int, dataset: Dataset | Header) -> Iterator[Plane]:
    """The slices of a mosaic, each as a frame of its own."""
    tiling = mosaics.tiling_of(dataset)
    axes, spacing = (
        _numbers(dataset.get("ImageOrientationPatient"), 6, "Image Orientation (Patient)"),
        _spacing(dataset),
    )
    stated = _numbers(dataset.get("ImagePositionPatient"), 3, "Image Position (Patient)")
    thickness = _thickness(dataset)
    if thickness is None:
        raise InputError("A mosaic does not state the distance of its slices.", hint=WHOLE)
    first = np.array(mosaics.first_position(stated, axes, spacing, tiling))
    for frame in range(tiling.count):
        place = first + frame * thickness * np.array(tiling.normal)
        yield Plane(number, frame, tuple(float(v) for v in place), axes, spacing, thickness)


def group(dataset: Dataset | Header, frame: int, name: str) -> Any:
    """A functional group's item of a frame: its own, or the one shared (PS3.3 C.7.6.16)."""
    places = [dataset.get("PerFrameFunctionalGroupsSequence"), dataset.get("SharedFunctionalGroupsSequence")]
    items = [
        places[0][frame] if places[0] and frame < len(places[0]) else None,
        places[1][0] if places[1] else None,
    ]
    for item in items:
        if item is not None and (found := item.get(name)):
            return found[0]
    return None


def _dose_planes(number: int, dataset: Dataset | Header, frames: int) -> Iterator[Plane]:
    """The planes of a dose: offsets along the normal, from 0 on, or the planes' own z (PS3.3 C.8.8.3.2 a, b)."""
    axes = _numbers(dataset.get("ImageOrientationPatient"), 6, "Image Orientation (Patient)")
    first = np.array(_numbers(dataset.get("ImagePositionPatient"), 3, "Image Position (Patient)"))
    stated = dataset.get("GridFrameOffsetVector")
    several = stated if isinstance(stated, Sequence) and not isinstance(stated, str) else [stated]
    offsets = _numbers(several, frames, f"Grid Frame Offset Vector of {frames} frames")
    along = np.cross(axes[:3], axes[3:])
    if offsets[0]:
        if abs(offsets[0] - first[2]) > _SAME_OFFSET_MM or abs(abs(along[2]) - 1) > _DIRECTION:
            raise InputError(
                "A dose's first offset is neither 0 nor the z of its position: it does not say where its planes lie.",
                hint=WHOLE,
            )
        along, offsets = np.array([0.0, 0.0, 1.0]), tuple(offset - offsets[0] for offset in offsets)
    spacing = _spacing(dataset)
    for frame, offset in enumerate(offsets):
        place = tuple(float(v) for v in first + offset * along)
        yield Plane(number, frame, place, axes, spacing, _thickness(dataset))


def _spacing(measures: Dataset | Header) -> tuple[float, ...]:
    found = _numbers(measures.get("PixelSpacing"), 2, "Pixel Spacing")
    if min(found) <= 0:
        raise InputError("An instance has a Pixel Spacing of zero.", hint=WHOLE)
    return found


def _numbers(value: Any, count: int, name: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in value)
    except (TypeError, ValueError):
        found = ()
    if len(found) != count or not all(map(math.isfinite, found)):
        raise InputError(f"An instance has no {name}: it does not say where it lies.", hint=WHOLE)
    return found


def _thickness(measures: Dataset | Header) -> float | None:
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        try:
            value = float(measures.get(name) or 0)
        except (TypeError, ValueError):  # several, or no number: it says nothing
            continue
        if value > 0 and math.isfinite(value):
            return value
    return None


def axes(found: Sequence[Plane]) -> tuple[Vector, Vector, Vector]:
    """Unit vectors along a row, down a column, and the normal, which all planes share.

    Raises:
        InputError: they differ.
    """
    _one([plane.orientation for plane in found], _DIRECTION, "orientations", "a localizer, or several views")
    _one([plane.spacing for plane in found], _SAME_MM / 10, "pixel spacings", "several acquisitions")
    along, down = np.array(found[0].orientation[:3]), np.array(found[0].orientation[3:])
    lengths = np.linalg.norm(along), np.linalg.norm(down)
    if abs(along @ down) > 1e-3 or max(abs(length - 1) for length in lengths) > 1e-3:
        raise InputError("Image Orientation (Patient) is not two unit vectors at a right angle.", hint=WHOLE)
    return along, down, np.cross(along, down)


def _one(values: Sequence[tuple[float, ...]], tolerance: float, what: str, cause: str) -> None:
    spread = np.ptp(np.array(values), axis=0).max()
    if spread > tolerance:
        raise InputError(f"The slices have several {what}: {cause}.", hint=WHOLE)


def ordered(found: Sequence[Plane]) -> tuple[list[Plane], npt.NDArray[np.float64]]:
    """The planes along their normal, and the affine from (slice, row, column) to LPS millimetres, 4 x 4.

    Raises:
        InputError: two lie at one place, one is missing, or the distances differ by more than 1%.
    """
    along, down, normal = axes(found)
    sorted_ = sorted(found, key=lambda plane: float(np.dot(plane.position, normal)))
    places = np.array([plane.position for plane in sorted_])
    spacing = sorted_[0].spacing
    affine = np.eye(4)
    affine[:3, 0] = _step(places, normal, sorted_[0].thickness)
    affine[:3, 1], affine[:3, 2] = down * spacing[0], along * spacing[1]
    affine[:3, 3] = places[0]
    return sorted_, affine


def _step(places: Vector, normal: Vector, thickness: float | None) -> Vector:
    if len(places) == 1:
        if thickness is None:
            raise InputError("A single slice without Slice Thickness has no third dimension.", hint=WHOLE)
        return np.asarray(normal * thickness)
    steps = np.diff(places, axis=0)
    heights = steps @ normal
    if (same := int((heights < _SAME_MM).sum())) > 0:
        raise InputError(
            f"{same + 1} or more of {len(places)} slices share a place: several times, echoes or b-values.",
            hint="Give the rows of one of them, chosen by a header attribute or slice_index.",
        )
    usual = float(np.median(heights))
    if (worst := int(np.argmax(abs(heights - usual)))) >= 0 and abs(heights[worst] - usual) > _TOLERANCE * usual:
        raise InputError(
            f"The slices are not evenly spaced: {heights[worst]:.3f} mm after slice {worst}, {usual:.3f} mm elsewhere.",
            hint="A slice may be missing, or the rows of two stacks are mixed.",
        )
    mean = np.asarray((places[-1] - places[0]) / (len(places) - 1))
    if float(abs(steps - mean).max()) > max(_TOLERANCE * usual, _SAME_MM * 10):
        raise InputError("The slices do not lie on one line.", hint=WHOLE)
    return mean
