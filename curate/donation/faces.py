"""Heads in CT on their way in, under `head = "deface"`: every CT volume of a study is judged by what it shows.

The voxels of a head beyond its plane become air; an instance that shows the same head otherwise (localizer, capture,
a series too short to judge) is refused; a study in which no safe cut was found waits for a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from curate.dicom.finish import state_faceless
from curate.dicom.picture import BURNED_IN, IMAGE_TYPE, pixels_of, with_pixels
from curate.dicom.reader import parse
from curate.dicom.rewrite import rewrite_parsed
from curate.dicom.sopclasses import face_likely
from curate.dicom.types import PIXEL_DATA, Item, MalformedError, Parsed, Policy, Rewritten
from curate.dicom.verify import released_context
from curate.findings import Finding
from curate.pixels.image import Image, UndecodableError, stored

if TYPE_CHECKING:  # what finds and paints faces takes half a second to import, and few archives ask for it
    from curate.pixels.face import Floats, Plane

_SERIES, _FRAME_OF_REFERENCE, _SOP_CLASS = 0x0020000E, 0x00200052, 0x00080016
_POSITION, _ORIENTATION, _SPACING = 0x00200032, 0x00200037, 0x00280030
_INTERCEPT, _SLOPE = 0x00281052, 0x00281053
_CT = frozenset(("1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"))
_FEWEST, _EVEN = 8, 0.02  # slices; share of the step between them
_AIR_HU = -1000
UNSURE = "PIXELS_FACE_UNSURE"

_Slice = tuple["Floats", npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do with a study: planes by series, series without a head; `held`: a person must look."""

    planes: dict[str, Plane] = field(default_factory=dict)
    clear: frozenset[str] = frozenset()
    held: bool = False


@dataclass(slots=True)
class _Series:
    """One CT series as it is read: slices made coarse, or `odd` where its geometry is none that is judged."""

    reference: str
    likely: bool = False
    odd: bool = False
    slices: list[_Slice] = field(default_factory=list)


def is_judged(sop_class_uid: str) -> bool:
    """Whether an instance of this class is part of a volume that is judged."""
    return sop_class_uid in _CT


def plan(instances: Iterable[Parsed]) -> Plan:
    """Judge each CT series of a study; the largest of a frame of reference tells the others their plane."""
    series: dict[str, _Series] = {}
    for parsed in instances:
        item = parsed.dataset
        if item.text(_SOP_CLASS) not in _CT or PIXEL_DATA not in item or _is_localizer(item):
            continue
        one = series.setdefault(item.text(_SERIES), _Series(item.text(_FRAME_OF_REFERENCE)))
        one.likely |= face_likely(item)
        try:
            one.slices.append((_matrix(item), _coarse(parsed, item)))
        except (ValueError, UndecodableError, MalformedError):
            one.odd = True
    return _judged(series)


def _judged(series: dict[str, _Series]) -> Plan:
    from curate.pixels.face import judge

    planes: dict[str, Plane] = {}
    shared: dict[str, Plane] = {}
    unsure, clear = set(), set()
    for uid, one in sorted(series.items(), key=lambda pair: (-len(pair[1].slices), pair[0])):
        volume = None if one.odd else _volume(one.slices)
        verdict = judge(*volume, shared.get(one.reference)) if volume else None
        if verdict and verdict.plane:
            planes[uid] = verdict.plane
            shared.setdefault(one.reference or uid, verdict.plane)
        elif verdict and verdict.clear and not one.likely and one.reference not in shared:
            clear.add(uid)
        else:
            unsure.add(uid)
    held = any(series[uid].reference not in shared or not series[uid].reference for uid in unsure)
    return Plan(planes, frozenset(clear), held)


def _is_localizer(item: Item) -> bool:
    return "LOCALIZER" in item.text(IMAGE_TYPE).split("\\")


def _numbers(item: Item, tag: int, count: int) -> Floats:
    """Decimals of an attribute.

    Raises:
        ValueError: not as many.
    """
    found = np.array([float(part) for part in item.text(tag).split("\\")])
    if found.shape != (count,) or not np.isfinite(found).all():
        raise ValueError
    return found


def _matrix(item: Item) -> Floats:
    """From (0, row, column) to LPS mm (PS3.3 C.7.6.2.1.1); its first column is the slice's normal."""
    along, down = np.split(_numbers(item, _ORIENTATION, 6), 2)
    rows, columns = _numbers(item, _SPACING, 2)
    if min(rows, columns) <= 0:
        raise ValueError
    matrix = np.eye(4)
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = np.cross(along, down), down * rows, along * columns
    matrix[:3, 3] = _numbers(item, _POSITION, 3)
    return matrix


