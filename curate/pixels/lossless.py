"""Native grey pixels as lossless JPEG-LS or JPEG 2000: frames that decode to the very same values, or nothing."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID

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
        """The same in pydicom's words."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "number_of_frames": self.frames,
            "samples_per_pixel": 1,
            "bits_allocated": self.allocated,
            "bits_stored": self.stored,
            "pixel_representation": int(self.signed),
            "photometric_interpretation": self.photometric,
            "pixel_keyword": "PixelData",
        }


def encoded(pixels: bytes | memoryview, grey: Grey, syntax: str) -> list[bytes] | None:
    """Each frame in a transfer syntax of `SYNTAXES`; None where that is not smaller, or not the same when decoded."""
    raw = bytes(pixels)[: grey.rows * grey.columns * grey.frames * grey.allocated // 8]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encoder = get_encoder(UID(syntax))
            frames = [encoder.encode(raw, index=index, **grey.options) for index in range(grey.frames)]
            decoder = get_decoder(UID(syntax))
            packed = encapsulate(frames)
            back, _ = decoder.as_array(packed, raw=True, **grey.options)
    except Exception:  # encoders raise what they like; the pixels stay as they are
        return None
    kind = np.dtype(f"<{'i' if grey.signed else 'u'}{grey.allocated // 8}")
    same = np.array_equal(np.frombuffer(raw, kind), np.asarray(back).ravel())
    return frames if same and sum(map(len, frames)) < len(raw) else None
