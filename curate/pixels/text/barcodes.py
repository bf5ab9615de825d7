"""Barcodes in a picture, of one dimension or two: where they are, never what they say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Box = tuple[int, int, int, int]
_LEAST_SIDE, _FEWEST_CHARACTERS = 24, 3


def barcodes(picture: npt.NDArray[np.uint8]) -> list[Box]:
    """Where a decoder reads a code (left, top, right, bottom; the last two exclusive)."""
    import zxingcpp

    if min(picture.shape[:2]) < _LEAST_SIDE:
        return []
    found = []
    for code in zxingcpp.read_barcodes(np.ascontiguousarray(picture)):
        if len(code.text) < _FEWEST_CHARACTERS and not code.bytes:
            continue
        corners = code.position
        points = [(p.x, p.y) for p in (corners.top_left, corners.top_right, corners.bottom_left, corners.bottom_right)]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        found.append((max(min(xs), 0), max(min(ys), 0), max(xs) + 1, max(ys) + 1))
    return found
