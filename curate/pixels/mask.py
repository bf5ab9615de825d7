"""Boxes made blank: every pixel outside keeps its value, and what was coded with loss is never coded so again.

Uncompressed pixels are changed in place. Frames coded without loss are coded again in their own transfer syntax, the
touched ones alone. Where that is not possible (a lossy syntax; no encoder), one object cannot mix transfer syntaxes, so
all frames are coded again without loss, from exactly what a reader decodes: JPEG 2000 Lossless.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from curate import decoding
from curate.pixels.image import Bytes, Frame, Image, UndecodableError, stored
from curate.pixels.text.text_detection import Box, Found

JPEG_2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
_OWN_ENCODER = {  # transfer syntaxes that hold frames without loss, and the syntax whose encoder writes them
    "1.2.840.10008.1.2.5": "1.2.840.10008.1.2.5",
    JPEG_2000_LOSSLESS: JPEG_2000_LOSSLESS,
    "1.2.840.10008.1.2.4.91": JPEG_2000_LOSSLESS,
}
_CHROMA_OF_BLACK = 128


@dataclass(frozen=True, slots=True, repr=False)
class Masked:
    """Pixels after masking: `native` or `encoded` as before, in a transfer syntax and colours of their own."""

    transfer_syntax: str
    photometric: str
    planar: int
    native: Bytes = b""
    encoded: Sequence[Bytes] = ()


def mask(image: Image, found: Iterable[Found]) -> Masked:
    """The pixels with each box of `found` made blank.

    Raises:
        UndecodableError: a frame that has to be coded again cannot be decoded.
    """
    boxes: dict[int, list[Box]] = defaultdict(list)
    for one in found:
        boxes[one.frame].append(one.box)
    if not image.encoded:
        return _native(image, boxes)
    own = _OWN_ENCODER.get(image.transfer_syntax)
    if own is not None:
        return _own(image, boxes, own)
    frames = [_blank(image, stored(image, index), boxes.get(index, ())) for index in range(image.frames)]
    encoded = [_encoded(image, frame, JPEG_2000_LOSSLESS) for frame in frames]
    return Masked(JPEG_2000_LOSSLESS, _photometric(image), 0, encoded=encoded)


def painted(image: Image, where: npt.NDArray[np.bool_], value: int) -> Masked:
    """The pixels of one grey frame with `value` at each of `where`; coded as before, without loss.

    Raises:
        UndecodableError: they cannot be decoded, or coded again in their own syntax.
    """
    frame = np.array(stored(image, 0))
    frame[where] = value
    if not image.encoded:
        data = bytearray(image.native)
        data[: frame.nbytes] = frame.tobytes()
        return Masked(image.transfer_syntax, image.photometric, image.planar, native=bytes(data))
    own = _OWN_ENCODER.get(image.transfer_syntax)
    if own is None:
        raise UndecodableError
    encoded = (_encoded(image, frame, own) if where.any() else image.encoded[0],)
    return Masked(image.transfer_syntax, image.photometric, image.planar, encoded=encoded)


def _native(image: Image, boxes: dict[int, list[Box]]) -> Masked:
    data = bytearray(image.native)
    if image.allocated == 1:
        _clear_bits(image, data, boxes)
    elif image.subsampled:
        _clear_subsampled(image, data, boxes)
    else:
        shape = (image.frames, image.rows, image.columns, image.samples)
        if image.planar and image.samples > 1:
            shape = (image.frames, image.samples, image.rows, image.columns)
        length = int(np.prod(shape))
        values = np.frombuffer(data, image.kind, length).reshape(shape)
        for index, members in boxes.items():
            if image.planar and image.samples > 1:
                _fill(image, values[index].transpose(1, 2, 0), members)
            else:
                _fill(image, values[index], members)
    return Masked(image.transfer_syntax, image.photometric, image.planar, native=bytes(data))


def _fill(image: Image, frame: Frame, boxes: Iterable[Box]) -> None:
    """Make boxes of a frame (rows, columns, samples) as dark as the frame's own darkest."""
    ink = _black(image, frame)
    for left, top, right, bottom in boxes:
        frame[top:bottom, left:right] = ink


def _black(image: Image, frame: Frame) -> Frame:
    values = np.zeros(frame.shape[-1] if frame.ndim == 3 else 1, frame.dtype)
    if image.palette is not None and frame.shape[-1] == 1:
        darkest = int(image.palette.astype(np.int32).sum(axis=1).argmin())
        values[:] = image.first + darkest
    elif image.floating:
        values[:] = min(frame[np.isfinite(frame)], default=0)
    elif image.samples == 1:
        values[:] = frame.max() if image.photometric == "MONOCHROME1" else frame.min()
    elif image.photometric.startswith("YBR_FULL") and not image.encoded:
        values[1:] = _CHROMA_OF_BLACK
    return values


def _clear_subsampled(image: Image, data: bytearray, boxes: dict[int, list[Box]]) -> None:
    """Two pixels share their colour, so a box begins and ends between pairs."""
    pairs = np.frombuffer(data, np.uint8, image.frames * image.rows * image.columns * 2)
    shaped = pairs.reshape(image.frames, image.rows, image.columns // 2, 4)
    for index, members in boxes.items():
        for left, top, right, bottom in members:
            shaped[index, top:bottom, left // 2 : -(-right // 2)] = (0, 0, _CHROMA_OF_BLACK, _CHROMA_OF_BLACK)


def _clear_bits(image: Image, data: bytearray, boxes: dict[int, list[Box]]) -> None:
    packed = np.frombuffer(data, np.uint8)
    count = image.frames * image.rows * image.columns
    bits = np.unpackbits(packed, bitorder="little")
    frames = bits[:count].reshape(image.frames, image.rows, image.columns)
    for index, members in boxes.items():
        for left, top, right, bottom in members:
            frames[index, top:bottom, left:right] = 0
    packed[:] = np.packbits(bits, bitorder="little")


def _own(image: Image, boxes: dict[int, list[Box]], syntax: str) -> Masked:
    encoded = [
        _encoded(image, _blank(image, stored(image, index), boxes[index]), syntax) if index in boxes else frame
        for index, frame in enumerate(image.encoded)
    ]
    return Masked(image.transfer_syntax, image.photometric, image.planar, encoded=encoded)


def _blank(image: Image, frame: Frame, boxes: Iterable[Box]) -> Frame:
    copy = np.array(frame)
    shaped = copy if copy.ndim == 3 else copy[:, :, None]
    _fill(image, shaped, boxes)
    return copy


def _photometric(image: Image) -> str:
    """Colours are decoded to RGB, which JPEG 2000 keeps without loss as YBR_RCT (PS3.5 8.2.4)."""
    return "YBR_RCT" if image.samples == 3 else image.photometric


def _encoded(image: Image, frame: Frame, syntax: str) -> bytes:
    options = image.options() | {"photometric_interpretation": "RGB" if image.samples == 3 else image.photometric}
    if image.samples == 3:
        options["planar_configuration"] = 0
        if syntax == JPEG_2000_LOSSLESS and image.photometric != "RGB":
            options["photometric_interpretation"] = "YBR_RCT"
    return decoding.encoded(frame, syntax, options)
