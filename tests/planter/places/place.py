"""A place, and what a value looks like there by its VR."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.planter.raw import Draft, Elem, Item, head, put, sequence, text
from tests.planter.tokens import Token

Planter = Callable[[Draft, Token], tuple[bytes, ...]]
BULK = {"OB": 1, "UN": 1, "OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
PACKED = {"UL": "<I", "SL": "<i", "FL": "<f", "FD": "<d", "UV": "<Q", "SV": "<q"}


@dataclass(frozen=True, slots=True)
class Place:
    """One place of a draft; `plant` puts a token there and returns the bytes to look for."""

    layer: str
    name: str
    plant: Planter


@dataclass(frozen=True, slots=True)
class Plant:
    """A token that was put somewhere."""

    layer: str
    place: str
    token: Token
    needles: tuple[bytes, ...]


Path = tuple[tuple[int, int], ...]  # (tag of a sequence, index of its item) from the top down


def reach(items: Item, path: Path) -> Item | None:
    """The item at a path, as it is now."""
    for tag, index in path:
        step = next((elem for elem in items if elem.tag == tag and elem.items), None)
        if step is None or index >= len(step.items):
            return None
        items = step.items[index]
    return items


def paths(items: Item, at: Path = ()) -> Iterator[Path]:
    """The paths of all items, the data set's own first."""
    yield at
    for elem in items:
        for index, item in enumerate(elem.items):
            yield from paths(item, (*at, (elem.tag, index)))


def _numeric(tag: int, vr: str, token: Token) -> tuple[Elem, tuple[bytes, ...]]:
    raw = struct.pack(PACKED[vr], token.number)
    needle = raw if len(raw) > 4 else head(tag, vr, len(raw)) + raw
    return Elem(tag, vr, raw), (needle,)


def _code_item(token: Token) -> Item:
    return [
        text(0x00080100, "SH", token.text),
        text(0x00080102, "SH", "99" + token.text),
        text(0x00080104, "LO", "Meaning " + token.text),
        text(0x00081070, "PN", token.name),
        text(0x00204000, "LT", "of " + token.text),
    ]


def valued(tag: int, vr: str, token: Token) -> tuple[Elem, tuple[bytes, ...]]:
    """An element of the VR that holds the token, and the bytes to look for."""
    letters = token.text.encode()
    if vr == "SQ":
        return sequence(tag, _code_item(token)), (letters,)
    if vr in PACKED:
        return _numeric(tag, vr, token)
    if vr in BULK:
        raw = (letters * 4)[: 40 // 8 * 8]
        return Elem(tag, vr, raw), (letters,)
    if vr in ("US", "SS", "AT"):
        return Elem(tag, vr, letters[:8]), (letters[:8],)
    if vr == "AS":
        age = f"{token.number % 90 + 10:03}Y".encode()
        return Elem(tag, vr, age), (b"AS\x04\x00" + age,)
    plain = {
        "PN": token.name,
        "DA": token.date,
        "TM": token.time,
        "DT": token.date + token.time,
        "UI": token.uid,
        "DS": token.digits,
        "IS": token.digits,
        "UR": "https://ris.example/" + token.text,
    }.get(vr, token.text)
    needles = {
        "PN": (letters,),
        "DT": (token.date.encode() + token.time[:6].encode(),),
        "UI": (f"{token.date}.{token.digits}".encode(),),
        "UR": (letters,),
    }.get(vr, (plain.encode(),))
    return text(tag, vr, plain), needles


def in_item(path: Path, tag: int, vr: str) -> Planter:
    """A planter that sets one attribute in the item at a path."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        items = reach(draft.items, path)
        if items is None:
            return ()
        elem, needles = valued(tag, vr, token)
        put(items, elem)
        return needles

    return plant


def adding(make: Callable[[Token], Elem], *needles: Callable[[Token], bytes]) -> Planter:
    """A planter that puts one made element at the top; by default the token's letters are looked for."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        put(draft.items, make(token))
        return tuple(needle(token) for needle in needles) or (token.text.encode(),)

    return plant
