"""The cheap screen: where a frame holds thin, even, sharp strokes, which letters have and anatomy hardly does.

Ink is thinner than `_STROKE` pixels and stands out from what surrounds it (a top-hat), far above the noise of its
neighbourhood; it is as bright (or dark) as the most extreme pixel near it, since a pen has one value; it reaches that
value within one pixel, which a scanner's own blur forbids; and some of it runs straight. The screen works on stored
values, so no window hides anything from it. Against OCR of every frame it is measured by `make bench-pixels`.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.int16]
Mask = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

_STROKE, _RUN, _TILE, _CELL, _SAMPLED = 9, 3, 32, 8, 4
_INK, _STRAIGHT = 18, 4  # pixels within one window of cells, and how many of them in straight runs
_EVEN_SHIFT, _SHARP_SHIFT = 2, 3  # within a quarter of its height; seven eighths of it within one pixel
_ABOVE_NOISE, _LEAST_SHARE, _LEAST = 4, 0.05, 1
_WINDOWS = ((6, 3), (3, 6))  # cells across and down: text in rows, or turned
_MOST_KEPT = 1 << 20  # pixels
_NEXT, _AROUND = np.ones((3, 3), np.uint8), np.ones((_STROKE, _STROKE), np.uint8)
_FURTHER = np.zeros((7, 7), np.uint8)
_FURTHER[::3, ::3] = 1  # nine points spread the extremes of 9 by 9 to 15 by 15, as all 49 would
_MARGIN = np.ones((3, 5), np.uint8)  # cells around: a detector wants to see where a line ends


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a frame that may hold text (left, top, right, bottom; the last two exclusive), and its ink's window.

    `low` and `high` are stored values: what lies beneath the strokes and the strokes themselves, or the reverse.
    """

    box: Box
    low: float
    high: float


def regions(grey: Grey, least: int | None = None) -> list[Region]:
    """The parts of a frame (rows, columns; stored values) that may hold text; none: nothing to read.

    `least` is what `least_height` gives of the whole frame, where `grey` is a part of it.
    """
    if min(grey.shape) < 2 * _CELL:
        return []
    room, found = _prepared(grey), []
    least = least_height(grey) if least is None else least
    for dark in (False, True):
        ink = _ink(grey, room, least, dark)
        found += [_region(grey, room.height, ink, box, dark) for box in _dense(ink)]
    return found


@dataclass(frozen=True, slots=True, repr=False)
class _Room:
    """Where frames of one shape are worked on: fresh memory for each step would cost more than the steps."""

    lowest: Grey  # the extremes of the strokes' neighbourhood
    highest: Grey
    gradient: Grey
    height: Grey  # how far a pixel stands out, of bright or of dark ink
    first: Grey
    second: Grey
    kept: Mask
    other: Mask
    down: npt.NDArray[np.intp]  # which tile a row lies in
    across: npt.NDArray[np.intp]


class _Rooms(threading.local):
    last: _Room | None = None


_rooms = _Rooms()


