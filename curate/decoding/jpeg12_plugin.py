"""JPEG Extended of 12 bits for pydicom: its own GDCM plugin refuses what GDCM decodes bit by bit.

GDCM tries its 8-bit codec first, whose complaint goes to standard error: the decoder process has none.
"""

from __future__ import annotations

import gdcm
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder
from pydicom.uid import JPEGExtended12Bit

LABEL = "curate-gdcm"
DECODER_DEPENDENCIES = {JPEGExtended12Bit: ("gdcm>=3.0.10",)}  # pydicom asks its plugins for this name


def is_available(uid: str) -> bool:
    """Whether this plugin decodes a transfer syntax: what pydicom asks."""
    return uid in DECODER_DEPENDENCIES


def register() -> None:
    """Let pydicom decode 12-bit JPEG Extended in this process, which is the decoder's, from now on."""
    decoder = get_decoder(JPEGExtended12Bit)
    if LABEL not in decoder.available_plugins:
        decoder.add_plugin(LABEL, (__name__, "decode_frame"))


def decode_frame(frame: bytes, runner: DecodeRunner) -> bytes:
    """The stored values of one frame, little endian, `bits_allocated` wide.

    Raises:
        ValueError: GDCM does not decode it.
    """
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((runner.columns, runner.rows, 1))
    image.SetDataElement(_element(frame))
    kind = gdcm.PhotometricInterpretation.GetPIType(str(runner.photometric_interpretation))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(JPEGExtended12Bit))))
    bits = (runner.bits_allocated, runner.bits_stored, runner.bits_stored - 1)
    image.SetPixelFormat(gdcm.PixelFormat(runner.samples_per_pixel, *bits, runner.pixel_representation))
    data: bytes = image.GetBuffer().encode("utf-8", "surrogateescape")  # GDCM's str holds bytes
    if len(data) < runner.frame_length(unit="bytes"):
        raise ValueError("GDCM gave less than a frame")
    return data


def _element(frame: bytes) -> gdcm.DataElement:
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    return element
