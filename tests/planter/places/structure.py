"""Between the elements: preamble, file meta, group lengths, order, wrong VRs, what follows the end."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from tests.planter.places.place import Place, Planter, adding, in_item, valued
from tests.planter.raw import Draft, Elem, encode, find, head, put, sequence, text
from tests.planter.tokens import Token

META = (
    (0x00020003, "UI"), (0x00020012, "UI"), (0x00020013, "SH"), (0x00020016, "AE"), (0x00020017, "AE"),
    (0x00020018, "AE"), (0x00020026, "UR"), (0x00020027, "UR"), (0x00020028, "UR"), (0x00020031, "OB"),
    (0x00020035, "AE"), (0x00020036, "AE"), (0x00020037, "UR"), (0x00020038, "UR"), (0x00020100, "UI"),
    (0x00020102, "OB"), (0x00020099, "LO"), (0x00020001, "OB"), (0x00020033, "UT"),
)  # fmt: skip


def _meta(tag: int, vr: str) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        elem, needles = valued(tag, vr, token)
        put(draft.meta, elem)
        return needles

    return plant


def _preamble(draft: Draft, token: Token) -> tuple[bytes, ...]:
    draft.preamble = (token.text * 13).encode()[:128]
    return (token.text.encode(),)


def _trailing(shape: Callable[[Token], bytes]) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        draft.trailing += shape(token)
        return (token.text.encode(),)

    return plant


def _elem(tag: int, token: Token) -> bytes:
    return encode([text(tag, "LO", token.text)])


TRAILERS: tuple[tuple[str, Callable[[Token], bytes]], ...] = (
    ("bytes", lambda t: t.text.encode()),
    ("zeros and bytes", lambda t: bytes(64) + t.text.encode()),
    ("padding element", lambda t: head(0xFFFCFFFC, "OB", 10) + t.text.encode()),
    ("delimiter and bytes", lambda t: struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) + t.text.encode()),
    ("element of an earlier group", lambda t: _elem(0x00104000, t)),
    ("private element", lambda t: _elem(0xFFFD0010, t)),
    ("half an element", lambda t: head(0x7FE30010, "OB", 100) + t.text.encode()),
    ("another file", lambda t: bytes(128) + b"DICM" + _elem(0x00100010, t)),
    ("zip", lambda t: b"PK\x03\x04" + t.text.encode()),
)


def _insert(where: Callable[[Draft], int], elem: Callable[[Token], Elem]) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        draft.items.insert(where(draft), elem(token))
        return (token.text.encode(),)

    return plant


def _double(tag: int, last: bool) -> Planter:
    """A second element of a tag that is there, before or after the true one."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        there = find(draft.items, tag)
        if there is None:
            return ()
        vr = "LO" if there.vr == "SQ" else there.vr
        elem, needles = valued(tag, vr, token)
        draft.items.insert(draft.items.index(there) + last, elem)
        return needles

    return plant


def _group_length(group: int) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        put(draft.items, Elem(group << 16, "UL", token.text.encode()[:8]))
        return (token.text.encode()[:8],)

    return plant


def _verbatim(tag: int, make: Callable[[Token], bytes]) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        put(draft.items, Elem(tag, "LO", verbatim=make(token)))
        return (token.text.encode(),)

    return plant


def _odd(tag: int, vr: str) -> Planter:
    """A value of odd length, as it should never be written."""
    return adding(lambda token: Elem(tag, vr, token.text.encode() + b"X"))


def order_places(draft: Draft) -> Iterator[Place]:
    """Elements out of order, doubled, of groups that have no business here."""
    for group in (0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0040, 0x7FE0):
        yield Place("group-length", f"structure/group length {group:04X}", _group_length(group))
    for tag in (0x00020016, 0x00020010, 0x00020100, 0x00020102, 0x00020012):
        yield Place(
            "group-2",
            f"structure/in the data set {tag:08X}",
            adding(lambda t, tag=tag: text(tag, "LO", t.text)),
        )
    for tag in (0x00100010, 0x00104000, 0x00081030, 0x00290010):
        early = _insert(lambda draft: 0, lambda t, tag=tag: text(tag, "LO", t.text))
        late = _insert(lambda draft: len(draft.items), lambda t, tag=tag: text(tag, "LO", t.text))
        yield Place("order", f"structure/too early {tag:08X}", early)
        yield Place("order", f"structure/too late {tag:08X}", late)
    for tag in (
        0x00080060,
        0x00180050,
        0x0020000D,
        0x00080008,
        0x00100010,
        0x00280030,
        0x00080070,
        0x00081140,
    ):
        yield Place("double", f"structure/double first {tag:08X}", _double(tag, False))
        yield Place("double", f"structure/double last {tag:08X}", _double(tag, True))
    for tag in (0x00080070, 0x0008103E, 0x00100010, 0x00181030, 0x00080060):
        for vr in ("LO", "UN", "OB", "PN", "CS"):
            yield Place(f"odd-length-{vr}", f"structure/odd {tag:08X}/{vr}", _odd(tag, vr))


