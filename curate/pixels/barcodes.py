"""Barcodes in a picture, of one dimension or two: where they are, never what they say."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Box = tuple[int, int, int, int]
_LEAST_SIDE, _FEWEST_CHARACTERS = 24, 3


def barcodes(picture: npt.NDArray[np.uint8]) -> list[Box]:
    """Where a decoder reads a code, with the whole of its bars (left, top, right, bottom; the last two exclusive)."""
    import zxingcpp

    if min(picture.shape[:2]) < _LEAST_SIDE:
        return []
    found = []
    for code in zxingcpp.read_barcodes(np.ascontiguousarray(picture)):
        if len(code.text) < _FEWEST_CHARACTERS and not code.bytes:
            continue
        corners = code.position
        points = [
            (p.x, p.y)
            for p in (corners.top_left, corners.top_right, corners.bottom_left, corners.bottom_right)
        ]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        found.append(_whole(picture, (min(xs), min(ys), max(xs) + 1, max(ys) + 1)))
    return found


def _whole(picture: npt.NDArray[np.uint8], box: Box) -> Box:
    """The box grown over the bars that it crosses: the decoder may have read a single line of them."""
    height, width = picture.shape[:2]
    grey = picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    left, top, right, bottom = box
    reach = max(right - left, bottom - top)
    x0, y0 = max(left - reach // 4, 0), max(top - reach, 0)
    x1, y1 = min(right + reach // 4, width), min(bottom + reach, height)
    gradient = cv2.morphologyEx(grey[y0:y1, x0:x1], cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    edges = cv2.threshold(gradient, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1]
    side = max(5, reach // 16)
    joined = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(np.asarray(joined, np.uint8))
    inside = labels[top - y0 : bottom - y0, left - x0 : right - x0]
    for number in range(1, count):
        if (inside == number).any():
            x, y, wide, tall, _ = (int(v) for v in stats[number])
            left, top = min(left, x0 + x), min(top, y0 + y)
            right, bottom = max(right, x0 + x + wide), max(bottom, y0 + y + tall)
    return left, top, right, bottom