def _room(shape: tuple[int, int]) -> _Room:
    """This thread's room for frames of a shape; that for large frames is not kept."""
    room = _rooms.last
    if room is None or room.kept.shape != shape:
        lowest, highest, gradient, height, first, second = np.empty((6, *shape), np.int16)
        kept, other = np.empty((2, *shape), np.uint8)
        down, across = (np.arange(size) // _TILE for size in shape)
        room = _Room(lowest, highest, gradient, height, first, second, kept, other, down, across)
        _rooms.last = room if room.kept.size <= _MOST_KEPT else None
    return room


def _prepared(grey: Grey) -> _Room:
    """A room with what bright and dark ink share: the extremes and the gradient."""
    room = _room(grey.shape)
    cv2.erode(grey, _NEXT, dst=room.first)
    cv2.subtract(cv2.dilate(grey, _NEXT, dst=room.gradient), room.first, dst=room.gradient)
    cv2.erode(grey, _AROUND, dst=room.lowest)
    cv2.dilate(grey, _AROUND, dst=room.highest)
    return room


def least_height(grey: Grey) -> int:
    """The height that ink has at least among noise: a share of the range of the frame's values, but for outliers."""
    sampled = grey[::_SAMPLED, ::_SAMPLED]
    first, last = sampled.size // 50, sampled.size - 1 - sampled.size // 100
    ranked = np.partition(sampled, (first, last), axis=None)
    return int(_LEAST_SHARE * (float(ranked[last]) - float(ranked[first])))


def _ink(grey: Grey, room: _Room, least: int, dark: bool) -> Mask:
    """Pixels (0 or 255) that stand out, sharply and evenly; `room` keeps their heights."""
    height, local, share, kept, other = room.height, room.first, room.second, room.kept, room.other
    if dark:
        cv2.subtract(cv2.erode(room.highest, _AROUND, dst=height), grey, dst=height)
    else:
        cv2.subtract(grey, cv2.dilate(room.lowest, _AROUND, dst=height), dst=height)
    cv2.compare(height, _noise(room, least), cv2.CMP_GT, dst=kept)
    cv2.dilate(height, _NEXT, dst=local)
    cv2.subtract(local, np.right_shift(local, _SHARP_SHIFT, out=share), dst=local)
    cv2.bitwise_and(kept, cv2.compare(room.gradient, local, cv2.CMP_GE, dst=other), dst=kept)
    short = room.first
    if dark:
        cv2.subtract(grey, cv2.erode(room.lowest, _FURTHER, dst=short), dst=short)
    else:
        cv2.subtract(cv2.dilate(room.highest, _FURTHER, dst=short), grey, dst=short)
    even = cv2.compare(short, np.right_shift(height, _EVEN_SHIFT, out=share), cv2.CMP_LE, dst=other)
    return np.asarray(cv2.bitwise_and(kept, even, dst=kept), np.uint8)


def _noise(room: _Room, least: int) -> Grey:
    """For each pixel what ink must exceed: the noise of its tile; a single unit where all is even."""
    sampled = room.height[::_SAMPLED, ::_SAMPLED]
    side = _TILE // _SAMPLED
    rows, columns = (max(size // side, 1) for size in sampled.shape)
    tall, wide = min(side, sampled.shape[0]), min(side, sampled.shape[1])
    split = sampled[: rows * tall, : columns * wide].reshape(rows, tall, columns, wide)
    tiles = split.transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    middle, most = tiles.shape[2] // 2, tiles.shape[2] * 7 // 8
    ranked = np.sort(tiles, axis=2)
    floor = np.maximum(_ABOVE_NOISE * ranked[:, :, middle].astype(np.int32), _LEAST)
    floor = np.where(ranked[:, :, most] > 0, np.maximum(floor, least), floor)
    wide = np.minimum(floor, 32767).astype(np.int16).take(room.across, 1, mode="clip")
    wide.take(room.down, 0, out=room.second, mode="clip")  # beyond the last tile it goes on
    return room.second


def _dense(ink: Mask) -> list[Box]:
    """Boxes around where ink lies as close, and runs as straight, as in a word."""
    if cv2.countNonZero(ink) < _INK:
        return []
    full = _crowded(ink, _INK)
    if not full.any():
        return []
    full &= _crowded(_straight(ink), _STRAIGHT)
    if not full.any():
        return []
    count, _, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(full, _MARGIN), connectivity=8)
    height, width = ink.shape
    return [
        (left, top, min(left + wide, width), min(top + tall, height))
        for left, top, wide, tall, _ in (stats[1:count] * _CELL).tolist()
    ]


def _straight(ink: Mask) -> Mask:
    """The ink that runs straight, down or across."""
    down = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((_RUN, 1), np.uint8))
    across = cv2.morphologyEx(ink, cv2.MORPH_OPEN, np.ones((1, _RUN), np.uint8))
    return np.asarray(cv2.bitwise_or(down, across), np.uint8)


def _crowded(ink: Mask, least: int) -> Mask:
    """The cells around which that many pixels of ink lie within a word's room."""
    cells = _counts(ink)
    full = np.zeros(cells.shape, np.uint8)
    for window in _WINDOWS:
        near = cv2.boxFilter(cells, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
        full |= np.asarray(near >= least, np.uint8)
    return full


def _counts(ink: Mask) -> npt.NDArray[np.float32]:
    """Ink pixels in each cell of 8 by 8: the bits of eight bytes of a row, then of eight rows."""
    rows, columns = (-(-size // _CELL) for size in ink.shape)
    padded = ink
    if ink.shape != (rows * _CELL, columns * _CELL):
        padded = np.zeros((rows * _CELL, columns * _CELL), np.uint8)
        padded[: ink.shape[0], : ink.shape[1]] = ink
    across = np.bitwise_count(padded.view(np.uint64))  # eight bits for each pixel of ink
    return np.asarray(across.reshape(rows, _CELL, columns).sum(axis=1, dtype=np.uint16) >> 3, np.float32)


def _region(grey: Grey, height: Grey, ink: Mask, box: Box, dark: bool) -> Region:
    left, top, right, bottom = box
    where = (slice(top, bottom), slice(left, right))
    drawn = ink[where] > 0
    if not drawn.any():  # what made it crowded lies just outside
        return Region(box, float(grey[where].min()), float(grey[where].max()))
    pen = float(np.median(grey[where][drawn]))
    step = float(np.median(height[where][drawn]))
    under = pen + step if dark else pen - step
    return Region(box, min(pen, under), max(pen, under))
