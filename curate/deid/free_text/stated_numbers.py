"""Numbers in a data set's descriptions stay where the instance's own attributes state the same value.

`TE 30`, `5mm`, `b1000` and the numbers in a pulse sequence's name are held against the clean attributes of the
instance, rounded as the description states them. What nothing states goes: it may be anybody's number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from curate.deid import private_attributes, sequence_names
from curate.deid.free_text import descriptions
from curate.deid.grammar import data, even
from curate.dicom import attributes
from curate.dicom.dictionary import TEXT
from curate.dicom.io.character_sets import decode_text
from curate.dicom.model import Element, Item

_LENGTHS = (
    0x00180050, 0x00180088, 0x00280030, 0x00181164, 0x00182010, 0x00189306, 0x00189307, 0x00181100, 0x00180090,
    0x00181190, 0x00189317, 0x00189310, 0x00181302, 0x001811A0, 0x00181149, 0x00180093, 0x00181110,
)  # fmt: skip
_MILLISECONDS = (
    0x00180080, 0x00180081, 0x00180082, 0x00181060, 0x00181063, 0x00181150, 0x00181242, 0x00541300, 0x00189082,
    0x00189079,
)  # fmt: skip
_SECONDS = (0x00189305, 0x00189073)
_DEGREES = (0x00181314, 0x00181120, 0x00181510, 0x00181511, 0x00181530, 0x00181531)
_BVALUES = (0x00189087,)
_Source = tuple[tuple[int, ...], float]

# Which attributes state a quantity of each unit, or of each name before a number, and the factor to its unit.
_SOURCES: dict[str, tuple[_Source, ...]] = {
    "mm": ((_LENGTHS, 1),),
    "cm": ((_LENGTHS, 0.1),),
    "m": ((_LENGTHS, 0.001),),
    "iso": ((_LENGTHS, 1),),
    "ms": ((_MILLISECONDS, 1), (_SECONDS, 1000)),
    "s": ((_MILLISECONDS, 0.001), (_SECONDS, 1)),
    "sec": ((_MILLISECONDS, 0.001), (_SECONDS, 1)),
    "min": ((_MILLISECONDS, 1 / 60_000), (_SECONDS, 1 / 60)),
    "T": (((0x00180087,), 1),),
    "kv": (((0x00180060,), 1),),
    "kvp": (((0x00180060,), 1),),
    "ma": (((0x00181151, 0x00189330), 1),),
    "mas": (((0x00181152, 0x00189332), 1), ((0x00181153,), 0.001)),
    "hz": (((0x00180095,), 1),),
    "khz": (((0x00180095,), 0.001), ((0x00186030,), 1)),
    "mhz": (((0x00180084, 0x00189098), 1), ((0x00186030,), 0.001)),
    "deg": ((_DEGREES, 1),),
    "ml": (((0x00181041, 0x00181071), 1),),
    "mbq": (((0x00181074,), 1e-6),),
    "mci": (((0x00181074,), 1 / 3.7e7),),
    "gy": (((0x300A0026, 0x300A0023), 1),),
    "cgy": (((0x300A0026, 0x300A0023), 100),),
    "ph": (((0x00181090, 0x00200105), 1),),
    "x": (((0x00180083, 0x00189069, 0x00180091), 1),),
    "TE": (((0x00180081, 0x00189082), 1),),
    "TR": (((0x00180080,), 1),),
    "TI": (((0x00180082, 0x00189079), 1),),
    "FA": (((0x00181314,), 1),),
    "B": ((_BVALUES, 1),),
    "#": (((0x00200012, 0x00200013), 1), ((0x00189219,), 1)),
    "": (((0x00180091, 0x00180089, 0x00181310, 0x00180081), 1),),
}
_SAID = re.compile(r"(?:([A-Z]+) )?(b?)(\d+(?:\.\d+)?)([A-Za-z]*)")
_COIL = 0x00181250
_DIGIT = re.compile(rb"\d")


@cache
def _kinds() -> dict[int, str]:
    """The attributes whose numbers are held against others, by the grammar of their words."""
    entries = ((int(entry["tag"], 16), entry["grammar"]) for entry in data("allow.json"))
    return {tag: grammar for tag, grammar in entries if grammar in ("terms", "sequence")}


_PRIVATE = {"B": "b-value", "s": "rotation", "sec": "rotation"}


@cache
def _private(about: str) -> frozenset[tuple[str, int, int]]:
    """The private attributes that state a b-value, or a time of rotation in seconds."""
    return frozenset(key for key, known in private_attributes.safe().items() if known.why.startswith(about))


def concerns(element: Element) -> bool:
    """Whether what stays of an element of a data set rests on what the others state."""
    return element.vr in TEXT and element.tag in _kinds() and _has_digit(element)


def _has_digit(element: Element) -> bool:
    return isinstance(element.value, bytes) and _DIGIT.search(element.value) is not None


def described(item: Item) -> Iterator[tuple[int, bytes]]:
    """The descriptions of a data set that have numbers which nothing states, without them."""
    for tag in [tag for tag, element in item.items() if concerns(element)]:
        raw, states = item.raw(tag), _States(item)
        new = _sequence(raw, states) if _kinds()[tag] == "sequence" else _description(item, tag, states)
        if new.strip(b" ") != raw.strip(b" "):
            yield tag, new


def _description(item: Item, tag: int, states: _States) -> bytes:
    raw, vr = item.raw(tag), item[tag].vr
    said = frozenset(
        one for part in decode_text(raw, item.encodings).split("\\") for one in descriptions.quantities(part)
    )
    stated = frozenset(one for one in said if states.quantity(one))
    return raw if stated == said else descriptions.rebuild(vr, raw, item.encodings, frozenset(), stated)


def _sequence(raw: bytes, states: _States) -> bytes:
    values = raw.decode("ascii", "replace").strip(" \0").split("\\")
    return even("\\".join(sequence_names.without_numbers(value, states.number) for value in values).encode(), b" ")


class _States:
    """What the attributes of a data set state, looked up where it is asked for."""

    def __init__(self, item: Item) -> None:
        self._item = item
        self._inner: dict[int, list[float]] | None = None

    def quantity(self, said: str) -> bool:
        """Whether a quantity as `terms.quantities` writes it is stated, rounded as it is written."""
        match = _SAID.fullmatch(said)
        if match is None:
            return False
        name, b, number, unit = match.groups()
        if unit == "ch":
            return number in re.findall(r"\d+", self._item.text(_COIL))
        decimals = len(number.partition(".")[2])
        return self._is_stated("B" if b else name or unit, float(number), decimals)

    def number(self, kind: str, number: int) -> bool:
        """Whether a number in a pulse sequence's name is stated; a direction follows the image before it."""
        return self._is_stated(kind, number, 0) or (kind == "#" and self._is_stated(kind, number + 1, 0))

    def _is_stated(self, kind: str, number: float, decimals: int) -> bool:
        room = 0.5 * 10**-decimals * (1 + 1e-9)
        return any(
            abs(value * factor - number) <= room
            for tags, factor in _SOURCES.get(kind, ())
            for tag in tags
            for value in self._values(tag)
        ) or any(abs(value - number) <= room for value in self._private(_PRIVATE.get(kind, "")))

    def _values(self, tag: int) -> list[float]:
        """The numbers of an attribute: the data set's own, else those in its sequences."""
        self._item.raw(tag)  # noted as what this rests on
        if tag in self._item:
            return _numbers(self._item[tag], self._item.encodings)
        if self._inner is None:
            self._inner = {}
            wanted = {tag for sources in _SOURCES.values() for tags, _ in sources for tag in tags}
            for outer, element in self._item.items():
                if element.items:
                    self._item.items_of(outer)
                    self._gather(element.items, wanted, self._inner)
        return self._inner.get(tag, [])

    def _gather(self, items: Iterable[Item], wanted: set[int], found: dict[int, list[float]]) -> None:
        for item in items:
            for tag, element in item.items():
                if element.items:
                    self._gather(element.items, wanted, found)
                elif tag in wanted:
                    known = found.setdefault(tag, [])
                    known += [value for value in _numbers(element, item.encodings) if value not in known]

    def _private(self, about: str) -> list[float]:
        item, found = self._item, []
        for tag in [tag for tag in item if about and tag & 0x10000 and tag & 0xFFFF >= 0x1000]:
            if (item.creator(tag) or "", tag >> 16, tag & 0xFF) in _private(about):
                item.raw(tag)
                found += _numbers(item[tag], item.encodings)[:1]
        return found


def _numbers(element: Element, encodings: tuple[str, ...]) -> list[float]:
    value = attributes.typed(element, encodings)
    values = value if isinstance(value, list) else [value]
    return [float(one) for one in values if isinstance(one, int | float)]
