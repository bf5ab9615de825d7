"""Heads on their way in, unless `head = "allow"`: every CT, MR, PET and NM volume is judged by what it shows.

Under "deface" the voxels of a head beyond its plane become air. What shows the same head otherwise (localizer, capture,
a series too short to judge) is refused; a study in which no safe cut was found waits for a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from curate.core.findings import Finding
from curate.core.remote import RemoteFile, whole
from curate.deid.dataset_rules import state_faceless
from curate.deid.pixeldata.pixel_module import BURNED_IN, pixels_of, with_pixels
from curate.deid.records import Rewritten
from curate.deid.rewrite import rewrite_parsed
from curate.deid.verify import released_context
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.io.reader import parse
from curate.dicom.model import Item, MalformedError
from curate.donation.burned_in_annotation import DIED
from curate.donation.deface_plan import DefacePlan
from curate.pixels.head.slice_geometry import KINDS, is_localizer, kind_of, place_of, series_of
from curate.pixels.image import DecoderDiedError, Image, UndecodableError
from curate.policies import Policy

if TYPE_CHECKING:  # what finds and paints faces takes half a second to import, and few archives ask for it
    from curate.pixels.head.plane import Plane

UNSURE, LIKELY = "PIXELS_FACE_UNSURE", "PIXELS_FACE_LIKELY"
WAITS = frozenset((UNSURE, LIKELY))
"""Findings for which a person decides."""

_SURFACES = frozenset(  # surfaces and contours of the body, which need no pixels to show a face
    "1.2.840.10008.5.1.4.1.1." + one for one in ("481.3", "66.5", "104.3", "104.4", "104.5")
)
_AIR_HU = -1000


def is_judged(sop_class_uid: str) -> bool:
    """Whether an instance of this class can be part of a volume that is judged."""
    return sop_class_uid in KINDS


def plan(files: Iterable[tuple[str, Path | RemoteFile]], policy: Policy) -> DefacePlan:
    """Judge each series of a study (SOPInstanceUIDs with their files); the largest tells the others their plane."""
    from curate.donation import head_judgement

    return head_judgement.plan(_readable(files), policy)


def _readable(files: Iterable[tuple[str, Path | RemoteFile]]) -> Iterator[Parsed]:
    """The instances that can be read, each once; the others are refused later, with their finding."""
    seen: set[str] = set()
    for uid, path in files:
        if uid in seen:
            continue
        with suppress(OSError, MalformedError):  # refused, with its finding, when it is rewritten
            yield parse(whole(path))
            seen.add(uid)


def _image(parsed: Parsed) -> Image:
    fields = pixels_of(parsed)
    if fields is None:
        raise ValueError
    return Image(**fields)


def clean(parsed: Parsed, rewritten: Rewritten, known: DefacePlan, policy: Policy) -> tuple[Rewritten, int]:
    """The rewritten instance without what lies beyond its series' plane, and how many pixels that were.

    `parsed` is the instance as it came: its UIDs are the plan's.

    Raises:
        MalformedError: the study shows a head, and this image of it cannot be cut.
    """
    item = parsed.dataset
    series, _ = series_of(item)
    shows = rewritten.frames or rewritten.sop_class_uid in _SURFACES
    if series in known.clear or not shows:
        return rewritten, 0
    if series not in known.planes or is_localizer(item):
        if known.head or series in known.refused:
            raise MalformedError("PIXELS_FACE_REFUSED", "PixelData")
        return rewritten, 0
    try:
        other, count = _cut(parsed, rewritten, known.planes[series])
    except DecoderDiedError:
        raise MalformedError(DIED, "PixelData") from None
    except (ValueError, ZeroDivisionError, UndecodableError):
        raise MalformedError("PIXELS_FACE_REFUSED", "PixelData") from None
    made = rewrite_parsed(other, released_context(other.dataset, policy), policy)
    kept = tuple(one for one in rewritten.findings if one.rule != LIKELY)
    note = Finding("PIXELS_FACE_REMOVED", tag="PixelData", count=max(count, 1))
    return replace(made, findings=(*kept, note), applied=rewritten.applied), count


def _cut(parsed: Parsed, rewritten: Rewritten, plane: Plane) -> tuple[Parsed, int]:
    from curate.pixels.head.stack import matrix_of
    from curate.pixels.mask import painted

    clean_form = parse(b"".join(rewritten.chunks))
    image = _image(clean_form)
    if image.frames != 1 or image.samples != 1:
        raise ValueError
    place = place_of(parsed.dataset)
    matrix = matrix_of(place.position, place.orientation, place.spacing)
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
    place = place_of(item)
    air = _AIR_HU if kind_of(item) == "CT" else 0
    lowest = -(1 << (image.stored - 1)) if image.signed else 0
    highest = (1 << (image.stored - (1 if image.signed else 0))) - 1
    return min(max(round((air - place.intercept) / place.slope), lowest), highest)
