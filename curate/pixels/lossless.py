"""Native grey pixels as lossless JPEG-LS or JPEG 2000: frames that decode to the very same values, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from curate import decoding

SYNTAXES = {"jpeg-ls": "1.2.840.10008.1.2.4.80", "jpeg-2000": "1.2.840.10008.1.2.4.90"}


@dataclass(frozen=True, slots=True)
class Grey:
    """The shape of pixels of one sample: bits as DICOM counts them (PS3.5 8.1.1)."""

    rows: int
    columns: int
    frames: int
    allocated: int
    stored: int
    signed: bool
    photometric: str

    @property
    def options(self) -> dict[str, Any]:
        """The same of one frame, in pydicom's words."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "number_of_frames": 1,
            "samples_per_pixel": 1,
            "bits_allocated": self.allocated,
            "bits_stored": self.stored,
            "pixel_representation": int(self.signed),
            "photometric_interpretation": self.photometric,
            "pixel_keyword": "PixelData",
        }


def encoded(pixels: bytes | memoryview, grey: Grey, syntax: str) -> list[bytes] | None:
    """Each frame in a transfer syntax of `SYNTAXES`; None where that is not smaller, or not the same when decoded."""
    size = grey.rows * grey.columns * grey.allocated // 8
    raw = [bytes(pixels[start : start + size]) for start in range(0, size * grey.frames, size)]
    kind = np.dtype(f"<{'i' if grey.signed else 'u'}{grey.allocated // 8}")
    frames: list[bytes] = []
    try:
        for frame in raw:
            frames.append(decoding.encoded(frame, syntax, grey.options))
            back = decoding.decoded(frames[-1], syntax, grey.options, raw=True)
            if not np.array_equal(np.frombuffer(frame, kind), back.ravel()):
                return None
    except decoding.UndecodableError:  # the pixels stay as they are
        return None
    return frames if sum(map(len, frames)) < sum(map(len, raw)) else None
