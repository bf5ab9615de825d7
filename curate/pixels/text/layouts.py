"""Known layouts, listed in `data/layouts.json`: where a device writes who was examined, whatever a look finds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from curate.pixels.image import Image, UndecodableError, colours, grey, stored
from curate.pixels.text.text_detection import Box, Found, Look

_EVEN = 0.1  # of the frame's range: what noise and lossy coding leave of an even ground


@cache
def _layouts() -> tuple[Mapping[str, Any], ...]:
    text = (resources.files("curate.pixels.text") / "data" / "layouts.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)["layouts"])


def boxes(image: Image, device: Mapping[str, str], regions: Sequence[Box]) -> list[Box]:
    """Where text stands by rule; `device` has sop_class, manufacturer and model, `regions` are ultrasound's."""
    found: list[Box] = []
    for layout in _layouts():
        if device["sop_class"] not in layout["sop_classes"] or not all(
            re.fullmatch(layout[name], device[name], re.IGNORECASE) for name in ("manufacturer", "model")
        ):
            continue
        for left, top, right, bottom in layout["boxes"]:
            scaled = (left * image.columns, top * image.rows, right * image.columns, bottom * image.rows)
            found.append((int(scaled[0]), int(scaled[1]), -int(-scaled[2] // 1), -int(-scaled[3] // 1)))
        if layout["above_regions"] and regions:
            above = min(top for _, top, _, _ in regions)
            if 0 < above < image.rows:
                found.append((0, 0, image.columns, above))
    return found


def by_layout(seen: Look, image: Image, device: Mapping[str, str], regions: Sequence[Box]) -> Look:
    """What was seen, and what stands there by rule, in every frame."""
    placed = boxes(image, device, regions)
    frames = range(image.frames if placed else 0)
    known = [Found(index, "layout", box) for index in frames for box in _written(image, index, placed)]
    return replace(seen, found=(*seen.found, *known))


def _written(image: Image, index: int, placed: Sequence[Box]) -> list[Box]:
    """The boxes in which anything stands: an even ground needs no mask, and a clip no new coding."""
    try:
        values = grey(colours(image, stored(image, index)))
    except UndecodableError:  # the look counts it as a frame that cannot be read
        return []
    limit = _EVEN * max(int(np.ptp(values)), 1)
    return [box for box in placed if int(np.ptp(values[box[1] : box[3], box[0] : box[2]])) > limit]
