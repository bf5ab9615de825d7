"""Siemens' mosaics: a volume whose slices are tiled in one image, row by row from the upper left.

The image's position is that of the corner of the whole square, as if the slice were as large; how many slices there
are and along which normal they lie says the vendor's header alone (nibabel's documentation of mosaics:
https://nipy.org/nibabel/dicom/dicom_mosaic.html).
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
from curate.dicom import csa
from curate.dicom.keyword_view import Header

_COUNT, _HEADER = (0x0019, "SIEMENS MR HEADER", 0x0A), (0x0029, "SIEMENS CSA HEADER", 0x10)
_GRID = (0x0065, "Image Private Header", 0x50)  # UIH's: where its slices lie is not read here
_NUMBER, _NORMAL = b"NumberOfImagesInMosaic", b"SliceNormalVector"
_UNIT = 1e-3
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Tiling:
    """How many slices, of which size in pixels, with how many beside each other; the normal they lie along (LPS)."""

    count: int
    rows: int
    columns: int
    side: int
    normal: tuple[float, ...]

    def cut(self, image: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The slices (slice, row, column) of a mosaic's image (row, column)."""
        tiles = image.reshape(self.side, self.rows, self.side, self.columns).swapaxes(1, 2)
        return tiles.reshape(-1, self.rows, self.columns)[: self.count]


def is_mosaic(header: Dataset | Header) -> bool:
    """Whether an image tiles many slices, by its type or its vendor's header."""
    kinds = header.get("ImageType") or ()
    if "MOSAIC" in ((kinds,) if isinstance(kinds, str) else kinds):
        return True
    counts = (private(header, place) for place in (_COUNT, _GRID))
    return header.get("Modality") == "MR" and any(isinstance(n, int | float) and n > 1 for n in counts)


def tiles_beside(count: float) -> int:
    """How many slices a mosaic of so many has in a row: its tiles form the smallest square."""
    return math.ceil(math.sqrt(count))


def tiling_of(header: Dataset | Header) -> Tiling:
    """The tiling of a mosaic.

    Raises:
        InputError: its header does not say how many slices there are and how they lie.
    """
    found = csa_numbers(header, (_NUMBER, _NORMAL))
    count, normal = found.get(_NUMBER, []), tuple(found.get(_NORMAL, []))
    length = math.sqrt(sum(part * part for part in normal))
    if len(count) == 1 and 1 < count[0] <= _MOST and len(normal) == 3 and abs(length - 1) < _UNIT:
        side = tiles_beside(count[0])
        rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        if rows and columns and rows % side == columns % side == 0:
            return Tiling(int(count[0]), rows // side, columns // side, side, normal)
    raise InputError(
        "A mosaic tiles many slices in one image, and its vendor's header does not say where these lie.",
        hint="Read it with curate.read_instance(row), and cut it by the number of slices that it states.",
    )


def first_position(
    position: Sequence[float], orientation: Sequence[float], spacing: Sequence[float], tiling: Tiling
) -> tuple[float, ...]:
    """Where the first slice's first voxel lies, by the position that the mosaic states (LPS, mm)."""
    along, down = np.array(orientation[:3]) * spacing[1], np.array(orientation[3:]) * spacing[0]
    beyond = (tiling.side - 1) / 2
    place = np.array(position) + along * tiling.columns * beyond + down * tiling.rows * beyond
    return tuple(float(part) for part in place)


def csa_numbers(header: Dataset | Header, wanted: Sequence[bytes]) -> dict[bytes, list[float]]:
    """The numbers of fields of an image's CSA header; none where it has none, or they are no numbers."""
    raw = private(header, _HEADER)
    if not isinstance(raw, bytes):
        return {}
    try:
        texts = {name: csa.values(items) for name, items in csa.fields(raw, wanted)}
        found = {name: [float(text) for text in values] for name, values in texts.items()}
    except ValueError:  # no header, or no numbers: nothing is said
        return {}
    return {name: values for name, values in found.items() if all(map(math.isfinite, values))}


def private(header: Dataset | Header, place: tuple[int, str, int]) -> Any:
    """The value of a private attribute (group, creator, element); None where it is not there."""
    if isinstance(header, Header):
        return header.private(*place)
    try:
        return header.private_block(*place[:2])[place[2]].value
    except KeyError:  # no such block, or it does not say
        return None
