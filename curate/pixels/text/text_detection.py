"""Every frame of an instance looked at for burned-in text and barcodes: what was found where, never what it says."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from curate.pixels.image import DecoderDiedError, Frame, Image, UndecodableError, colours, grey, stored
from curate.pixels.text import ocr, stroke_screen, text_classes, tiles
from curate.pixels.text.barcodes import barcodes

Box = tuple[int, int, int, int]
Picture = npt.NDArray[np.uint8]
Kind = Literal["text", "mark", "barcode", "layout"]

_MOST_PIXELS = 1 << 20  # of a whole frame that is read at once; larger ones are read smaller, and their regions whole
_SAMPLED = 8  # of a large frame, down and across, for the range of its values
_ENLARGED = 2  # regions are read at twice their size: letters of 8 pixels need it
_LARGE_REGION = 1 << 16
_LEAST_GROWTH, _GROWTH = 3, 0.25  # boxes cover part of the ink: they grow by this share of their height
_SAME, _FEW = 0.5, 6  # of the ink's height, in fewer pixels: a frame that says the same as the one before


@dataclass(frozen=True, slots=True)
class Found:
    """One thing in one frame (from 0): its kind, and its box (left, top, right, bottom; the last two exclusive)."""

    frame: int
    kind: Kind
    box: Box


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at an instance gave: `read` frames reached the network, `unread` could not be decoded.

    `died`: a decoder died of a frame, and nothing after it was looked at.
    """

    frames: int
    read: int
    unread: int
    found: tuple[Found, ...]
    died: bool = False

    def counts(self) -> dict[str, int]:
        """How many boxes of each kind, for the evidence."""
        return dict(sorted(Counter(found.kind for found in self.found).items()))


@dataclass(slots=True)
class _Seen:
    """What a frame was read to hold, and with which pixels."""

    region: stroke_screen.Region
    crop: stroke_screen.Grey
    spots: list[_Spot] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Spot:
    box: Box
    text: str
    score: float


def versions() -> dict[str, str]:
    """What looks: packages, and the digests of the networks."""
    from importlib import metadata

    return {**ocr.models(), "opencv": cv2.__version__, "zxing-cpp": metadata.version("zxing-cpp")}


def look(image: Image, *, thorough: bool) -> Look:
    """Look at every frame; `thorough`: read each as a whole too, as what often bears text asks for."""
    cv2.setNumThreads(1)
    found: list[Found] = []
    read = unread = 0
    before: list[_Seen] = []
    for index in range(image.frames):
        try:
            frame = stored(image, index)
        except DecoderDiedError:
            return Look(image.frames, read, image.frames - index + unread, _everywhere(image, found), died=True)
        except UndecodableError:
            unread += 1
            continue
        whole = thorough and (index == 0 or not image.frames > 1)
        if tiles.is_large(frame):
            seen = _read_large(image, frame, whole=whole)
        else:
            seen = _read_frame(colours(image, frame), before, whole=whole)
        read += seen.read
        before = seen.regions
        found += [Found(index, kind, box) for kind, box in seen.found]
    return Look(image.frames, read, unread, _everywhere(image, found))


@dataclass(slots=True)
class _Frame:
    found: list[tuple[Kind, Box]]
    regions: list[_Seen]
    read: bool


def _read_frame(frame: Frame, before: list[_Seen], *, whole: bool) -> _Frame:
    values = grey(frame)
    regions = [_of_region(values, region, before) for region in stroke_screen.regions(values)]
    spots = [spot for seen in regions for spot in seen.spots]
    codes: list[Box] = []
    if whole:
        picture = _picture(frame, values)
        spots += _of_picture(picture, spots)
        codes = barcodes(picture)
    elif regions:
        codes = barcodes(_scaled(values, *_limits(values)))
    shape = (values.shape[0], values.shape[1])
    found = _judged(spots, shape) + [("barcode", _grown(box, shape)) for box in codes]
    return _Frame(found, regions, whole or bool(regions))


