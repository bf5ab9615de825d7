"""Frames as a person looks at them: through windows, 8 bits, at full size."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from curate.decoding import DecoderDiedError, pixel_array

_CT_WINDOWS = (("soft tissue", 40.0, 400.0), ("lung", -600.0, 1500.0), ("bone", 500.0, 2000.0))


@dataclass(frozen=True, slots=True)
class Window:
    """What is shown of the values: all of them, those that the header says, or a level and width.

    Levels and widths are in the image's output units, Hounsfield units in CT (PS3.3 C.11.2).
    """

    name: str
    center: float | None = None
    width: float | None = None

    @property
    def slug(self) -> str:
        """The name as part of a file's name."""
        return self.name.replace(" ", "-")


EVERYTHING, STATED = Window("full range"), Window("as stated")


def windows(modality: str, *, color: bool) -> tuple[Window, ...]:
    """The windows to look through: always the full range, in which nothing that was burned in can hide outside."""
    if color:
        return (EVERYTHING,)
    presets = tuple(Window(*preset) for preset in _CT_WINDOWS) if modality == "CT" else ()
    return (STATED, EVERYTHING, *presets)


def frames(dataset: pydicom.Dataset) -> Iterator[npt.NDArray[np.generic]]:
    """Every frame of an instance, one decoded at a time: (rows, columns) or (rows, columns, 3).

    Raises:
        DecoderDiedError: its decoder died of it.
        ValueError: no decoder serves the transfer syntax, or the pixels are damaged.
    """
    count = int(dataset.get("NumberOfFrames") or 1)
    for index in range(count):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield pixel_array(dataset, index=index if count > 1 else None)
        except DecoderDiedError:
            raise
        except Exception:  # decoders raise what they like
            raise ValueError("the pixels cannot be decoded") from None


def shown(dataset: pydicom.Dataset, frame: npt.NDArray[np.generic], window: Window) -> npt.NDArray[np.uint8]:
    """A frame through a window: 8 bits, dark to bright."""
    if frame.ndim == 3:
        shift = 8 * (frame.dtype.itemsize - 1)  # colour of 16 bits: its upper half
        return np.asarray(np.asarray(frame, np.int64) >> shift, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = np.asarray(apply_modality_lut(frame, dataset), np.float64)
        if window is STATED and (dataset.get("WindowWidth") or "VOILUTSequence" in dataset):
            values = np.asarray(apply_voi_lut(values, dataset), np.float64)
    low, high = float(values.min()), float(values.max())
    if window.center is not None and window.width is not None:
        low, high = window.center - window.width / 2, window.center + window.width / 2
    scaled = np.clip((values - low) / ((high - low) or 1.0), 0, 1)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        scaled = 1 - scaled
    return np.asarray(np.round(scaled * 255), np.uint8)
