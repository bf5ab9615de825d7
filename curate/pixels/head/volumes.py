"""The volumes among data sets that can show a head: each series of CT, MR, PET and NM with its slices, made coarse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from curate.deid.pixeldata.pixel_module import pixels_of
from curate.deid.sop_classes import face_likely
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.model import MalformedError
from curate.pixels.head.plane import Verdict
from curate.pixels.head.slice_geometry import is_localizer, kind_of, place_of, series_of
from curate.pixels.head.stack import Stack, matrix_of
from curate.pixels.image import DecoderDiedError, Image, UndecodableError


@dataclass(slots=True)
class Series:
    """One series as it is read: its slices, its frame of reference, whether its header names a head.

    `died`: the decoder of one of its slices died, and none after it was read.
    """

    stack: Stack
    reference: str
    likely: bool = False
    verdict: Verdict = field(default_factory=lambda: Verdict(False))
    died: bool = False


def stacked(instances: Iterable[Parsed]) -> dict[str, Series]:
    """The series by their UIDs; localizers of CT, which are projections, are none of them."""
    found: dict[str, Series] = {}
    for parsed in instances:
        add(found, parsed)
    return found


def add(found: dict[str, Series], parsed: Parsed) -> None:
    """One more instance, if it is part of a volume."""
    item = parsed.dataset
    kind = kind_of(item)
    if kind is None or (kind == "CT" and is_localizer(item)):
        return
    uid, reference = series_of(item)
    one = found.setdefault(uid, Series(Stack(kind), reference or uid))
    one.likely |= face_likely(item)
    if one.died:
        return
    try:
        place = place_of(item)
        fields = pixels_of(parsed)
        if fields is None:
            raise ValueError
        matrix = matrix_of(place.position, place.orientation, place.spacing)
        one.stack.add(matrix, Image(**fields), place.slope, place.intercept)
    except DecoderDiedError:
        one.stack.odd = one.died = True
    except (ValueError, UndecodableError, MalformedError):
        one.stack.odd = True