def _read_large(image: Image, frame: Frame, *, whole: bool) -> _Frame:
    """A frame tile by tile; `whole`: small, too, since what is larger than a tile shows only there."""
    shape = (frame.shape[0], frame.shape[1])
    spots: list[_Spot] = []
    codes: list[Box] = []
    least = stroke_screen.least_height(grey(colours(image, frame[::_SAMPLED, ::_SAMPLED])))
    read = whole
    for tile in tiles.tiles(frame):
        values = grey(colours(image, tile.frame))
        regions = [_of_region(values, region, []) for region in stroke_screen.regions(values, least)]
        read = read or bool(regions)
        spots += [_moved(spot, tile.left, tile.top) for seen in regions for spot in seen.spots]
        if whole or regions:
            found = barcodes(_scaled(values, *_limits(values)))
            codes += [_moved(_Spot(box, "", 0), tile.left, tile.top).box for box in found]
    if whole:
        small, factor = tiles.shrunk(frame, _MOST_PIXELS)
        if image.palette is not None:  # between two entries of a palette lies no colour
            step = int(1 / factor) + 1
            small, factor = frame[::step, ::step], 1 / step
        shown = colours(image, small)
        picture = _picture(shown, grey(shown))
        spots += [_scaled_up(spot, factor, shape) for spot in _read(picture, 1, [])]
        codes += [_scaled_up(_Spot(box, "", 0), factor, shape).box for box in barcodes(picture)]
    found_here = _judged(spots, shape) + [("barcode", _grown(box, shape)) for box in codes]
    return _Frame(found_here, [], read)


def _moved(spot: _Spot, left: int, top: int) -> _Spot:
    box = spot.box
    return _Spot((box[0] + left, box[1] + top, box[2] + left, box[3] + top), spot.text, spot.score)


def _scaled_up(spot: _Spot, factor: float, shape: tuple[int, int]) -> _Spot:
    """A spot of a smaller picture where it lies in the whole one."""
    left, top = (int(value / factor) for value in spot.box[:2])
    right, bottom = (int(np.ceil(value / factor)) for value in spot.box[2:])
    return _Spot((left, top, min(right, shape[1]), min(bottom, shape[0])), spot.text, spot.score)


def _judged(spots: list[_Spot], shape: tuple[int, int]) -> list[tuple[Kind, Box]]:
    """The boxes of what is text, and of marks; beside text, what is faint counts as more of it."""
    kinds = [text_classes.kind(spot.text, spot.score) for spot in spots]
    certain = [spot.box for spot, kind in zip(spots, kinds, strict=True) if kind == "text"]
    found: list[tuple[Kind, Box]] = []
    for spot, kind in zip(spots, kinds, strict=True):
        if kind:
            found.append((kind, _grown(spot.box, shape)))
        elif text_classes.faint(spot.text, spot.score) and any(_of_one_hand(spot.box, box) for box in certain):
            found.append(("text", _grown(spot.box, shape)))
    written = [box for kind, box in found if kind == "text"]
    marks = [box for kind, box in found if kind == "mark" and not any(_overlap(box, other) for other in written)]
    return [("text", box) for box in _merged(written)] + [("mark", box) for box in _merged(marks)]


def _of_one_hand(box: Box, other: Box) -> bool:
    """Whether a box is about as tall as one that holds text: letters of one size, not a piece of anatomy."""
    return 2 * min(box[3] - box[1], box[2] - box[0]) <= 3 * min(other[3] - other[1], other[2] - other[0])


def _of_region(values: stroke_screen.Grey, region: stroke_screen.Region, before: list[_Seen]) -> _Seen:
    left, top, right, bottom = region.box
    crop = values[top:bottom, left:right]
    for seen in before:
        if seen.region.box == region.box and _same(seen, crop):
            return seen
    spots: list[_Spot] = []
    margin = 0.5 * (region.high - region.low)
    scale = _ENLARGED if crop.size <= _LARGE_REGION else 1
    for low, high in ((region.low - margin, region.high + margin), _limits(crop)):
        spots += _read(_scaled(crop, low, high), scale, spots)
        if not spots:  # where the ink's own window shows no line, a wider one shows none either
            break
    placed = [_moved(spot, left, top) for spot in spots]
    return _Seen(region, np.array(crop), placed)


def _same(seen: _Seen, crop: stroke_screen.Grey) -> bool:
    """Whether a region shows what it did in the frame before, but for the noise of a lossy clip."""
    apart = cv2.absdiff(seen.crop, np.ascontiguousarray(crop))
    return int(np.count_nonzero(apart > _SAME * (seen.region.high - seen.region.low))) < _FEW


def _of_picture(picture: Picture, known: list[_Spot]) -> list[_Spot]:
    height, width = picture.shape[:2]
    shrink = min(1.0, (_MOST_PIXELS / (height * width)) ** 0.5)
    smaller = picture
    if shrink < 1:
        size = (max(int(width * shrink), 1), max(int(height * shrink), 1))
        smaller = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    return [_scaled_up(spot, shrink, (height, width)) for spot in _read(smaller, 1, known if shrink == 1 else [])]


