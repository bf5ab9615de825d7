"""Hypothesis strategies for DICOM data sets, and an encoder of its own for every way of writing them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from hypothesis import strategies as st

LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
UNITS = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "AT": "HH", "OW": "H", "OF": "f"}

PLAIN = {
    0x00080005: "CS",
    0x00080008: "CS",
    0x00080018: "UI",
    0x00080020: "DA",
    0x00080030: "TM",
    0x00080050: "SH",
    0x00080090: "PN",
    0x0008103E: "LO",
    0x00100010: "PN",
    0x00101010: "AS",
    0x00104000: "LT",
    0x00180050: "DS",
    0x00181310: "US",
    0x00189087: "FD",
    0x00200013: "IS",
    0x00280009: "AT",
    0x00281052: "DS",
    0x00081163: "FD",
    0x00620021: "UT",
    0x00660016: "OF",
    0x00720069: "OW",
    0x0040A160: "UT",
    0x00187050: "CS",
    0x00090010: "LO",
    0x00091001: "UN",
}
SEQUENCES = (0x00081140, 0x00400275, 0x0040A730, 0x00082112, 0x52009229, 0x300A00B0)


@dataclass
class Node:
    """One attribute: bytes in little endian, or items; `style` says how a sequence is written."""

    tag: int
    vr: str
    value: bytes | list[list[Node]]
    style: str = "defined"
    item_styles: list[str] = field(default_factory=list)


@st.composite
def plain(draw: st.DrawFn) -> Node:
    tag = draw(st.sampled_from(sorted(PLAIN)))
    vr = PLAIN[tag]
    if tag == 0x00080005:
        value = draw(st.sampled_from([b"", b"ISO_IR 100", b"ISO_IR 192", b"\\ISO 2022 IR 87"]))
    elif tag == 0x00090010:
        value = b"ACME 1.0"
    elif vr in UNITS:
        size = struct.calcsize("<" + UNITS[vr])
        value = draw(st.binary(max_size=4 * size).map(lambda raw: raw[: len(raw) // size * size]))
    else:
        value = draw(st.binary(max_size=24))
    return Node(tag, vr, value + b" " * (len(value) % 2))


def trees(depth: int = 3) -> st.SearchStrategy[list[Node]]:
    """The elements of a data set, in the order of their tags, each tag once."""
    node = plain() if depth == 0 else st.one_of(plain(), plain(), sequences(depth - 1))
    return st.lists(node, max_size=6, unique_by=lambda node: node.tag).map(
        lambda nodes: sorted(nodes, key=lambda node: node.tag)
    )


@st.composite
def sequences(draw: st.DrawFn, depth: int) -> Node:
    items = draw(st.lists(trees(depth), max_size=3))
    return Node(
        draw(st.sampled_from(SEQUENCES)),
        "SQ",
        items,
        draw(st.sampled_from(["defined", "undefined", "UN"])),
        [draw(st.sampled_from(["defined", "undefined"])) for _ in items],
    )


def encode(nodes: list[Node], *, explicit: bool = True, little: bool = True) -> bytes:
    """A data set in one of the uncompressed transfer syntaxes."""
    return b"".join(_encode(node, explicit, little) for node in nodes)


def _encode(node: Node, explicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    head = struct.pack(order + "HH", node.tag >> 16, node.tag & 0xFFFF)
    open_ended = False
    vr = node.vr
    if isinstance(node.value, list):
        inside = explicit and node.style != "UN"
        vr = "UN" if node.style == "UN" else "SQ"
        open_ended = node.style != "defined"
        # UN of undefined length is implicit little endian inside (PS3.5 6.2.2)
        inner = True if vr == "UN" and explicit else little
        body = b"".join(
            _item(item, style, inside, inner) for item, style in zip(node.value, node.item_styles, strict=True)
        )
        if open_ended:
            body += struct.pack(("<" if inner else ">") + "HHL", 0xFFFE, 0xE0DD, 0)
    else:
        body = _swapped(node) if not little else node.value
    length = 0xFFFFFFFF if open_ended else len(body)
    if not explicit:
        return head + struct.pack(order + "L", length) + body
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack(order + "L", length) + body
    return head + vr.encode() + struct.pack(order + "H", length) + body


def _item(nodes: list[Node], style: str, explicit: bool, little: bool) -> bytes:
    order = "<" if little else ">"
    body = encode(nodes, explicit=explicit, little=little)
    if style == "defined":
        return struct.pack(order + "HHL", 0xFFFE, 0xE000, len(body)) + body
    head = struct.pack(order + "HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return head + body + struct.pack(order + "HHL", 0xFFFE, 0xE00D, 0)


def _swapped(node: Node) -> bytes:
    assert isinstance(node.value, bytes)
    if node.vr not in UNITS:
        return node.value
    # as integers of that width: a signalling NaN does not survive a float
    form = UNITS[node.vr].replace("f", "L").replace("d", "Q")
    numbers = struct.iter_unpack("<" + form, node.value)
    return b"".join(struct.pack(">" + form, *row) for row in numbers)


def part10(body: bytes, syntax: str = "1.2.840.10008.1.2.1", *, sop_class: str = "1.2.840.10008.5.1.4.1.1.2") -> bytes:
    """A file around an encoded data set."""
    meta = b""
    for tag, uid in ((0x00020002, sop_class), (0x00020003, "1.2.3.4"), (0x00020010, syntax)):
        value = uid.encode() + b"\0" * (len(uid) % 2)
        meta += struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, b"UI", len(value)) + value
    group_length = struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(meta))
    return bytes(128) + b"DICM" + group_length + meta + body
