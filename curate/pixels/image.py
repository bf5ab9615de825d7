"""The pixels of one instance as its attributes describe them, one frame at a time; nothing is decoded before asked."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from curate import decoding
from curate.decoding import DecoderDiedError as DecoderDiedError
from curate.decoding import UndecodableError as UndecodableError

Frame = npt.NDArray[np.generic]
Bytes = bytes | memoryview
_PERCENTILES = (0.1, 99.9)
_LITTLE = "1.2.840.10008.1.2.1"


@dataclass(frozen=True, slots=True, repr=False)
class Image:
    """What PS3.3 C.7.6.3 says of the pixels, and their bytes: `native` as they are, or `encoded` frame by frame.

    `palette` holds the red, green and blue of each entry (rows of a table), from `first` on. `floating` pixels are
    Float or Double Float Pixel Data (C.7.6.24, C.7.6.25).
    """

    rows: int
    columns: int
    samples: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    photometric: str
    planar: int
    transfer_syntax: str
    native: Bytes = b""
    encoded: Sequence[Bytes] = ()
    palette: npt.NDArray[np.uint8] | None = None
    first: int = 0
    floating: bool = False

    @property
    def kind(self) -> np.dtype[np.generic]:
        """The type of an uncompressed sample; bytes where samples are bits."""
        letter = "f" if self.floating else "i" if self.signed else "u"
        return np.dtype(f"<{letter}{max(self.allocated // 8, 1)}")

    @property
    def subsampled(self) -> bool:
        """Whether two neighbours share their colour (PS3.3 C.7.6.3.1.2)."""
        return self.photometric == "YBR_FULL_422" and self.samples == 3

    def options(self, frames: int = 1) -> dict[str, Any]:
        """The attributes as pydicom's decoders and encoders want them."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "samples_per_pixel": self.samples,
            "number_of_frames": frames,
            "bits_allocated": self.allocated,
            "bits_stored": self.stored,
            "pixel_representation": int(self.signed),
            "photometric_interpretation": self.photometric,
            **({"planar_configuration": self.planar} if self.samples > 1 else {}),
        }


def stored(image: Image, index: int) -> Frame:
    """The stored values of a frame: (rows, columns), or (rows, columns, samples) in the colours that a reader shows.

    Raises:
        UndecodableError: no decoder reads it; DecoderDiedError: its decoder died of it.
    """
    plain = not image.encoded and (image.floating or image.allocated in (8, 16, 32))
    if plain and image.samples == 1:
        return _view(image, index)
    if plain and image.photometric == "RGB":
        size = image.rows * image.columns * 3
        flat = np.frombuffer(image.native, f"<u{image.allocated // 8}", size, index * size * image.allocated // 8)
        if image.planar:
            return flat.reshape(3, image.rows, image.columns).transpose(1, 2, 0)
        return flat.reshape(image.rows, image.columns, 3)
    return _decoded(image, index)


def _view(image: Image, index: int) -> Frame:
    """A frame of uncompressed grey pixels: the very bytes, not a copy."""
    size = image.rows * image.columns
    values = np.frombuffer(image.native, image.kind, size, index * size * image.allocated // 8)
    return values.reshape(image.rows, image.columns)


def _decoded(image: Image, index: int) -> Frame:
    """Coded frames in the decoder's process; uncompressed ones of odd forms by pydicom, which is no native code."""
    if image.encoded:
        return decoding.decoded(bytes(image.encoded[index]), image.transfer_syntax, image.options())
    from pydicom.pixels.decoders.base import get_decoder

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            decoder = get_decoder(image.transfer_syntax)
            options = {**image.options(image.frames), "pixel_keyword": "PixelData"}
            values, _ = decoder.as_array(bytes(image.native), index=index, **options)
    except Exception as error:  # pydicom raises what it likes
        raise UndecodableError from error
    return np.asarray(values)


def colours(image: Image, frame: Frame) -> Frame:
    """The frame as it is shown where its values stand for colours of a palette; else the frame itself."""
    if image.palette is None:
        return frame
    entries = np.clip(np.asarray(frame, np.int64) - image.first, 0, len(image.palette) - 1)
    return image.palette[entries]


def grey(frame: Frame) -> npt.NDArray[np.int16]:
    """One number a pixel, as the screen wants it: exact for up to 16 bits, colours by their luminance."""
    if frame.ndim == 3:
        import cv2

        if frame.dtype != np.uint8:
            top = float(frame.max()) or 1.0
            frame = np.asarray(np.asarray(frame, np.float64) * (255 / top), np.uint8)
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY), np.int16)
    if frame.dtype == np.uint16:
        return np.bitwise_xor(np.asarray(frame, np.uint16), np.uint16(0x8000)).view(np.int16)
    if frame.dtype in (np.dtype(np.uint8), np.dtype(np.int8), np.dtype(np.int16)):
        top = 64 if frame.dtype == np.uint8 and int(frame.max(initial=0)) <= 1 else 1  # two values: a drawing
        return np.ascontiguousarray(frame, np.int16) * np.int16(top)
    values = np.asarray(frame, np.float64)
    low, high = _limits(values)
    scaled = (np.clip(np.nan_to_num(values, nan=low), low, high) - low) * (60_000 / ((high - low) or 1.0))
    return np.asarray(scaled - 30_000, np.int16)


def _limits(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Between which numbers a frame shows something: one number far off must not make all others look the same."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 0.0
    low, high = (float(limit) for limit in np.percentile(finite, _PERCENTILES))
    return (low, high) if low < high else (float(finite.min()), float(finite.max()))
