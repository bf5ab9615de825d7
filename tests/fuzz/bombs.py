"""Small files that ask for much: memory, depth, time."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from tests.planter.bases import synthetic
from tests.planter.raw import (
    DEFLATED,
    PIXEL_DATA,
    Draft,
    Elem,
    Fragments,
    find,
    head,
    put,
    read,
    sequence,
    text,
    write,
)


def _ct() -> Draft:
    return read(synthetic()["ct"], "ct")


def _with(*elems: Elem) -> bytes:
    draft = _ct()
    for elem in elems:
        put(draft.items, elem)
    return write(draft)


def _deflated(size: int) -> bytes:
    draft = _ct()
    draft.syntax = DEFLATED
    pixels = find(draft.items, PIXEL_DATA)
    assert pixels is not None
    pixels.value = bytes(size)
    return write(draft)


def _deep(depth: int) -> Elem:
    """Nested sequences of undefined length, made without recursion."""
    start = head(0x00081140, "SQ", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    return Elem(0x00081140, "SQ", verbatim=start * depth)


def _frames(count: int) -> bytes:
    """A coded image that says it has very many frames."""
    draft = read(synthetic()["us-jpeg"], "us")
    put(draft.items, text(0x00280008, "IS", str(count)))
    return write(draft)


def _fragments(count: int) -> bytes:
    draft = read(synthetic()["us-jpeg"], "us")
    pixels = find(draft.items, PIXEL_DATA)
    assert pixels is not None
    pixels.value = Fragments(b"", [b""] * count)
    return write(draft)


def _items(item: bytes, count: int) -> bytes:
    body = item * count
    return _with(Elem(0x00081140, "SQ", verbatim=head(0x00081140, "SQ", len(body)) + body))


def _private(count: int) -> bytes:
    body = b"".join(head(0x00091000 + number % 0xE000, "LO", 0) for number in range(count))
    return _with(Elem(0x00090010, "LO", verbatim=body))


def _references(count: int, different: bool) -> bytes:
    made = [[text(0x00081155, "UI", f"1.2.3.{number * different}")] for number in range(count)]
    return _with(sequence(0x00081140, *made))


def _huge_plane() -> bytes:
    rows = (Elem(tag, "US", b"\xff\xff") for tag in (0x00280010, 0x00280011))
    return _with(*rows, text(0x00280008, "IS", "999999999"))


BOMBS: dict[str, Callable[[], bytes]] = {
    "zeros deflated, 90 MB": lambda: _deflated(90_000_000),
    "zeros deflated, 20 MB": lambda: _deflated(20_000_000),
    "deep": lambda: _with(_deep(20_000)),
    "many empty items": lambda: _items(struct.pack("<HHI", 0xFFFE, 0xE000, 0), 60_000),
    "too many empty items": lambda: _items(struct.pack("<HHI", 0xFFFE, 0xE000, 0), 500_000),
    "many private elements": lambda: _private(60_000),
    "many references": lambda: _references(10_000, False),
    "many different references": lambda: _references(10_000, True),
    "many numbers": lambda: _with(text(0x30060050, "DS", "1\\" * 500_000 + "1")),
    "nothing but backslashes": lambda: _with(text(0x30060050, "DS", "\\" * 2_000_000)),
    "nothing but backslashes, as integers": lambda: _with(text(0x00181145, "IS", "\\" * 1_000_000)),
    "many different decimals": lambda: _with(text(0x30060050, "DS", "\\".join(map(str, range(150_000))))),
    "many backslashes in places": lambda: _with(
        text(0x00200032, "DS", "1\\" * 500_000), text(0x00200037, "DS", "\\" * 500_000)
    ),
    "many short names": lambda: _with(text(0x00080008, "CS", "AB\\" * 300_000)),
    "many uids": lambda: _with(text(0x00081155, "UI", "1.2\\" * 200_000)),
    "many small integers": lambda: _with(Elem(0x00281201, "US", bytes(range(256)) * 4_000)),
    "many reals": lambda: _with(Elem(0x00189087, "FD", struct.pack("<d", 1.5) * 120_000)),
    "many tags": lambda: _with(Elem(0x00080006, "AT", struct.pack("<HH", 8, 0x20) * 15_000)),
    "many values": lambda: _with(text(0x00080008, "CS", "A\\" * 200_000)),
    "a long text": lambda: _with(text(0x00204000, "LT", "T1 SAG " * 60_000), text(0x0008103E, "LO", "a1_" * 20_000)),
    "a long name": lambda: _with(text(0x00100010, "PN", "^" * 60_000), text(0x00080090, "PN", "=" * 60_000)),
    "many escapes": lambda: _with(
        text(0x00080005, "CS", "\\ISO 2022 IR 87"), text(0x0008103E, "LO", b"\x1b$B\x1b(B" * 9_000)
    ),
    "many frames told": lambda: _frames(2_000_000_000),
    "many fragments": lambda: _fragments(60_000),
    "rows and columns of 65535": _huge_plane,
    "a length of 4 GB": lambda: _with(Elem(0x00291010, "OB", verbatim=head(0x00291010, "OB", 0xFFFFFFF0))),
    "deflate in deflate": lambda: _with(Elem(0x00291010, "OB", zlib.compress(bytes(10_000_000)))),
    "no data set": lambda: write(Draft("none", [])),
}
