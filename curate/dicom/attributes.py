"""Typed values of a clean instance's attributes, for the manifest's columns."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import lru_cache

from curate.dicom import tags
from curate.dicom.dictionary import TEXT, keyword, tag_of
from curate.dicom.io.character_sets import decode_text
from curate.dicom.io.reader import parse
from curate.dicom.model import Element, Fragments, Item

_SHARED, _PER_FRAME = tags.SharedFunctionalGroupsSequence, tags.PerFrameFunctionalGroupsSequence
_FORMATS = {
    "US": "H",
    "SS": "h",
    "UL": "L",
    "SL": "l",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
    "OF": "f",
    "OD": "d",
}


def facts(data: bytes, keywords: Iterable[str]) -> dict[str, object]:
    """The values of the attributes that are there, by keyword or path."""
    return facts_of(parse(data).dataset, keywords)


def facts_of(dataset: Item, keywords: Iterable[str]) -> dict[str, object]:
    """The values of the attributes that a data set has.

    A path names sequences, of which the first item counts: `A.B`. A keyword that isn't at the top is looked
    for in the shared functional groups, then in those of the first frame (PS3.3 C.7.6.16). A sequence gives
    a list of mappings. Numbers are int or float, several values a list.
    """
    found: dict[str, object] = {}
    encodings = dataset.encodings
    grouped = _SHARED in dataset or _PER_FRAME in dataset
    for name, path in _paths(tuple(keywords)):
        element = dataset.get(path[0]) if len(path) == 1 else _follow(dataset, path)
        if element is None and grouped:
            element = _in_groups(dataset, path)
        if element is not None:
            value = remembered(element, encodings)
            if value is not None:
                found[name] = value
    return found


def remembered(element: Element, encodings: tuple[str, ...]) -> object:
    """An element's value, kept with it: a series shares most of its elements. Never changed by who gets it."""
    if element.typed[0] is not encodings:
        element.typed = (encodings, typed(element, encodings))
    return element.typed[1]


@lru_cache(maxsize=64)
def _paths(keywords: tuple[str, ...]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    return tuple((name, tuple(tag_of(step) for step in name.split("."))) for name in keywords)


def _in_groups(dataset: Item, path: tuple[int, ...]) -> Element | None:
    """An attribute in the shared functional groups, or in those of the first frame."""
    for groups in (_SHARED, _PER_FRAME):
        for item in dataset.items_of(groups)[:1]:
            for macro in item.values():
                for inner in macro.items[:1]:
                    element = _follow(inner, path) or _follow(Item({macro.tag: macro}), path)
                    if element is not None:
                        return element
    return None


def _follow(item: Item, path: tuple[int, ...]) -> Element | None:
    for tag in path[:-1]:
        items = item.items_of(tag)
        if not items:
            return None
        item = items[0]
    return item.get(path[-1])


def typed(element: Element, encodings: tuple[str, ...]) -> object:
    """An element's value as Python has it; None where it is empty or not what its VR says."""
    value = element.value
    if isinstance(value, list):
        return [{keyword(tag): typed(inner, item.encodings) for tag, inner in sorted(item.items())} for item in value]
    if isinstance(value, Fragments):
        return None
    try:
        values = _values(element.vr, bytes(value), encodings)
    except (ValueError, struct.error):
        return None
    if not values:
        return None
    return values[0] if len(values) == 1 else values


def _values(vr: str, raw: bytes, encodings: tuple[str, ...]) -> list[object]:
    if vr in TEXT:
        text = decode_text(raw, encodings)
        if vr in ("LT", "ST", "UT"):
            return [text] if text else []
        parts: list[object] = []
        for part in text.split("\\") if text else []:
            stripped = part.strip(" \0")
            if vr == "IS":
                parts.append(int(stripped) if stripped else None)
            elif vr == "DS":
                parts.append(float(stripped) if stripped else None)
            else:
                parts.append(stripped)
        return parts
    if vr == "AT":
        return [f"{group:04X}{number:04X}" for group, number in struct.iter_unpack("<HH", raw)]
    if vr in _FORMATS:
        return [number for (number,) in struct.iter_unpack("<" + _FORMATS[vr], raw)]
    return [raw] if raw else []
