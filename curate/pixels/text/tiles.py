"""A frame of very many pixels looked at tile by tile: what a look takes grows with the tile, not with the frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from curate.pixels.image import Frame

MOST_AT_ONCE = 1 << 24
"""Pixels of a frame that is looked at in one piece: a mammogram has fewer."""

_SIDE, _SHARED = 3840, 256  # pixels; tiles overlap by more than a word's length


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a frame: where it begins, and its pixels (a view)."""

    left: int
    top: int
    frame: Frame


def is_large(frame: Frame) -> bool:
    """Whether a frame is looked at in tiles."""
    return bool(frame.shape[0] * frame.shape[1] > MOST_AT_ONCE)


def tiles(frame: Frame) -> Iterator[Tile]:
    """Overlapping parts that cover a frame, row by row."""
    rows, columns = frame.shape[:2]
    for top in range(0, max(rows - _SHARED, 1), _SIDE):
        for left in range(0, max(columns - _SHARED, 1), _SIDE):
            bottom, right = top + _SIDE + _SHARED, left + _SIDE + _SHARED
            yield Tile(left, top, frame[top:bottom, left:right])


def shrunk(frame: Frame, most: int) -> tuple[Frame, float]:
    """The whole frame in at most so many pixels, each the mean of those that it stands for; and by which factor."""
    rows, columns = frame.shape[:2]
    factor = (most / (rows * columns)) ** 0.5
    height, width = max(int(rows * factor), 1), max(int(columns * factor), 1)
    kind = frame.dtype if frame.dtype in (np.uint8, np.uint16, np.int16) else np.dtype(np.float32)
    small = np.empty((height, width, *frame.shape[2:]), kind)
    strips = max(_SIDE * _SIDE // columns, 1)
    edges = [round(row * rows / height) for row in range(height + 1)]
    first = 0
    while first < height:
        last = first + 1
        while last < height and edges[last + 1] - edges[first] <= strips:
            last += 1
        strip = np.ascontiguousarray(frame[edges[first] : edges[last]], kind)
        small[first:last] = _resized(strip, (width, last - first)).reshape(small[first:last].shape)
        first = last
    return small, factor


def _resized(strip: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[np.generic]:
    return np.asarray(cv2.resize(strip, size, interpolation=cv2.INTER_AREA))
