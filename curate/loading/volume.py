"""`curate.volume`: a series as one array of physical values with its place in the patient."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut

from curate.core.errors import InputError
from curate.dicom.geometry import mosaics, regular_grid
from curate.dicom.geometry.volume_parts import Grid, Scale, grid_of, part_of
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
    """The volume of a series' rows of `images`, in any order, or of one multi-frame row or mosaic.

    Values are rescaled (PS3.3 C.11.1): Hounsfield units for CT. Nothing is resampled, cropped or clipped.

    Raises:
        InputError: the rows form no regular grid: several series, orientations, sizes, times or units, a
            slice that is missing, colour, no place in the patient, or a rescale that says nothing; a mosaic whose
            header does not place its slices, or several mosaics, each of which is a volume.
    """
    found = datasets_of(rows)
    try:
        grid = grid_of([part_of(dataset) for dataset in found])
        array = _filled(found, grid)
    except InputError as error:
        raise InputError(f"{_named(found)}{error.message}", hint=error.hint) from error
    first = found[0]
    return Volume(
        array,
        grid.affine,
        grid.unit,
        str(first.get("Modality") or ""),
        str(first.get("FrameOfReferenceUID") or ""),
        tuple(str(found[plane.source].SOPInstanceUID) for plane in grid.planes),
    )


def _named(found: Sequence[Dataset]) -> str:
    """The series that a refusal is about, where it is one."""
    series = {str(dataset.get("SeriesInstanceUID") or "") for dataset in found}
    return f"Series {series.pop()}: " if len(series) == 1 and "" not in series else ""


def _filled(found: Sequence[Dataset], grid: Grid) -> npt.NDArray[np.floating[Any]]:
    """The array; each instance is decoded once, and only one is held beside it."""
    first = found[0]
    wide = int(first.get("BitsAllocated") or 32) > _MAX_FLOAT32 and "FloatPixelData" not in first
    tiling, size = tiling_and_size(first)
    shape = len(grid.planes), *size
    array = np.empty(shape, np.float64 if wide else np.float32)
    places: dict[int, list[int]] = {}
    for place, plane in enumerate(grid.planes):
        places.setdefault(plane.source, []).append(place)
    for source, targets in places.items():
        stored = pixels(found[source])
        decoded = tiling.cut(stored) if tiling else stored.reshape(-1, *size)
        if len(decoded) != len(targets):
            raise InputError(
                f"An instance places {len(targets)} frames and holds {len(decoded)}.", hint=regular_grid.WHOLE
            )
        for place in targets:
            array[place] = scaled(decoded[grid.planes[place].frame], grid.scales[place], found[source])
    return array


def tiling_and_size(first: Dataset) -> tuple[mosaics.Tiling | None, tuple[int, int]]:
    """How the first image of a series is tiled, if it is, and the rows and columns of one slice."""
    tiling = mosaics.tiling_of(first) if mosaics.is_mosaic(first) else None
    return tiling, (tiling.rows, tiling.columns) if tiling else (int(first.Rows), int(first.Columns))


def scaled(values: npt.NDArray[Any], scale: Scale, dataset: Dataset) -> npt.NDArray[Any]:
    """Stored values of one frame as what they mean (PS3.3 C.11.1)."""
    if scale.table:
        table: npt.NDArray[Any] = apply_modality_lut(values, dataset)
        return table
    return np.asarray(values, np.float64) * scale.slope + scale.intercept
