"""One small PNG of an instance."""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from curate.decoding import DecoderDiedError, pixel_array

SIDE_PIXELS = 192
_MOST_PIXELS = 1 << 24  # of a frame that is windowed whole; of larger ones a grid is


def preview(data: bytes) -> bytes | None:
    """A PNG, 8 bit, at most 192 pixels a side, of the middle frame; None where nothing can be decoded.

    Grey images are shown through their first window, or between their 1st and 99th percentile (PS3.3 C.11).

    Raises:
        DecoderDiedError: the decoder died of the frame.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset = pydicom.dcmread(io.BytesIO(data))
            if "PixelData" not in dataset:
                return None
            frames = int(dataset.get("NumberOfFrames") or 1)
            pixels = pixel_array(dataset, index=frames // 2 if frames > 1 else None)
            step = int((pixels.shape[0] * pixels.shape[1] / _MOST_PIXELS) ** 0.5) + 1
            pixels = pixels[::step, ::step] if step > 1 else pixels
            shown = pixels if pixels.ndim == 3 else _grey(dataset, pixels)
    except DecoderDiedError:
        raise
    except Exception:  # decoders raise what they like; a study without a preview is still a study
        return None
    return _png(_eight_bit(shown))


def _grey(dataset: pydicom.Dataset, pixels: npt.NDArray[np.generic]) -> npt.NDArray[np.float64]:
    """Values between 0 and 1, dark to bright."""
    values = np.asarray(apply_modality_lut(pixels, dataset), dtype=np.float64)
    if dataset.get("WindowWidth") or "VOILUTSequence" in dataset:
        values = np.asarray(apply_voi_lut(values, dataset), dtype=np.float64)
        low, high = float(values.min()), float(values.max())
    else:
        low, high = (float(v) for v in np.percentile(values, (1, 99)))
    scaled = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    return 1 - scaled if dataset.get("PhotometricInterpretation") == "MONOCHROME1" else scaled


def _eight_bit(values: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return np.asarray(values, dtype=np.uint8)
    floats = np.asarray(values, dtype=np.float64)
    top = 1.0 if values.dtype == np.float64 else float(floats.max()) or 1.0
    return np.asarray(np.round(np.clip(floats / top, 0, 1) * 255), dtype=np.uint8)


def _png(values: npt.NDArray[np.uint8]) -> bytes:
    image = Image.fromarray(values)
    image.thumbnail((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.BOX)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=False, compress_level=6)
    return out.getvalue()
