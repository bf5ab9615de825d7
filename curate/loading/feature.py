"""A feature of `datasets` for DICOM: `ds.cast_column("dicom", curate.Dicom())` yields arrays."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Value
from datasets.features import features
from datasets.table import array_cast
from datasets.utils.file_utils import is_local_path, xopen
from pydicom.dataset import Dataset

from curate.core.errors import InputError
from curate.loading.images import pixels, read_instance

_MEDIA = pa.struct({"bytes": pa.binary(), "path": pa.string()})


@dataclass
class Dicom:
    """A column of DICOM Part 10 files.

    Decoded, a row is its pixels as a numpy array (`Dicom()`), its pydicom data set (`Dicom("dataset")`), or
    the bytes and path as they are stored (`Dicom("bytes")`). The pixels are the stored values, not rescaled:
    (rows, columns), with frames before and samples behind; `None` for an instance that holds none.
    """

    decode_as: Literal["array", "dataset", "bytes"] = "array"
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "numpy.ndarray"
    pa_type: ClassVar[Any] = _MEDIA
    _type: str = field(default="Dicom", init=False, repr=False)

    def __post_init__(self) -> None:
        if self.decode_as not in ("array", "dataset", "bytes"):
            raise InputError(f"{self.decode_as!r} is no way to decode DICOM.", hint="Use array, dataset or bytes.")

    @property
    def decode(self) -> bool:
        """Whether rows are decoded; `datasets` asks for it."""
        return self.decode_as != "bytes"

    def __call__(self) -> pa.DataType:
        """The type in which Arrow stores it."""
        return self.pa_type

    def encode_example(self, value: Any) -> dict[str, Any]:
        """What is stored of a path, bytes, a data set, or a stored cell.

        Raises:
            InputError: it is none of these.
        """
        if isinstance(value, str | Path):
            return {"bytes": None, "path": str(value)}
        if isinstance(value, bytes | bytearray | memoryview):
            return {"bytes": bytes(value), "path": None}
        if isinstance(value, Dataset):
            buffer = io.BytesIO()
            value.save_as(buffer, enforce_file_format=True)
            return {"bytes": buffer.getvalue(), "path": None}
        if isinstance(value, dict) and (value.get("bytes") is not None or value.get("path") is not None):
            return {"bytes": value.get("bytes"), "path": value.get("path")}
        if isinstance(value, dict) and any(isinstance(key, int) for key in value):
            raise InputError(  # pydicom's `__array__` gives its elements, without the file's meta information
                "`datasets` takes a pydicom data set apart before it is stored.",
                hint="Give its bytes or path; or store what curate.Dicom().encode_example(dataset) gives.",
            )
        raise InputError(
            f"A {type(value).__name__} is not stored as DICOM.",
            hint="Give a path, bytes, or a pydicom data set.",
        )

    def decode_example(
        self,
        value: Any,
        token_per_repo_id: dict[str, Any] | None = None,  # noqa: ARG002  (the library's own)
    ) -> npt.NDArray[Any] | Dataset | None:
        """The array, or data set, of a stored cell.

        Raises:
            InputError: it is not DICOM, or the installed decoders do not read it.
        """
        if isinstance(value, np.ndarray | Dataset):
            return value  # decoding twice gives the same
        if value.get("bytes") is None and value.get("path") and not is_local_path(value["path"]):
            with xopen(value["path"], "rb") as file:
                value = {"bytes": file.read(), "path": value["path"]}
        found = read_instance(value)
        if self.decode_as == "dataset":
            return found
        has_pixels = any(name in found for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
        return pixels(found) if has_pixels else None

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """Arrow's array of paths, of bytes, or of a struct of either or both, in the type of this feature."""
        kind = storage.type
        if pa.types.is_struct(kind):
            parts = {kind.field(n).name: storage.field(n) for n in range(kind.num_fields)}
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            parts = {"path": storage}
        else:
            parts = {"bytes": storage}
        arrays = [parts.get(f.name, pa.nulls(len(storage), f.type)) for f in self.pa_type]
        made = pa.StructArray.from_arrays(arrays, ["bytes", "path"], mask=storage.is_null())
        return array_cast(made, self.pa_type)

    def embed_storage(self, storage: pa.Array, *_: Any, **__: Any) -> pa.Array:
        """The same with each file's bytes in it, for `to_parquet` and `push_to_hub`."""
        return array_cast(pa.array([_embedded(row) for row in storage.to_pylist()], self.pa_type), self.pa_type)

    def flatten(self) -> Any:
        """Itself while it decodes, else its parts."""
        return self if self.decode else {"bytes": Value("binary"), "path": Value("string")}


def _embedded(row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None or row["bytes"] is not None:
        return row
    with xopen(row["path"], "rb") as file:
        return {"bytes": file.read(), "path": Path(row["path"]).name}


if "Dicom" not in features._FEATURE_TYPES:  # registering twice warns
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library calls this experimental, once a process
        features.register_feature(Dicom, "Dicom")
