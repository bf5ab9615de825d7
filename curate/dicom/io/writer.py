"""Elements to bytes: one canonical form, so that equal content is equal bytes.

Explicit VR little endian, defined lengths, no group lengths, zero preamble, file meta of `curate`'s own.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from operator import attrgetter

from curate.dicom import tags
from curate.dicom.dictionary import CHARSET_TEXT, LONG
from curate.dicom.model import Bytes, Element, Fragments, Item

IMPLEMENTATION_UID = "2.25.171098361474120923163283911943172634317"
IMPLEMENTATION_NAME = "CURATE_1"

_SHORT = struct.Struct("<HH2sH").pack
_LONG = struct.Struct("<HH2sHL").pack
_ENCODED, _WIDE = attrgetter("encoded"), attrgetter("wide")
_ITEM = struct.Struct("<HHL").pack
_PAD_SPACE = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT"))
_LONGEST_SHORT = 0xFFFE


def head(tag: int, vr: str, length: int) -> bytes:
    """An element's header; a value too long for a short VR is stated as UN (PS3.5 6.2.2)."""
    group, number = tag >> 16, tag & 0xFFFF
    if vr in LONG:
        return _LONG(group, number, vr.encode(), 0, length)
    if length > _LONGEST_SHORT:
        return _LONG(group, number, b"UN", 0, length)
    return _SHORT(group, number, vr.encode(), length)


def encode(element: Element) -> bytes:
    """The bytes of an element, kept with it: elements never change."""
    if element.encoded is None:
        value = element.value
        if isinstance(value, list):
            body = b"".join(encode_item(item) for item in value)
            element.wide = any(is_wide(item) for item in value)
        elif isinstance(value, Fragments):
            raise TypeError("encapsulated pixels are written in pieces")
        else:
            body = padded(element.vr, bytes(value))
            element.wide = element.vr in CHARSET_TEXT and not body.isascii()
        element.encoded = head(element.tag, element.vr, len(body)) + body
    return element.encoded


def padded(vr: str, value: bytes) -> bytes:
    """A value of even length."""
    if len(value) % 2 == 0:
        return value
    return value + (b" " if vr in _PAD_SPACE else b"\0")


def encode_elements(item: Item) -> bytes:
    """All elements of an item in the order of their tags."""
    elements = list(map(item.__getitem__, _sorted(tuple(item))))
    encoded = list(map(_ENCODED, elements))
    if None in encoded:
        encoded = [element.encoded or encode(element) for element in elements]
    return b"".join(encoded)


@lru_cache(maxsize=64)
def _sorted(tags: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(tags))


def encode_item(item: Item) -> bytes:
    """An item with its header, of defined length."""
    body = encode_elements(item)
    return _ITEM(0xFFFE, 0xE000, len(body)) + body


def is_wide(item: Item) -> bool:
    """Whether any text in an encoded item needs more than ASCII."""
    return any(map(_WIDE, item.values()))


def file_head(sop_class: str, sop_instance: str, syntax: str) -> bytes:
    """Preamble, prefix and group 0002 (PS3.10 7.1): nothing in it comes from the original file."""
    instance = encode(Element(tags.MediaStorageSOPInstanceUID, "UI", sop_instance.encode()))
    before, after = _meta(sop_class, syntax)
    length = len(before) + len(instance) + len(after)
    return b"".join(
        (bytes(128), b"DICM", _SHORT(2, 0, b"UL", 4), length.to_bytes(4, "little"), before, instance, after)
    )


@lru_cache(maxsize=256)
def _meta(sop_class: str, syntax: str) -> tuple[bytes, bytes]:
    before = (
        Element(tags.FileMetaInformationVersion, "OB", b"\0\1"),
        Element(tags.MediaStorageSOPClassUID, "UI", sop_class.encode()),
    )
    after = (
        Element(tags.TransferSyntaxUID, "UI", syntax.encode()),
        Element(tags.ImplementationClassUID, "UI", IMPLEMENTATION_UID.encode()),
        Element(tags.ImplementationVersionName, "SH", IMPLEMENTATION_NAME.encode()),
    )
    return b"".join(map(encode, before)), b"".join(map(encode, after))


def native_chunks(tag: int, vr: str, value: Bytes) -> list[Bytes]:
    """A bulk element in pieces, so that its bytes are not copied."""
    pad = [b"\0"] if len(value) % 2 else []
    return [head(tag, vr, len(value) + len(pad)), value, *pad]


def encapsulated_chunks(tag: int, frames: list[list[Bytes]]) -> list[Bytes]:
    """Encapsulated pixels: one fragment a frame; offsets where there are several frames (PS3.5 A.4)."""
    sizes = [sum(map(len, frame)) for frame in frames]
    offsets, place = [], 0
    for size in sizes:
        offsets.append(place)
        place += 8 + size + size % 2
    table = b"" if len(frames) < 2 or place > 0xFFFFFFFF else struct.pack(f"<{len(offsets)}L", *offsets)
    chunks: list[Bytes] = [head(tag, "OB", 0xFFFFFFFF), _ITEM(0xFFFE, 0xE000, len(table)), table]
    for frame, size in zip(frames, sizes, strict=True):
        chunks.append(_ITEM(0xFFFE, 0xE000, size + size % 2))
        chunks.extend(frame)
        if size % 2:
            chunks.append(b"\0")
    chunks.append(_ITEM(0xFFFE, 0xE0DD, 0))
    return chunks
