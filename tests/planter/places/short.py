"""A few characters: initials with a year in labels, digits of a birth date in numbers and beside terms.

Each is looked for as the whole element that it was put into, or with the word before it: so few characters turn up
elsewhere by chance.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from tests.planter.places.place import Place, Planter
from tests.planter.raw import Draft, Elem, head, put, sequence, text
from tests.planter.tokens import Token

ALLOWED = Path(__file__).resolve().parents[3] / "curate" / "deid" / "data" / "allow.json"
_BIRTH_DATE = 0x00100030
_TEXTS = frozenset(("CS", "SH", "LO", "LT", "ST", "UT", "UC"))
_REPEATED = frozenset((0x00080005, 0x00080016, 0x00080060, 0x00100020, 0x00100040, 0x00280004, 0x00081140))
_WRAPS = (0, 0x00081115, 0x00700060)

# Initials and digits of a date, as somebody types them.
INITIALS: tuple[tuple[str, Callable[[Token], str]], ...] = (
    ("year", lambda t: t.text[3:5] + t.date[2:4]),
    ("year and letter", lambda t: t.text[3:5] + t.date[2:4] + "F"),
    ("whole year", lambda t: t.text[3] + t.date[:4]),
    ("month and day", lambda t: f"{t.text[3:5]}{t.date[4:]}"),
    ("dashed", lambda t: f"{t.text[3:5]}-{t.date[2:4]}"),
    ("three", lambda t: t.text[3:6] + t.date[2:4]),
    ("glued to a kernel", lambda t: f"{t.text[3]}{t.date[2:4]}F"),
)

# Digits of a person's own date, as a number.
DIGITS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("eight", lambda d: d), ("six", lambda d: d[2:]), ("day first", lambda d: d[6:] + d[4:6] + d[2:4]),
    ("year", lambda d: d[:4]), ("year and month", lambda d: d[:6]), ("two", lambda d: d[2:4]),
)  # fmt: skip
ORDERS = (0x00200011, 0x00200012, 0x00200013)
BVALUES = (
    (0x0019, "SIEMENS MR HEADER", 0x0C, "IS"), (0x0043, "GEMS_PARM_01", 0x39, "IS"),
    (0x2001, "Philips Imaging DD 001", 0x03, "FL"), (0x0065, "Image Private Header", 0x09, "FD"),
)  # fmt: skip


@cache
def _allowed() -> tuple[tuple[int, str, str], ...]:
    """Every text of the allow-list: tag, VR and grammar."""
    entries = json.loads(ALLOWED.read_text(encoding="utf-8"))["entries"]
    found = ((int(one["tag"], 16), one["vr"], one["grammar"]) for one in entries)
    return tuple(one for one in found if one[1] in _TEXTS and one[0] not in _REPEATED)


def _whole(tag: int, vr: str, value: str) -> tuple[Elem, bytes]:
    """An element, and its bytes in an explicit data set."""
    elem = text(tag, vr, value)
    raw = value.encode() + b" " * (len(value) % 2)
    return elem, head(tag, vr, len(raw)) + raw


def _label(tag: int, vr: str, wrap: int, make: Callable[[Token], str]) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        elem, needle = _whole(tag, vr, make(token))
        if not wrap:
            put(draft.items, elem)
            return (needle,)
        there = next((one for one in draft.items if one.tag == wrap), None)
        if there is None or not there.items:
            put(draft.items, sequence(wrap, [elem]))
        else:
            put(there.items[0], elem)
        return (needle,)

    return plant


def initials_places(draft: Draft) -> Iterator[Place]:
    """Initials with a year in every text that the program lets stay in some form, at the top and in sequences."""
    for number, (name, make) in enumerate(INITIALS):
        for wrap in _WRAPS:
            for tag, vr, _ in _allowed():
                layer = f"initials-{number}-{wrap:08X}"
                yield Place(layer, f"initials/{name}/{wrap:08X}/{tag:08X}", _label(tag, vr, wrap, make))


def _born(draft: Draft, token: Token) -> str:
    """The person's own birth date; the draft gets one where it has none of eight digits."""
    there = next((one for one in draft.items if one.tag == _BIRTH_DATE), None)
    raw = there.raw.decode("ascii", "replace").strip() if there is not None else ""
    if len(raw) == 8 and raw.isdigit() and raw[2:4] > "31":
        return raw
    put(draft.items, text(_BIRTH_DATE, "DA", token.date))
    return token.date


def _order(tag: int, digits: Callable[[str], str]) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        elem, needle = _whole(tag, "IS", str(int(digits(_born(draft, token)))))
        put(draft.items, elem)
        return (needle,)

    return plant


