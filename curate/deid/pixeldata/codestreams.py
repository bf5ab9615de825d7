"""What a coded frame must be, whatever its coding: just the image that the data set states, and nothing besides.

Pixels are not decoded: each coding has a module (`jpeg`, `jpeg2000`, `rle`) whose function takes a frame's bytes and
gives the pieces of the clean one, the coded image data untouched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from curate.dicom.model import Bytes, MalformedError

_LONGEST_CHANCE, _LETTERS = 10, 6  # bytes, different ones among them
_TEXT = re.compile(rb"[A-Za-z0-9 ^=._-]{%d}" % _LONGEST_CHANCE)
_FILLING = b"\0\n\r "


@dataclass(frozen=True, slots=True)
class Stated:
    """What the attributes say of one frame (PS3.3 C.7.6.3): its size, samples a pixel, bits a sample."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    high: int
    signed: bool


def malformed() -> MalformedError:
    """The refusal of a frame that is not what its coding's standard says."""
    return MalformedError("CODESTREAM_MALFORMED", "PixelData")


def require(stated: Stated, rows: int, columns: int, samples: int, precision: int) -> None:
    """Refuse a coded image that is not the one which the data set states.

    Fewer bits than stored ones are no more than is stated; more may hold what no reader is told of.

    Raises:
        MalformedError: PIXELS_NOT_AS_STATED, or PIXELS_MORE_BITS where it is the bits alone.
    """
    if (rows, columns, samples) != (stated.rows, stated.columns, stated.samples):
        raise MalformedError("PIXELS_NOT_AS_STATED", "PixelData")
    if not 0 < precision <= stated.stored:
        raise MalformedError("PIXELS_MORE_BITS", "PixelData")


def refuse_another(rest: Bytes, start: bytes) -> None:
    """Refuse a frame behind whose end another image begins: it would be lost without a word.

    Raises:
        MalformedError: FRAGMENTS_MALFORMED.
    """
    if bytes(rest[:64]).lstrip(_FILLING).startswith(start):
        raise MalformedError("FRAGMENTS_MALFORMED", "PixelData")


def refuse_text(data: Bytes, end: int) -> None:
    """Refuse coded data that ends in text, which decoders would not read; by chance one frame in 700,000 does.

    Letters of one byte or of two (UTF-16) are text. Few different bytes are the repetition that an even
    background is coded as.
    """
    last = bytes(data[max(0, end - 2 * _LONGEST_CHANCE) : end])
    for letters in (last[-_LONGEST_CHANCE:], last[::2], last[1::2]):
        if len(set(letters)) >= _LETTERS and _TEXT.fullmatch(letters):
            raise malformed()
