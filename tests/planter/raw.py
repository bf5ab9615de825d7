"""DICOM as bytes, without the rules: what pydicom would refuse to write, this writes."""

from __future__ import annotations

import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.91"
RLE = "1.2.840.10008.1.2.5"

LONG = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
WIDTH = {
    **dict.fromkeys(["US", "SS", "OW"], 2),
    **dict.fromkeys(["UL", "SL", "FL", "OL", "OF"], 4),
    **dict.fromkeys(["FD", "OD", "UV", "SV", "OV"], 8),
}
UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010


@dataclass(slots=True)
class Fragments:
    """Encapsulated pixel data: the Basic Offset Table's bytes, then the fragments."""

    table: bytes
    parts: list[bytes]
    tail: bytes = b""  # written after the last fragment, before the delimiter, as it is


@dataclass(slots=True, repr=False)
class Elem:
    """One element; `verbatim` replaces everything that would be written for it."""

    tag: int
    vr: str
    value: bytes | list[list[Elem]] | Fragments = b""
    undefined: bool = False
    wire: str = ""  # the VR to write where it is not the true one
    verbatim: bytes | None = None

    def __repr__(self) -> str:
        value = self.value[:40] if isinstance(self.value, bytes) else self.value
        return f"{self.tag:08X} {self.wire or self.vr}{'*' if self.undefined else ''} {value!r}"

    @property
    def items(self) -> list[list[Elem]]:
        """The items of a sequence; none of anything else."""
        return self.value if isinstance(self.value, list) else []

    @property
    def raw(self) -> bytes:
        """The bytes of a plain value; none of anything else."""
        return self.value if isinstance(self.value, bytes) else b""


Item = list[Elem]


@dataclass(slots=True, repr=False)
class Draft:
    """A file about to be written."""

    name: str
    items: Item
    syntax: str = EXPLICIT
    meta: Item = field(default_factory=list)
    preamble: bytes = bytes(128)
    trailing: bytes = b""
    bare: bool = False  # neither preamble nor file meta

    def __repr__(self) -> str:
        return f"<{self.name}, {self.syntax}: {self.items}>"

    def copy(self) -> Draft:
        """A draft that shares nothing with this one."""
        meta = list(self.meta)
        return Draft(self.name, _copied(self.items), self.syntax, meta, self.preamble, self.trailing, self.bare)


def _copied(items: Item) -> Item:
    return [
        replace(elem, value=[_copied(item) for item in elem.value])
        if isinstance(elem.value, list)
        else replace(elem, value=Fragments(elem.value.table, list(elem.value.parts), elem.value.tail))
        if isinstance(elem.value, Fragments)
        else replace(elem)
        for elem in items
    ]


def text(tag: int, vr: str, value: str | bytes, encoding: str = "utf-8") -> Elem:
    """An element of text, padded to even length."""
    raw = value if isinstance(value, bytes) else value.encode(encoding)
    pad = b"\0" if vr in ("UI", "OB", "UN") else b" "
    return Elem(tag, vr, raw + pad * (len(raw) % 2))


def sequence(tag: int, *items: Item, undefined: bool = False) -> Elem:
    """A sequence of items."""
    return Elem(tag, "SQ", list(items), undefined)


def _swap(vr: str, raw: bytes) -> bytes:
    width = WIDTH.get("US" if vr == "AT" else vr, 1)
    if width == 1 or len(raw) % width:
        return raw
    return b"".join(raw[at : at + width][::-1] for at in range(0, len(raw), width))


def _tag(tag: int, big: bool) -> bytes:
    return struct.pack(">HH" if big else "<HH", tag >> 16, tag & 0xFFFF)


def head(tag: int, vr: str, length: int, *, explicit: bool = True, big: bool = False) -> bytes:
    """Tag, VR and length of an element."""
    order = ">" if big else "<"
    if not explicit:
        return _tag(tag, big) + struct.pack(order + "I", length)
    if vr in LONG or length > 0xFFFF:
        return _tag(tag, big) + (vr if vr in LONG else "UN").encode() + struct.pack(order + "HI", 0, length)
    return _tag(tag, big) + vr.encode() + struct.pack(order + "H", length)


def _item(items: Item, undefined: bool, explicit: bool, big: bool) -> bytes:
    order = ">I" if big else "<I"
    body = encode(items, explicit=explicit, big=big)
    if undefined:
        end = _tag(0xFFFEE00D, big) + bytes(4)
        return _tag(0xFFFEE000, big) + struct.pack(order, UNDEFINED) + body + end
    return _tag(0xFFFEE000, big) + struct.pack(order, len(body)) + body


