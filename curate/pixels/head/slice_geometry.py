"""Where the slice of a volume lies in the patient, and what its values mean: of the classes that can show a head."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from curate.deid.pixeldata.pixel_module import IMAGE_TYPE
from curate.dicom import tags
from curate.dicom.model import PIXEL_DATA, Item

Kind = Literal["CT", "MR", "PT", "NM"]
_STORAGE = "1.2.840.10008.5.1.4.1.1."
KINDS: dict[str, Kind] = {
    **dict.fromkeys((_STORAGE + "2", _STORAGE + "2.1", _STORAGE + "2.2"), "CT"),
    **dict.fromkeys((_STORAGE + "4", _STORAGE + "4.1", _STORAGE + "4.3", _STORAGE + "4.4"), "MR"),
    **dict.fromkeys((_STORAGE + "128", _STORAGE + "128.1", _STORAGE + "130"), "PT"),
    **dict.fromkeys((_STORAGE + "5", _STORAGE + "20"), "NM"),  # 5: retired
}
"""What volume an instance of a class is a part of."""

_SERIES, _FRAME_OF_REFERENCE, _SOP_CLASS = tags.SeriesInstanceUID, tags.FrameOfReferenceUID, tags.SOPClassUID
_POSITION, _ORIENTATION, _SPACING = tags.ImagePositionPatient, tags.ImageOrientationPatient, tags.PixelSpacing
_INTERCEPT, _SLOPE = tags.RescaleIntercept, tags.RescaleSlope
Numbers = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Position, row and column directions, spacing of rows and columns (mm; PS3.3 C.7.6.2), slope and intercept."""

    position: Numbers
    orientation: Numbers
    spacing: Numbers
    slope: float
    intercept: float


def kind_of(item: Item) -> Kind | None:
    """What volume the instance is a part of; None where it is none: projections of NM show no surface."""
    kind = KINDS.get(item.text(_SOP_CLASS))
    if kind is None or PIXEL_DATA not in item:
        return None
    return None if kind == "NM" and "RECON" not in item.text(IMAGE_TYPE) else kind


def series_of(item: Item) -> tuple[str, str]:
    """The UIDs of its series and of its frame of reference."""
    return item.text(_SERIES), item.text(_FRAME_OF_REFERENCE)


def is_localizer(item: Item) -> bool:
    """Whether it calls itself a localizer."""
    return "LOCALIZER" in item.text(IMAGE_TYPE).split("\\")


def place_of(item: Item) -> Place:
    """Where the instance's only frame lies.

    Raises:
        ValueError: it does not say, or not as one slice does.
    """
    spacing = _numbers(item, _SPACING, 2)
    if min(spacing) <= 0:
        raise ValueError
    plain = kind_of(item) == "MR" and not item.raw(_SLOPE)
    slope, intercept = (1.0, 0.0) if plain else (*_numbers(item, _SLOPE, 1), *_numbers(item, _INTERCEPT, 1))
    if not slope:
        raise ValueError
    return Place(_numbers(item, _POSITION, 3), _numbers(item, _ORIENTATION, 6), spacing, slope, intercept)


def _numbers(item: Item, tag: int, count: int) -> Numbers:
    found = tuple(float(part.replace(",", ".")) for part in item.text(tag).split("\\", count))
    if len(found) != count or not all(map(math.isfinite, found)):
        raise ValueError
    return found
