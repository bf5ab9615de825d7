"""What the decoder process does with coded frames; which library decodes what is decided here."""

from __future__ import annotations

import io
import logging
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin, PngImagePlugin
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import UID

from curate.decoding import jpeg12_plugin, streams

_WARM = 64  # pixels a side of what every library is used on first
_NARROW = 8  # bits: more, in JPEG with loss, GDCM alone decodes
_ENCODER = {streams.RLE: "pydicom"}


def do(request: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
    """The answer to a request, in words and bytes."""
    kind = request["do"]
    if kind == "decode":
        return _decode(request, payload)
    if kind == "encode":
        return _encode(request, payload)
    return _png(payload, request["largest"]), b""


def _plugins(syntax: str, precision: int) -> tuple[str, ...]:
    """The libraries that are tried for a frame, by pydicom's names: GDCM only where no other decodes it."""
    if syntax in (streams.JPEG_BASELINE, streams.JPEG_EXTENDED):
        return ("pillow",) if precision <= _NARROW else (jpeg12_plugin.LABEL,)
    if syntax in streams.JPEG_LOSSLESS:
        return ("gdcm",)
    if syntax in streams.JPEG_LS:
        return ("pyjpegls",)
    if syntax == streams.RLE:
        return ("pydicom",)
    return ("pylibjpeg", "pillow") if syntax in streams.JPEG_2000 else ("pylibjpeg",)


def _decode(request: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
    syntax = request["syntax"]
    decoder = get_decoder(UID(syntax))
    source = encapsulate([payload], has_bot=False)
    failed: Exception = NotImplementedError()
    for plugin in _plugins(syntax, request["precision"]):
        if plugin not in decoder.available_plugins:
            continue
        try:
            values, _ = decoder.as_array(
                source, index=0, raw=request["raw"], decoding_plugin=plugin, **request["options"]
            )
        except Exception as error:  # the next one may read it
            failed = error
            continue
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        return {"dtype": values.dtype.str, "shape": list(values.shape)}, values.tobytes()
    raise failed


def _encode(request: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
    syntax, options = request["syntax"], dict(request["options"])
    encoder = get_encoder(UID(syntax))
    plugin = _ENCODER.get(syntax, "")
    if "shape" in request:
        array = np.frombuffer(payload, request["dtype"]).reshape(request["shape"])
        return {}, bytes(encoder.encode(array, encoding_plugin=plugin, **options))
    return {}, bytes(encoder.encode(payload, index=0, encoding_plugin=plugin, **options))


def _png(data: bytes, largest: int) -> dict[str, Any]:
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        if max(image.size) > largest:
            raise ValueError
        image.load()
        return {"format": image.format, "dimensions": list(image.size), "info": sorted(map(str, image.info))}


def warm_up() -> None:
    """Use every library once, so that none opens a file later."""
    logging.disable(logging.CRITICAL)  # pydicom logs what a decoder says, which can quote values
    Image.MAX_IMAGE_PIXELS = None  # the frame's own header was compared with the data set
    jpeg12_plugin.register()
    grey = np.tile(np.arange(_WARM, dtype=np.uint8), (_WARM, 1))
    options: dict[str, Any] = {
        "rows": _WARM,
        "columns": _WARM,
        "samples_per_pixel": 1,
        "number_of_frames": 1,
        "bits_allocated": 8,
        "bits_stored": 8,
        "pixel_representation": 0,
        "photometric_interpretation": "MONOCHROME2",
    }
    picture = io.BytesIO()
    Image.fromarray(grey).save(picture, "PNG")
    _png(picture.getvalue(), _WARM)
    jpeg = io.BytesIO()
    Image.fromarray(grey).save(jpeg, "JPEG")
    coded = {streams.JPEG_BASELINE: jpeg.getvalue()}
    for syntax in (streams.RLE, min(streams.JPEG_LS), min(streams.JPEG_2000)):
        request: dict[str, Any] = {"syntax": syntax, "options": options}
        request |= {"dtype": "|u1", "shape": [_WARM, _WARM]}
        coded[syntax] = _encode(request, grey.tobytes())[1]
    for syntax, frame in coded.items():
        for raw in (True, False):
            _decode({"syntax": syntax, "precision": 8, "options": options, "raw": raw}, frame)
    colour = {"samples_per_pixel": 3, "planar_configuration": 0, "photometric_interpretation": "YBR_FULL_422"}
    jpeg = io.BytesIO()
    Image.fromarray(np.stack([grey] * 3, -1)).save(jpeg, "JPEG")
    request = {"syntax": streams.JPEG_BASELINE, "precision": 8, "raw": False, "options": options | colour}
    _decode(request, jpeg.getvalue())


assert JpegImagePlugin
assert PngImagePlugin  # imported for what they register