def _bvalue(group: int, creator: str, element: int, vr: str, digits: Callable[[str], str]) -> Planter:
    """A private b-value; GE has others beside it."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        number = int(digits(_born(draft, token)))
        if number % 5 == 0 and number < 10_000:  # a likely b-value
            return ()
        put(draft.items, text(group << 16 | 0x10, "LO", creator))
        tag = group << 16 | 0x1000 | element
        if vr == "IS":
            elem, needle = _whole(tag, vr, f"{number}\\8\\0\\0" if element == 0x39 else str(number))
        else:
            raw = struct.pack({"FL": "<f", "FD": "<d"}[vr], number)
            elem, needle = Elem(tag, vr, raw), head(tag, vr, len(raw)) + raw
        put(draft.items, elem)
        return (needle,)

    return plant


def _flags(digits: Callable[[str], str]) -> Planter:
    """A date in GE's flags beside a true b-value."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        put(draft.items, text(0x00430010, "LO", "GEMS_PARM_01"))
        elem, needle = _whole(0x00431039, "IS", f"1000\\{int(digits(_born(draft, token)))}\\0\\0")
        put(draft.items, elem)
        return (needle,)

    return plant


def own_places(draft: Draft) -> Iterator[Place]:
    """Digits of the person's own birth date as numbers that order, and as private b-values."""
    for number, (name, digits) in enumerate(DIGITS):
        for tag in ORDERS:
            yield Place("own", f"own/{name}/{tag:08X}/{number}", _order(tag, digits))
        for group, creator, element, vr in BVALUES:
            yield Place("own", f"own/{name}/{creator}", _bvalue(group, creator, element, vr, digits))
        yield Place("own", f"own/{name}/flags", _flags(digits))


# A birth date in a description as quantities; the needle is the quantity with what names it.
QUANTITIES: tuple[tuple[str, Callable[[str], str], Callable[[str], tuple[str, ...]]], ...] = (
    ("named", lambda d: f"TE {d[:4]} TR 1{d[4:7]} b{d[3:8]}9 SAG", lambda d: (f"TE {d[:4]}", f"TR 1{d[4:7]}")),
    ("b-values", lambda d: f"DTI b1{d[:4]} b7{d[4:]}", lambda d: (f"b1{d[:4]}", f"b7{d[4:]}")),
    ("lengths", lambda d: f"AXIAL {d[:4]}mm {d[4:6]}.{d[6:]}7mm", lambda d: (f"{d[:4]}mm", f".{d[6:]}7mm")),
    ("times", lambda d: f"T2 {d[2:4]}.{d[4:6]}min {d[:4]}ms", lambda d: (f"{d[:4]}ms",)),
    ("channels", lambda d: f"HEAD {d[:4]}ch {d[:4]}x", lambda d: (f"{d[:4]}ch",)),
)  # fmt: skip
DESCRIBED = (
    (0x0008103E, "LO"), (0x00081030, "LO"), (0x00181030, "LO"), (0x00204000, "LT"), (0x00540018, "SH"),
    (0x00082111, "ST"), (0x00180031, "LO"),
)  # fmt: skip
SEQUENCES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("glued", lambda d: f"tfl3d1{d[4:7]}"), ("b-value", lambda d: f"*ep_b1{d[:4]}"),
    ("direction", lambda d: f"*ep_b0#{d[1:4]}"), ("train", lambda d: f"tse2d1_{d[1:4]}"),
    ("turbo", lambda d: f"tir2d1t{d[1:4]}"),
)  # fmt: skip


def _described(
    tag: int, vr: str, make: Callable[[str], str], needles: Callable[[str], tuple[str, ...]], inner: bool
) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        elem = text(tag, vr, make(token.date)[:16] if vr == "SH" else make(token.date))
        put(draft.items, sequence(0x00081115, [elem]) if inner else elem)
        return tuple(one.encode() for one in needles(token.date))

    return plant


def _named(tag: int, make: Callable[[str], str]) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        elem, needle = _whole(tag, "SH", make(token.date))
        put(draft.items, elem)
        return (needle,)

    return plant


def quantity_places(draft: Draft) -> Iterator[Place]:
    """Digits of a date as quantities in descriptions, and in the name of a pulse sequence."""
    for number, (name, make, needles) in enumerate(QUANTITIES):
        for tag, vr in DESCRIBED:
            for inner in (False, True):
                layer = f"quantity-{number}{'-inner' * inner}"
                planter = _described(tag, vr, make, needles, inner)
                yield Place(layer, f"quantity/{name}/{inner}/{tag:08X}", planter)
    for number, (name, make) in enumerate(SEQUENCES):
        for tag in (0x00180024, 0x00189005):
            yield Place(f"quantity-{number}", f"quantity/{name}/{tag:08X}", _named(tag, make))
