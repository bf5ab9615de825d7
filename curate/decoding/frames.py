"""What callers ask of the decoder process: a frame of pixels for its coded bytes, and the other way round."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curate.decoding import client, streams
from curate.decoding.errors import UndecodableError

if TYPE_CHECKING:
    from pydicom import Dataset

Array = npt.NDArray[Any]
SECONDS = "CURATE_DECODER_SECONDS"
"""The variable that says how much processor time one frame may take, in place of what its size allows."""

_KINDS = frozenset(("|u1", "|i1", "<u2", "<i2", "<u4", "<i4"))
_NEEDED = ("rows", "columns", "samples_per_pixel", "bits_allocated")


def decoded(frame: bytes, syntax: str, options: Mapping[str, Any], *, raw: bool = False) -> Array:
    """The stored values of one coded frame: (rows, columns), or (rows, columns, samples).

    `options` are the image's attributes as pydicom's decoders name them; unless `raw`, YBR becomes RGB.

    Raises:
        UndecodableError: its own header is not what `options` say, or no decoder reads it.
        DecoderDiedError: its decoder died of it.
    """
    rows, columns, samples, allocated = (_number(options, name) for name in _NEEDED)
    known = streams.agree(frame, syntax, rows=rows, columns=columns, samples=samples, allocated=allocated)
    plain = {name: _plain(value) for name, value in options.items()} | {"number_of_frames": 1}
    request = {
        "do": "decode",
        "syntax": str(syntax),
        "options": plain,
        "raw": raw,
        "precision": known.precision if known else 0,
        **_limits(rows * columns * samples, len(frame)),
    }
    answer, data = client.ask(request, frame)
    shape = (rows, columns, samples) if samples > 1 else (rows, columns)
    return _array(answer, data, shape)


def encoded(frame: Array | bytes, syntax: str, options: Mapping[str, Any]) -> bytes:
    """One frame in a transfer syntax that is encoded without loss.

    Raises:
        UndecodableError: no encoder writes it.
        DecoderDiedError: its encoder died of it.
    """
    rows, columns, samples, _ = (_number(options, name) for name in _NEEDED)
    plain = {name: _plain(value) for name, value in options.items()} | {"number_of_frames": 1}
    request: dict[str, Any] = {"do": "encode", "syntax": str(syntax), "options": plain}
    if isinstance(frame, np.ndarray):
        little = np.ascontiguousarray(frame, frame.dtype.newbyteorder("<"))
        request |= {"dtype": little.dtype.str, "shape": list(little.shape)}
        frame = little.tobytes()
    _, data = client.ask(request | _limits(rows * columns * samples, len(frame)), frame)
    return bytes(data)


def png_of(data: bytes, largest: int) -> dict[str, Any]:
    """The format, size and further entries of a picture of at most `largest` pixels a side, all its pixels read.

    Raises:
        UndecodableError: it is none, a larger one, or a damaged one.
        DecoderDiedError: its decoder died of it.
    """
    request = {"do": "png", "largest": largest, **_limits(4 * largest * largest, len(data))}
    return client.ask(request, data)[0]


def pixel_array(dataset: Dataset, *, index: int | None = None, raw: bool = False) -> Array:
    """What pydicom's function of this name gives, all frames or one: coded frames are decoded apart.

    Raises:
        UndecodableError: the pixels cannot be decoded; DecoderDiedError: a decoder died of them.
        Exception: what pydicom raises of uncompressed pixels that are not what the data set says.
    """
    from pydicom.pixels.utils import as_pixel_options
    from pydicom.pixels.utils import pixel_array as native

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return np.asarray(native(dataset, index=index, raw=raw))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they can quote values
        options = as_pixel_options(dataset)
    count = int(options["number_of_frames"])
    offsets = options.pop("extended_offsets", None)
    coded = _coded(dataset.PixelData, count, offsets, index)
    found: list[Array] = []
    for frame in coded:
        try:
            found.append(decoded(frame, syntax, options, raw=raw))
        except UndecodableError:
            if index is not None or len(found) < count:
                raise
            break  # what follows the stated frames and is none
    if len(found) < (1 if index is not None else count):
        raise UndecodableError("FramesMissing")
    return found[0] if index is not None or len(found) == 1 else np.stack(found)


def _coded(data: bytes, count: int, offsets: Any, index: int | None) -> Iterator[bytes]:
    """Coded frames, one at a time."""
    from pydicom.encaps import generate_frames, get_frame

    try:
        if index is not None:
            yield get_frame(data, index, number_of_frames=count, extended_offsets=offsets)
        else:
            yield from generate_frames(data, number_of_frames=count, extended_offsets=offsets)
    except (ValueError, IndexError, EOFError) as error:  # the fragments are no frames
        raise UndecodableError(type(error).__name__) from None


def _number(options: Mapping[str, Any], name: str) -> int:
    value = options.get(name)
    if not isinstance(value, int) or not 0 < value < 1 << 31:
        raise UndecodableError("AttributesMissing")
    return int(value)


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    return (
        value
        if isinstance(value, int) and not isinstance(value, bool) and type(value) is int
        else (int(value) if isinstance(value, int) else str(value) if value is not None else None)
    )


def _limits(samples: int, size: int) -> dict[str, float]:
    """Bytes of memory beyond an idle decoder's, and seconds of processor time: generous for what is stated."""
    try:
        seconds = float(os.environ.get(SECONDS, ""))
    except ValueError:
        seconds = 0.0
    return {"memory": (256 << 20) + 24 * samples + 8 * size, "seconds": seconds or 5 + samples / 200_000}


def _array(answer: Mapping[str, Any], data: bytearray, shape: tuple[int, ...]) -> Array:
    """The pixels, if they are what was asked for: nothing that a decoder says is believed."""
    kind = answer.get("dtype")
    if kind not in _KINDS or answer.get("shape") != list(shape):
        raise UndecodableError("AnswerOdd")
    dtype = np.dtype(str(kind))
    if len(data) != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise UndecodableError("AnswerOdd")
    return np.frombuffer(data, dtype).reshape(shape)
