"""A frame as a PNG with what was found in it boxed: for the one who decides, never for a release."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw

from curate.pixels.image import Image, colours, stored
from curate.pixels.text.text_detection import Found

_COLOURS = {"text": (255, 64, 64), "mark": (64, 220, 64), "barcode": (255, 64, 255), "layout": (255, 200, 0)}


def show(image: Image, index: int, found: Iterable[Found]) -> bytes:
    """The frame between its darkest and brightest value; text red, marks green, barcodes violet, layouts yellow.

    Raises:
        UndecodableError: no decoder reads the frame.
    """
    frame = np.asarray(colours(image, stored(image, index)), np.float64)
    low, high = np.percentile(frame, (0.5, 99.9))
    grey = np.clip((frame - low) / ((high - low) or 1.0), 0, 1) * 255
    if image.photometric == "MONOCHROME1":
        grey = 255 - grey
    picture = Picture.fromarray(np.asarray(np.rint(grey), np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for one in found:
        left, top, right, bottom = one.box
        draw.rectangle((left, top, right - 1, bottom - 1), outline=_COLOURS[one.kind])
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()