def _rescale(item: Item) -> tuple[float, float]:
    return float(_numbers(item, _SLOPE, 1)[0]), float(_numbers(item, _INTERCEPT, 1)[0])


def _image(parsed: Parsed) -> Image:
    fields = pixels_of(parsed)
    if fields is None or fields["frames"] != 1 or fields["samples"] != 1:
        raise ValueError
    return Image(**fields)


def _coarse(parsed: Parsed, item: Item) -> npt.NDArray[np.float32]:
    """The slice in HU, no finer than the grid needs, so that a study fits in memory."""
    slope, intercept = _rescale(item)
    matrix = _matrix(item)
    frame = stored(_image(parsed), 0)[:: _stride(matrix, 1), :: _stride(matrix, 2)]
    return np.asarray(frame, np.float32) * np.float32(slope) + np.float32(intercept)


def _stride(matrix: Floats, axis: int) -> int:
    from curate.pixels.face import GRID_MM

    return max(int(GRID_MM / np.linalg.norm(matrix[:3, axis])), 1)


def _volume(slices: list[_Slice]) -> tuple[npt.NDArray[np.float32], Floats] | None:
    """One stack of parallel slices at even steps, and its matrix; nothing for any other."""
    first = slices[0][0]
    normal = first[:3, 0]
    if len(slices) < _FEWEST or any(
        not np.allclose(matrix[:3, :3], first[:3, :3], atol=1e-3) or frame.shape != slices[0][1].shape
        for matrix, frame in slices
    ):
        return None
    ordered = sorted(slices, key=lambda one: float(one[0][:3, 3] @ normal))
    places = np.array([matrix[:3, 3] for matrix, _ in ordered])
    step = (places[-1] - places[0]) / (len(places) - 1)
    even = places[0] + np.arange(len(places))[:, None] * step
    if np.abs(places - even).max() > _EVEN * np.linalg.norm(step) or step @ normal < 1e-3:
        return None
    matrix = np.array(ordered[0][0])
    matrix[:3, 0] = step
    for axis in (1, 2):
        matrix[:3, axis] *= _stride(first, axis)
    return np.stack([frame for _, frame in ordered]), matrix


def clean(parsed: Parsed, rewritten: Rewritten, known: Plan, policy: Policy) -> tuple[Rewritten, int]:
    """The rewritten instance without what lies beyond its series' plane, and how many pixels that were.

    `parsed` is the instance as it came: its UIDs are the plan's.

    Raises:
        MalformedError: the study shows a head, and this image of it cannot be cut.
    """
    series = parsed.dataset.text(_SERIES)
    if not known.planes or series in known.clear or not rewritten.frames:
        return rewritten, 0
    if series not in known.planes or _is_localizer(parsed.dataset):
        raise MalformedError("PIXELS_FACE_REFUSED", "PixelData")
    try:
        other, count = _cut(parsed, rewritten, known.planes[series])
    except (ValueError, ZeroDivisionError, UndecodableError):
        raise MalformedError("PIXELS_FACE_REFUSED", "PixelData") from None
    made = rewrite_parsed(other, released_context(other.dataset, policy), policy)
    kept = tuple(one for one in rewritten.findings if one.rule != "PIXELS_FACE_LIKELY")
    note = Finding("PIXELS_FACE_REMOVED", tag="PixelData", count=max(count, 1))
    return replace(made, findings=(*kept, note), applied=rewritten.applied), count


def _cut(parsed: Parsed, rewritten: Rewritten, plane: Plane) -> tuple[Parsed, int]:
    from curate.pixels.mask import painted

    clean_form = parse(b"".join(rewritten.chunks))
    image = _image(clean_form)
    matrix = _matrix(parsed.dataset)
    rows, columns = np.mgrid[: image.rows, : image.columns]
    index = np.stack([np.zeros(rows.shape), rows, columns], -1)
    beyond = plane.beyond(index @ matrix[:3, :3].T + matrix[:3, 3])
    done = painted(image, beyond, _air(parsed.dataset, image))
    other = with_pixels(
        clean_form,
        done.transfer_syntax,
        done.photometric,
        done.planar,
        bytes(done.native),
        tuple(map(bytes, done.encoded)),
    )
    burned = clean_form.dataset.get(BURNED_IN)  # nobody has looked for text yet
    other.dataset.pop(BURNED_IN)
    if burned is not None:
        other.dataset[BURNED_IN] = burned
    state_faceless(other.dataset)
    return other, int(beyond.sum())


def _air(item: Item, image: Image) -> int:
    """The stored value of air, or the nearest that the bits can hold."""
    slope, intercept = _rescale(item)
    lowest = -(1 << (image.stored - 1)) if image.signed else 0
    return max(round((_AIR_HU - intercept) / slope), lowest)
