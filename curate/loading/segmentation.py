"""`curate.segmentation`: a SEG as labels on a regular grid, its own or its image's (PS3.3 C.8.20)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from curate.core.errors import InputError
from curate.dicom.geometry import regular_grid
from curate.dicom.geometry.regular_grid import Plane, group
from curate.loading.images import Row, pixels, read_instance
from curate.loading.volume import Volume, volume

_NEAR = 0.01  # of a voxel
_HALF = 0.5


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment: its number in `labels`, and the codes of what it shows, as scheme:value."""

    number: int
    label: str
    category: str
    property_type: str
    property_meaning: str
    algorithm_type: str


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """Labels on a grid.

    `labels` is (z, y, x), 0 where no segment is, else the segment's number. `affine` (4 x 4) maps such an
    index to LPS millimetres, as that of a volume does; None on a projection image. `fractions` is
    (segment, z, y, x), 0 to 1, in the order of `segments`, for a fractional segmentation; its `labels` are
    the greatest of at least one half.
    """

    labels: npt.NDArray[np.uint16]
    affine: npt.NDArray[np.float64] | None
    segments: tuple[Segment, ...]
    fractions: npt.NDArray[np.float32] | None
    frame_of_reference: str


def segmentation(
    row: Row, image: Volume | Iterable[Row] | None = None, *, segments: Sequence[int] | None = None
) -> Segmentation:
    """The labels of a row of `images` that holds a SEG: binary, fractional, or a label map.

    `image` is the volume that it segments, or its rows: then the labels have exactly its shape and place.
    Without it they have the grid of the frames that are stored, from the first to the last. Nothing is
    resampled. `segments` chooses some by number.

    Raises:
        InputError: it is no SEG, segments overlap, or it does not lie on the image's grid.
    """
    dataset = read_instance(row)
    if dataset.get("Modality") != "SEG" or "SegmentSequence" not in dataset:
        raise InputError("This row holds no segmentation.", hint="Choose series whose Modality is SEG.")
    described = _segments(dataset, segments)
    slices, affine, shape = _grid(dataset, image)
    frames = _Frames(dataset, slices, {one.number for one in described})
    labels, fractions = _painted(frames, described, shape)
    return Segmentation(labels, affine, described, fractions, str(dataset.get("FrameOfReferenceUID") or ""))


Grid = tuple[list[int], npt.NDArray[np.float64] | None, tuple[int, int, int]]
"""Each frame's slice, the affine, and the shape."""


def _grid(dataset: Dataset, image: Volume | Iterable[Row] | None) -> Grid:
    placed = "ImagePositionPatient" in (group(dataset, 0, "PlanePositionSequence") or dataset)
    if not placed:
        return _flat_grid(dataset)
    planes = regular_grid.planes([dataset])
    if image is None:
        return _own_grid(dataset, planes)
    grid = image if isinstance(image, Volume) else volume(image)
    _same_space(dataset, grid)
    z, y, x = grid.array.shape
    return _image_grid(dataset, planes, grid), grid.affine, (z, y, x)


def _segments(dataset: Dataset, chosen: Sequence[int] | None) -> tuple[Segment, ...]:
    found = tuple(_segment(item) for item in dataset.SegmentSequence)
    kept = tuple(one for one in found if (one.number in chosen if chosen is not None else one.number))
    if chosen is not None and (missing := set(chosen) - {one.number for one in found}):
        raise InputError(
            f"There is no segment {min(missing)}.",
            hint=f"There are {', '.join(str(s.number) for s in found)}.",
        )
    return kept


def _segment(item: Dataset) -> Segment:
    kind = (item.get("SegmentedPropertyTypeCodeSequence") or [Dataset()])[0]
    return Segment(
        int(item.SegmentNumber),
        str(item.get("SegmentLabel") or ""),
        _code((item.get("SegmentedPropertyCategoryCodeSequence") or [Dataset()])[0]),
        _code(kind),
        str(kind.get("CodeMeaning") or ""),
        str(item.get("SegmentAlgorithmType") or ""),
    )


def _code(item: Dataset) -> str:
    return f"{item.CodingSchemeDesignator}:{item.CodeValue}" if item.get("CodeValue") else ""


def _own_grid(dataset: Dataset, planes: Sequence[Plane]) -> Grid:
    """The grid of the stored frames; slices between them count, though an empty one need not be stored."""
    along, down, normal = regular_grid.axes(planes)
    heights = np.array([np.dot(plane.position, normal) for plane in planes])
    heights -= heights.min()
    for step in _steps(dataset, planes, heights):
        slices = heights / step
        if abs(slices - np.round(slices)).max() < _NEAR * max(1.0, slices.max()):
            break
    else:
        raise InputError("The segmentation's slices are not evenly spaced.", hint="Give the image that it segments.")
    first = planes[int(heights.argmin())]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 3] = normal * step, first.position
    affine[:3, 1], affine[:3, 2] = down * first.spacing[0], along * first.spacing[1]
    found = [int(n) for n in np.round(slices)]
    return found, affine, (max(found) + 1, int(dataset.Rows), int(dataset.Columns))


