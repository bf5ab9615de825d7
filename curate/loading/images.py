"""From a row of `images` to a pydicom data set and its pixels."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from curate.core.errors import InputError
from curate.decoding import DecoderDiedError, UndecodableError, pixel_array

Row = Mapping[str, Any] | Dataset | bytes | str | Path


def read_instance(row: Row) -> Dataset:
    """The pydicom data set of a row of `images`; a cell `dicom`, bytes, or a path will do as well.

    Raises:
        InputError: nothing of it is DICOM.
    """
    if isinstance(row, Dataset):
        return row
    cell = row.get("dicom", row) if isinstance(row, Mapping) else row
    if isinstance(cell, Dataset):
        return cell
    if isinstance(cell, Mapping):
        cell = cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
    if isinstance(cell, np.ndarray):
        raise InputError(
            "The column was cast to arrays: nothing but the pixels is left.",
            hint='Cast it by curate.Dicom("dataset"), or leave it as it is.',
        )
    if not isinstance(cell, bytes | bytearray | memoryview | str | Path):
        raise InputError("This row has no column dicom.", hint='Load the config "images", or give bytes or a path.')
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a reader's warnings can quote values
            return pydicom.dcmread(cell if isinstance(cell, str | Path) else io.BytesIO(cell))
    except (InvalidDicomError, EOFError, OSError) as error:
        raise InputError(
            f"This is not a DICOM file that can be read ({type(error).__name__}).",
            hint="Run `curate check` on the release it is from.",
        ) from None


def datasets_of(rows: Row | Iterable[Row]) -> list[Dataset]:
    """The data sets of one row or several, in their order."""
    if isinstance(rows, Mapping | Dataset | bytes | str | Path):
        rows = [rows]
    return [read_instance(row) for row in rows]


def pixels(dataset: Dataset, *, raw: bool = False) -> npt.NDArray[Any]:
    """The stored values of an instance, (rows, columns), with frames before and samples behind.

    Raises:
        InputError: it holds no pixels, or none that the installed decoders read.
    """
    if not any(name in dataset for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData")):
        raise InputError(
            f"An instance of class {_class(dataset)} holds no pixels.", hint="Choose series that hold images."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return pixel_array(dataset, raw=raw)
    except DecoderDiedError:
        raise InputError(
            "The pixels cannot be decoded: the decoder's process ended over them.",
            hint="Leave the instance out: it is damaged, or made to break decoders.",
        ) from None
    except Exception as error:  # decoders raise what they like
        syntax = dataset.file_meta.TransferSyntaxUID if "TransferSyntaxUID" in dataset.file_meta else None
        reason = error.reason if isinstance(error, UndecodableError) else type(error).__name__
        raise InputError(
            f"The pixels cannot be decoded: transfer syntax {syntax.name if syntax else 'unknown'} ({reason}).",
            hint="Install a decoder for it: see pydicom's page on compressed pixel data.",
        ) from error


def _class(dataset: Dataset) -> str:
    uid = dataset.get("SOPClassUID")
    return str(getattr(uid, "name", uid))