def _read(picture: Picture, scale: int, known: list[_Spot]) -> list[_Spot]:
    """What stands in a picture, but for what is known to stand there already."""
    shown = picture
    if scale > 1:
        size = (picture.shape[1] * scale, picture.shape[0] * scale)
        shown = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    sure = [spot.box for spot in known if text_classes.kind(spot.text, spot.score)]
    placed = []
    for spot in ocr.detect(shown):
        left, top, right, bottom = spot.box
        box = (left // scale, top // scale, -(-right // scale), -(-bottom // scale))
        if not any(_covers(one, box) for one in sure):
            placed.append((spot.box, box))
    spots = [_spelt(shown, *both) for both in placed if _is_line(both[0])]
    if sure or any(text_classes.kind(spot.text, spot.score) for spot in spots):
        spots += [_spelt(shown, *both) for both in placed if not _is_line(both[0])]
    return spots


def _is_line(box: Box) -> bool:
    """Whether three letters have room, across or down; a single one is read only beside a line."""
    wide, tall = box[2] - box[0], box[3] - box[1]
    return 5 * max(wide, tall) >= 6 * min(wide, tall)


def _spelt(picture: Picture, box: Box, place: Box) -> _Spot:
    reading = ocr.read(picture, box)
    return _Spot(place, reading.text, reading.score)


def _covers(one: Box, other: Box) -> bool:
    """Whether a box holds nine tenths of another."""
    wide, tall = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    area = (other[2] - other[0]) * (other[3] - other[1])
    return wide > 0 and tall > 0 and 10 * wide * tall >= 9 * area


def _picture(frame: Frame, values: stroke_screen.Grey) -> Picture:
    if frame.ndim == 3 and frame.dtype == np.uint8:
        return np.ascontiguousarray(frame[:, :, ::-1], np.uint8)  # the networks were taught on BGR
    return _scaled(values, *_limits(values))


def _limits(values: stroke_screen.Grey) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _scaled(values: stroke_screen.Grey, low: float, high: float) -> Picture:
    factor = 255 / max(high - low, 1e-6)
    return np.asarray(np.clip((values.astype(np.float32) - low) * factor, 0, 255), np.uint8)


def _grown(box: Box, shape: tuple[int, int]) -> Box:
    left, top, right, bottom = box
    by = max(_LEAST_GROWTH, round(_GROWTH * min(bottom - top, right - left)))
    return max(left - by, 0), max(top - by, 0), min(right + by, shape[1]), min(bottom + by, shape[0])


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _merged(boxes: list[Box]) -> list[Box]:
    """Boxes none of which lies within another."""
    kept: list[Box] = []
    for box in sorted(set(boxes), key=lambda b: ((b[0] - b[2]) * (b[3] - b[1]), b)):
        if not any(k[0] <= box[0] and k[1] <= box[1] and box[2] <= k[2] and box[3] <= k[3] for k in kept):
            kept.append(box)
    return sorted(kept)


def _everywhere(image: Image, found: list[Found]) -> tuple[Found, ...]:
    """What was found, and in frames that show the same there, too: text stands still while a clip moves."""
    if image.frames == 1 or not found:
        return tuple(found)
    by_frame: dict[int, list[Found]] = defaultdict(list)
    for one in found:
        by_frame[one.frame].append(one)
    shown: dict[tuple[Kind, Box], stroke_screen.Grey] = {}
    for index, members in by_frame.items():
        values = _values(image, index)
        for one in members:
            if values is not None and (one.kind, one.box) not in shown:
                shown[one.kind, one.box] = np.array(_crop(values, one.box))
    spread = set(found)
    for index in range(image.frames):
        values = _values(image, index)
        if values is None:
            continue
        here = [one.box for one in by_frame[index]]
        for (kind, box), crop in shown.items():
            if not any(_within(box, other) for other in here) and _alike(crop, _crop(values, box)):
                spread.add(Found(index, kind, box))
    return tuple(sorted(spread, key=lambda f: (f.frame, f.kind, f.box)))


def _values(image: Image, index: int) -> stroke_screen.Grey | None:
    try:
        return grey(colours(image, stored(image, index)))
    except UndecodableError:  # the look counts it as a frame that cannot be read
        return None


def _crop(values: stroke_screen.Grey, box: Box) -> stroke_screen.Grey:
    return values[box[1] : box[3], box[0] : box[2]]


def _alike(one: stroke_screen.Grey, other: stroke_screen.Grey) -> bool:
    apart = np.abs(one.astype(np.int32) - other.astype(np.int32))
    return int(np.count_nonzero(apart > _SAME * max(float(np.ptp(one)), 1.0))) < _FEW


def _within(inner: Box, outer: Box) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and inner[2] <= outer[2] and inner[3] <= outer[3]