def _steps(dataset: Dataset, planes: Sequence[Plane], heights: npt.NDArray[np.float64]) -> list[float]:
    """Distances of slices to try: the stated one, the least that occurs, one slice's thickness."""
    measures = group(dataset, 0, "PixelMeasuresSequence") or Dataset()
    stated = float(measures.get("SpacingBetweenSlices") or 0)
    found = np.diff(np.unique(np.round(heights, 3)))
    least = float(found.min()) if len(found) else 0.0
    return [step for step in (stated, least, planes[0].thickness or 1.0) if step > 0]


def _flat_grid(dataset: Dataset) -> Grid:
    """The pixel matrix of a projection image, which has no place in the patient.

    Raises:
        InputError: the frames are those of a slide, or of several images.
    """
    sources = {
        str(image.ReferencedSOPInstanceUID)
        for frame in range(int(dataset.get("NumberOfFrames") or 1))
        for image in (group(dataset, frame, "DerivationImageSequence") or Dataset()).get("SourceImageSequence", ())
    }
    if len(sources) > 1 or group(dataset, 0, "PlanePositionSlideSequence") is not None:
        raise InputError(
            "A segmentation of slides, or of several images, has no one grid.",
            hint="Read its frames: curate.read_instance(row).pixel_array.",
        )
    shape = 1, int(dataset.Rows), int(dataset.Columns)
    return [0] * int(dataset.get("NumberOfFrames") or 1), None, shape


def _same_space(dataset: Dataset, grid: Volume) -> None:
    frame = str(dataset.get("FrameOfReferenceUID") or "")
    if frame and grid.frame_of_reference and frame != grid.frame_of_reference:
        raise InputError(
            "The segmentation and the image have different frames of reference.",
            hint="Find the image's series in the table `references`.",
        )


def _image_grid(dataset: Dataset, planes: Sequence[Plane], grid: Volume) -> list[int]:
    """Each frame's slice in the image.

    Raises:
        InputError: its voxels are not the image's.
    """
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    inverse = np.linalg.inv(grid.affine)
    found = []
    for plane in planes:
        corners = inverse @ np.array([_point(plane, 0, 0), _point(plane, rows - 1, columns - 1)]).T
        (z, y, x), (z2, y2, x2) = corners[:3, 0], corners[:3, 1]
        off = max(abs(y), abs(x), abs(y2 - rows + 1), abs(x2 - columns + 1), abs(z - z2), abs(z - round(z)))
        if off > _NEAR * max(rows, columns) ** 0.5 or not -_HALF < z < grid.array.shape[0] - _HALF:
            raise InputError(
                "The segmentation does not lie on the image's grid.",
                hint="Leave `image` out to get its own grid, and resample one of the two.",
            )
        found.append(round(float(z)))
    if (rows, columns) != grid.array.shape[1:]:
        raise InputError(
            "The segmentation and the image have different sizes.",
            hint="Leave `image` out to get its own grid.",
        )
    return found


def _point(plane: Plane, row: int, column: int) -> list[float]:
    along, down = np.array(plane.orientation[:3]), np.array(plane.orientation[3:])
    return [
        *(np.array(plane.position) + along * plane.spacing[1] * column + down * plane.spacing[0] * row),
        1.0,
    ]


@dataclass(frozen=True, slots=True)
class _Frames:
    """The stored frames with their slice and segment; a label map's frames bear all segments."""

    dataset: Dataset
    slices: Sequence[int]
    wanted: set[int]

    def __iter__(self) -> Iterator[tuple[int, int, npt.NDArray[Any]]]:
        values = pixels(self.dataset)
        values = values.reshape(-1, *values.shape[-2:])
        for frame, place in enumerate(self.slices):
            number = _number(self.dataset, frame)
            if number == 0 or number in self.wanted:
                yield place, number, values[frame]

    @property
    def kind(self) -> str:
        return str(self.dataset.get("SegmentationType") or "")


def _number(dataset: Dataset, frame: int) -> int:
    """The segment of a frame; 0 in a label map."""
    item = group(dataset, frame, "SegmentIdentificationSequence")
    return int(item.ReferencedSegmentNumber) if item is not None else 0


def _painted(
    frames: _Frames, segments: Sequence[Segment], shape: tuple[int, int, int]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32] | None]:
    if frames.kind == "FRACTIONAL":
        return _fractional(frames, segments, shape)
    labels = np.zeros(shape, np.uint16)
    for place, number, values in frames:
        if number == 0:
            kept = np.isin(values, sorted(frames.wanted))
            labels[place][kept] = values[kept]
            continue
        shown = values != 0
        if (labels[place][shown] != 0).any():
            raise InputError(
                f"Segment {number} overlaps another one: one label a voxel cannot show both.",
                hint=f"Ask for them one by one: curate.segmentation(row, segments=[{number}]).",
            )
        labels[place][shown] = number
    return labels, None


def _fractional(
    frames: _Frames, segments: Sequence[Segment], shape: tuple[int, int, int]
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
    greatest = float(frames.dataset.get("MaximumFractionalValue") or 255)
    index = {one.number: place for place, one in enumerate(segments)}
    fractions = np.zeros((len(segments), *shape), np.float32)
    for place, number, values in frames:
        fractions[index[number], place] = values / greatest
    numbers = np.array([one.number for one in segments], np.uint16)
    labels = np.where(fractions.max(axis=0) >= _HALF, numbers[fractions.argmax(axis=0)], 0)
    return labels.astype(np.uint16), fractions
