"""The rewriting of an instance whose coded pixels must be decoded for it: coded anew, or compared in their colours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from curate.deid.pixeldata import unused_bits
from curate.deid.pixeldata.container import RLE, Shape, shape_of
from curate.deid.pixeldata.pixel_module import LOSSLESS, LOSSY, pixels_of
from curate.deid.records import Rewritten, StudyContext
from curate.deid.rewrite import rewrite_parsed
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.io.reader import parse
from curate.dicom.model import PIXEL_DATA, Bytes, Element, Fragments, Item, MalformedError
from curate.policies import Policy

if TYPE_CHECKING:
    from curate.pixels.image import Frame

_MORE_BITS = "PIXELS_MORE_BITS"
_JPEG_LS = "1.2.840.10008.1.2.4.80"
_EXPLICIT = "1.2.840.10008.1.2.1"
_WIDEST = 16  # bits a sample that are coded anew


def rewritten(parsed: Parsed, context: StudyContext, policy: Policy) -> Rewritten:
    """The clean form of an instance that shows what it showed before.

    Coded samples of more bits than are stored are coded anew with the stored ones, without loss.

    Raises:
        MalformedError: the rule by which it is refused; REWRITE_NOT_CLEAN where its colours would be others.
    """
    try:
        made = rewrite_parsed(parsed, context, policy)
    except MalformedError as error:
        if error.rule != _MORE_BITS:
            raise
        made = rewrite_parsed(_of_stored_bits(parsed), context, policy)
        return replace(made, applied={**made.applied, "PIXEL_UNUSED_BITS": 1})
    _require_same_colours(parsed, made)
    return made


def _of_stored_bits(parsed: Parsed) -> Parsed:
    """The same instance with its grey pixels coded anew, without loss, in the bits that are stored."""
    from curate.pixels.lossless import SYNTAXES, Grey, encoded

    item = parsed.dataset
    shape = shape_of(item)
    if shape.samples != 1 or shape.allocated > _WIDEST or shape.high != shape.stored - 1:
        raise MalformedError(_MORE_BITS, "PixelData")
    native = b"".join(bytes(_stored_bits(frame, shape, parsed.transfer_syntax)) for frame in _decoded(parsed))
    grey = Grey(
        shape.rows,
        shape.columns,
        shape.frames,
        shape.allocated,
        shape.stored,
        shape.signed,
        shape.photometric,
    )
    syntax = SYNTAXES["jpeg-ls" if parsed.transfer_syntax == _JPEG_LS else "jpeg-2000"]
    frames = encoded(native, grey, syntax)
    other = Item(item, item.encodings)
    if frames is None:
        syntax = _EXPLICIT
        other[PIXEL_DATA] = Element(PIXEL_DATA, "OW", native + b"\0" * (len(native) % 2))
    else:
        padded = tuple(frame + b"\0" * (len(frame) % 2) for frame in frames)
        other[PIXEL_DATA] = Element(PIXEL_DATA, "OB", Fragments(b"", padded))
    if parsed.transfer_syntax not in LOSSLESS and LOSSY not in other:
        other.put(LOSSY, "CS", b"01")
    return Parsed(parsed.meta, other, syntax, parsed.findings)


def _decoded(parsed: Parsed) -> list[Frame]:
    from curate.pixels.image import Image, UndecodableError, stored

    fields = pixels_of(parsed)
    assert fields is not None
    image = Image(**fields)
    try:
        return [stored(image, index) for index in range(image.frames)]
    except UndecodableError:
        raise MalformedError(_MORE_BITS, "PixelData") from None


def _stored_bits(frame: Frame, shape: Shape, syntax: str) -> Bytes:
    """The samples of a frame, little endian, in the bits that are stored.

    Raises:
        MalformedError: PIXELS_MORE_BITS where a lossy coding goes beyond them: there bits are no planes of their own.
    """
    kind = np.dtype(f"<{'i' if shape.signed else 'u'}{shape.allocated // 8}")
    low, high = (-(1 << shape.high), (1 << shape.high) - 1) if shape.signed else (0, (1 << shape.stored) - 1)
    if syntax not in LOSSLESS and (int(frame.min()) < low or int(frame.max()) > high):
        raise MalformedError(_MORE_BITS, "PixelData")
    value = np.ascontiguousarray(frame.astype(kind)).tobytes()
    return unused_bits.cleared(value, shape.allocated, shape.stored, shape.high, signed=shape.signed)[0]


def _require_same_colours(parsed: Parsed, made: Rewritten) -> None:
    """Refuse an instance whose first frame has other colours than before: what decides them has been lost.

    Raises:
        MalformedError: REWRITE_NOT_CLEAN.
    """
    item = parsed.dataset
    pixels = item.get(PIXEL_DATA)
    if pixels is None or not isinstance(pixels.value, Fragments) or parsed.transfer_syntax == RLE:
        return
    if shape_of(item).samples == 1:
        return
    before, after = _first(parsed), _first(parse(b"".join(made.chunks)))
    if before is not None and (after is None or not np.array_equal(before, after)):
        raise MalformedError("REWRITE_NOT_CLEAN", "PixelData")


def _first(parsed: Parsed) -> Frame | None:
    """The first frame in the colours that a reader shows; None where none reads it."""
    from curate.pixels.image import Image, UndecodableError, stored

    fields = pixels_of(parsed)
    if fields is None:
        return None
    try:
        return stored(Image(**fields), 0)
    except UndecodableError:
        return None