def _encode_one(elem: Elem, explicit: bool, big: bool) -> bytes:
    if elem.verbatim is not None:
        return elem.verbatim
    vr = elem.wire or elem.vr
    if isinstance(elem.value, Fragments):
        parts = [elem.value.table, *elem.value.parts]
        body = b"".join(_tag(0xFFFEE000, big) + struct.pack("<I", len(part)) + part for part in parts)
        return head(elem.tag, vr, UNDEFINED) + body + elem.value.tail + _tag(0xFFFEE0DD, big) + bytes(4)
    if isinstance(elem.value, list):
        implicit_inside = explicit and vr == "UN" and elem.undefined  # PS3.5 6.2.2 note 4
        inside = explicit and not implicit_inside
        body = b"".join(_item(item, elem.undefined, inside, big) for item in elem.value)
        if elem.undefined:
            end = _tag(0xFFFEE0DD, big) + bytes(4)
            return head(elem.tag, vr, UNDEFINED, explicit=explicit, big=big) + body + end
        return head(elem.tag, vr, len(body), explicit=explicit, big=big) + body
    raw = _swap(elem.vr, elem.value) if big else elem.value
    return head(elem.tag, vr, len(raw), explicit=explicit, big=big) + raw


def encode(items: Item, *, explicit: bool = True, big: bool = False) -> bytes:
    """The bytes of a data set or item, in the order given."""
    return b"".join(_encode_one(elem, explicit, big) for elem in items)


def encode_body(draft: Draft) -> bytes:
    """The data set's bytes in the draft's transfer syntax."""
    body = encode(draft.items, explicit=draft.syntax != IMPLICIT, big=draft.syntax == BIG)
    if draft.syntax != DEFLATED:
        return body
    packer = zlib.compressobj(wbits=-15)
    packed = packer.compress(body) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)


def write(draft: Draft) -> bytes:
    """The whole Part 10 file."""
    if draft.bare:
        return encode_body(draft) + draft.trailing
    meta = list(draft.meta)
    if not any(elem.tag == 0x00020010 for elem in meta):
        meta.append(text(0x00020010, "UI", draft.syntax))
    meta.sort(key=lambda elem: elem.tag)
    body = encode(meta)
    length = encode([Elem(0x00020000, "UL", struct.pack("<I", len(body)))])
    return draft.preamble + b"DICM" + length + body + encode_body(draft) + draft.trailing


def _header(data: bytes, at: int, explicit: bool) -> tuple[int, str, int, int]:
    group, number = struct.unpack_from("<HH", data, at)
    tag = group << 16 | number
    if tag >> 16 == 0xFFFE or not explicit:
        return tag, "", struct.unpack_from("<I", data, at + 4)[0], at + 8
    vr = data[at + 4 : at + 6].decode("latin-1")
    if vr in LONG:
        return tag, vr, struct.unpack_from("<I", data, at + 8)[0], at + 12
    return tag, vr, struct.unpack_from("<H", data, at + 6)[0], at + 8


def _read_sequence(data: bytes, at: int, length: int) -> tuple[list[Item], int]:
    end = len(data) if length == UNDEFINED else at + length
    items: list[Item] = []
    while at < end:
        tag, _, size, at = _header(data, at, True)
        if tag == 0xFFFEE0DD:
            break
        found, at = _read(data, at, len(data) if size == UNDEFINED else at + size)
        items.append(found)
    return items, at


def _read_fragments(data: bytes, at: int) -> tuple[Fragments, int]:
    parts: list[bytes] = []
    while True:
        tag, _, size, at = _header(data, at, True)
        if tag == 0xFFFEE0DD:
            return Fragments(parts[0] if parts else b"", parts[1:]), at
        parts.append(data[at : at + size])
        at += size


def _read(data: bytes, at: int, end: int) -> tuple[Item, int]:
    items: Item = []
    while at < end:
        tag, vr, length, at = _header(data, at, True)
        if tag == 0xFFFEE00D:
            break
        if vr == "SQ":
            value, at = _read_sequence(data, at, length)
            items.append(Elem(tag, vr, value, length == UNDEFINED))
        elif length == UNDEFINED:
            fragments, at = _read_fragments(data, at)
            items.append(Elem(tag, vr, fragments))
        else:
            items.append(Elem(tag, vr, data[at : at + length]))
            at += length
    return items, at


def read(data: bytes, name: str = "") -> Draft:
    """A well-formed file in explicit little endian (or encapsulated) as a draft."""
    size = struct.unpack_from("<I", data, 140)[0]
    meta, _ = _read(data, 132, 144 + size)
    meta = [elem for elem in meta if elem.tag != 0x00020000]
    syntax = next(elem.raw for elem in meta if elem.tag == 0x00020010).rstrip(b"\0 ").decode()
    body = data[144 + size :]
    if syntax == DEFLATED:
        body = zlib.decompressobj(wbits=-15).decompress(body)
    items, _ = _read(body, 0, len(body))
    return Draft(name, items, syntax, meta, data[:128])


def walk(items: Item, parent: int = 0, depth: int = 0) -> Iterator[tuple[Item, Elem, int, int]]:
    """Every element at every level: its item, itself, the enclosing sequence's tag, the depth."""
    for elem in items:
        yield items, elem, parent, depth
        for item in elem.items:
            yield from walk(item, elem.tag, depth + 1)


def find(items: Item, tag: int) -> Elem | None:
    """The first element of a tag at this level."""
    return next((elem for elem in items if elem.tag == tag), None)


def put(items: Item, elem: Elem) -> Elem:
    """Insert in tag order, in place of an element of the same tag."""
    at = bisect_left(items, elem.tag, key=lambda other: other.tag)
    if at < len(items) and items[at].tag == elem.tag:
        items[at] = elem
    else:
        items.insert(at, elem)
    return elem
