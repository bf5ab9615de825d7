"""The cheap screen: where a frame holds thin, even, sharp strokes, which letters have and anatomy hardly does.

Ink is thinner than `_STROKE` pixels and stands out from what surrounds it (a top-hat), far above the noise of its
neighbourhood; it is as bright (or dark) as the most extreme pixel near it, since a pen has one value; it reaches that
value within one pixel, which a scanner's own blur forbids; and some of it runs straight. The screen works on stored
values, so no window hides anything from it. Against OCR of every frame it is measured by `make bench-pixels`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.int16]
Mask = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

_STROKE, _NEAR, _RUN, _TILE, _CELL, _SAMPLED = 9, 15, 3, 32, 8, 4
_INK, _STRAIGHT = 18, 4  # pixels within one window of cells, and how many of them in straight runs
_EVEN_SHIFT, _SHARP_SHIFT = 2, 3  # within a quarter of its height; seven eighths of it within one pixel
_ABOVE_NOISE, _LEAST_SHARE, _LEAST = 4, 0.05, 1
_WINDOWS = ((6, 3), (3, 6))  # cells across and down: text in rows, or turned
_MARGIN = np.ones((3, 5), np.uint8)  # cells around: a detector wants to see where a line ends


@dataclass(frozen=True, slots=True)
class Region:
    """A part of a frame that may hold text (left, top, right, bottom; the last two exclusive), and its ink's window.

    `low` and `high` are stored values: what lies beneath the strokes and the strokes themselves, or the reverse.
    """

    box: Box
    low: float
    high: float


def regions(grey: Grey) -> list[Region]:
    """The parts of a frame (rows, columns; stored values) that may hold text; none: nothing to read."""
    if min(grey.shape) < 2 * _CELL:
        return []
    found = []
    gradient = np.asarray(cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, _square(3)), np.int16)
    sampled = np.sort(grey[::_SAMPLED, ::_SAMPLED], axis=None)
    low, high = sampled[len(sampled) // 50], sampled[-1 - len(sampled) // 100]
    least = int(_LEAST_SHARE * (float(high) - float(low)))
    for dark in (False, True):
        upright: Grey = np.invert(grey) if dark else grey
        height = np.asarray(cv2.morphologyEx(upright, cv2.MORPH_TOPHAT, _square(_STROKE)), np.int16)
        ink = _ink(upright, height, gradient, least)
        found += [_region(grey, height, ink, box, dark) for box in _dense(ink)]
    return found


def _square(side: int) -> Mask:
    return np.ones((side, side), np.uint8)


def _ink(grey: Grey, height: Grey, gradient: Grey, least: int) -> Mask:
    """Pixels (0 or 255) that stand out, sharply and evenly."""
    local = np.asarray(cv2.dilate(height, _square(3)), np.int16)
    kept = cv2.compare(height, _noise(height, least), cv2.CMP_GT)
    sharp = cv2.compare(gradient, local - (local >> _SHARP_SHIFT), cv2.CMP_GE)
    kept = cv2.bitwise_and(kept, sharp)
    if not cv2.hasNonZero(kept):
        return np.asarray(kept, np.uint8)
    peak = cv2.dilate(grey, _square(_NEAR))
    even = cv2.compare(cv2.subtract(peak, grey), height >> _EVEN_SHIFT, cv2.CMP_LE)
    return np.asarray(cv2.bitwise_and(kept, even), np.uint8)


def _noise(height: Grey, least: int) -> Grey:
    """For each pixel what ink must exceed: the noise of its tile; a single unit where all is even."""
    sampled = height[::_SAMPLED, ::_SAMPLED]
    side = _TILE // _SAMPLED
    rows, columns = (max(size // side, 1) for size in sampled.shape)
    tall, wide = min(side, sampled.shape[0]), min(side, sampled.shape[1])
    split = sampled[: rows * tall, : columns * wide].reshape(rows, tall, columns, wide)
    tiles = split.transpose(0, 2, 1, 3).reshape(rows, columns, -1)
    middle, most = tiles.shape[2] // 2, tiles.shape[2] * 7 // 8
    ranked = np.sort(tiles, axis=2)
    floor = np.maximum(_ABOVE_NOISE * ranked[:, :, middle].astype(np.int32), _LEAST)
    floor = np.where(ranked[:, :, most] > 0, np.maximum(floor, least), floor)
    spread = np.minimum(floor, 32767).astype(np.int16).repeat(_TILE, 1).repeat(_TILE, 0)
    if spread.shape[0] < height.shape[0] or spread.shape[1] < height.shape[1]:
        beyond = [(0, max(have - size, 0)) for have, size in zip(height.shape, spread.shape, strict=True)]
        spread = np.pad(spread, beyond, mode="edge")
    return np.ascontiguousarray(spread[: height.shape[0], : height.shape[1]])


def _dense(ink: Mask) -> list[Box]:
    """Boxes around where ink lies as close, and runs as straight, as in a word."""
    if not cv2.hasNonZero(ink):
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
    pen = float(np.median(grey[where][drawn]))
    step = float(np.median(height[where][drawn]))
    under = pen + step if dark else pen - step
    return Region(box, min(pen, under), max(pen, under))