def wrong_places(draft: Draft) -> Iterator[Place]:
    """Known attributes under a VR that is not theirs."""
    tags = (
        0x00080060,
        0x00180050,
        0x00281050,
        0x00200013,
        0x00080070,
        0x00200032,
        0x00189087,
        0x00180022,
        0x00180081,
    )
    for tag in tags:
        for vr in ("UN", "OB", "UT", "LO", "SQ", "OW", "UC", "PN", "UR", "FD"):
            yield Place(f"wrong-vr-{vr}", f"structure/wrong {tag:08X}/{vr}", in_item((), tag, vr))
    for tag in (0x00080060, 0x00180050, 0x00280030, 0x00080070):
        for letters in (b"ZZ", b"??", b"\0\0"):
            start = struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, letters, 10)
            yield Place(
                f"no-such-vr-{letters[0]}",
                f"structure/no such VR {letters!r} {tag:08X}",
                _verbatim(tag, lambda t, start=start: start + t.text.encode()),
            )


def _hidden_sequence(tag: int, explicit: bool, undefined: bool) -> Planter:
    """A sequence under VR UN whose inside is implicit or explicit."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        inner = [
            text(0x00081155, "UI", "1.2.3"),
            text(0x00100010, "PN", token.name),
            text(0x00104000, "LT", token.text),
        ]
        body = encode(inner, explicit=explicit)
        item = struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body
        if undefined:
            raw = head(tag, "UN", 0xFFFFFFFF) + item + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
        else:
            raw = head(tag, "UN", len(item)) + item
        put(draft.items, Elem(tag, "UN", verbatim=raw))
        return (token.text.encode(),)

    return plant


def unknown_vr_places(draft: Draft) -> Iterator[Place]:
    """Sequences and texts encoded as UN."""
    for tag in (
        0x00082112,
        0x00081140,
        0x00082218,
        0x00400275,
        0x00540016,
        0x00189346,
        0x52009229,
        0x0040A730,
    ):
        for explicit in (False, True):
            for undefined in (False, True):
                name = f"structure/UN {tag:08X} {'explicit' if explicit else 'implicit'}"
                planter = _hidden_sequence(tag, explicit, undefined)
                layer = f"un-sequence-{explicit:d}{undefined:d}"
                yield Place(layer, name + (" undefined" if undefined else ""), planter)
    for tag in (0x00100010, 0x0008103E, 0x00180015, 0x00080050, 0x00185100, 0x00080020):
        yield Place(
            "un-text",
            f"structure/UN text {tag:08X}",
            adding(lambda t, tag=tag: Elem(tag, "UN", t.text.encode())),
        )


def _deep(depth: int) -> Planter:
    """A name below many sequences."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        elem = text(0x00100010, "PN", token.name)
        for level in range(depth):
            elem = sequence(0x00082112 if level % 2 else 0x00081140, [elem], undefined=level % 3 == 0)
        put(draft.items, elem)
        return (token.text.encode(),)

    return plant


def _gap(undefined: bool) -> Planter:
    """Bytes inside a sequence that belong to no item."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        item = encode([text(0x00081155, "UI", "1.2.3")])
        body = struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
        body += struct.pack("<HHI", 0xFFFE, 0xE00D, 10) + token.text.encode()
        if undefined:
            body += struct.pack("<HHI", 0xFFFE, 0xE0DD, 10) + token.text.encode()
        size = 0xFFFFFFFF if undefined else len(body)
        put(draft.items, Elem(0x00082112, "SQ", verbatim=head(0x00082112, "SQ", size) + body))
        return (token.text.encode(),)

    return plant


def _packed(tag: int, vr: str) -> Planter:
    """The token inside a deflate stream: searched when inflated."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        raw = zlib.compress((token.text * 20).encode())
        put(draft.items, Elem(tag, vr, raw + b"\0" * (len(raw) % 2)))
        return (token.text.encode(),)

    return plant


def outer_places(draft: Draft) -> Iterator[Place]:
    """The file's own frame."""
    yield Place("preamble", "structure/preamble", _preamble)
    for tag, vr in META:
        layer = "meta" if tag not in (0x00020003, 0x00020001) else "meta-identity"
        yield Place(layer, f"structure/meta {tag:08X}", _meta(tag, vr))
    for name, shape in TRAILERS:
        yield Place(f"trailing-{name}", f"structure/trailing {name}", _trailing(shape))
    padding = _insert(lambda draft: len(draft.items), lambda t: Elem(0xFFFCFFFC, "OB", t.text.encode()))
    yield Place("padding", "structure/data set trailing padding", padding)
    signature = _insert(
        lambda draft: len(draft.items),
        lambda t: sequence(0xFFFAFFFA, [Elem(0x04000115, "OB", t.text.encode()), text(0x04000105, "DT", t.date)]),
    )
    yield Place("padding", "structure/signature", signature)


def depth_places(draft: Draft) -> Iterator[Place]:
    """Deep nesting, gaps between items, packed values."""
    for depth in (3, 8, 30, 70):
        yield Place(f"deep-{depth}", f"structure/deep {depth}", _deep(depth))
    for undefined in (False, True):
        yield Place(f"gap-{undefined:d}", f"structure/gap {undefined}", _gap(undefined))
    for tag, vr in (
        (0x00420011, "OB"),
        (0x00189999, "OB"),
        (0x00290012, "OB"),
        (0x00282000, "OB"),
        (0x04000310, "OB"),
    ):
        yield Place("packed", f"structure/packed {tag:08X}", _packed(tag, vr))
