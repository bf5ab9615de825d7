"""Labels by which parts of one object refer to each other: renamed by their order, the same in all places.

A graphic layer, a stack or a wedge is called what somebody typed. Within sequences such a label becomes a letter and
a number (`L1`, `S2`), by the order in which an instance's labels of that kind first appear; single digits stay, and
labels that are numbered from 1 already. Those of a concatenation, whose parts are instances, are keyed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Mapping
from functools import cache

from curate.deid.grammar import data, even
from curate.deid.pseudonyms import is_new_uid
from curate.deid.records import StudyContext
from curate.dicom import tags
from curate.dicom.model import Element, Item
from curate.keys.derivation import Keys

TRACKING_ID, TRACKING_UID = tags.TrackingID, tags.TrackingUID
_CONCATENATION = tags.ConcatenationUID
_KEYED = re.compile(r"L[0-9A-F]{8}")
_DIGIT = re.compile(r"[1-9]")
_PASSES = re.compile(r"[A-Z]?[1-9]\d{0,3}")


@cache
def letters() -> Mapping[int, str]:
    """The attributes that hold such labels, and the letter that the new ones begin with."""
    entries = (entry for entry in data("allow.json") if entry["grammar"].startswith("ordinal("))
    return {int(entry["tag"], 16): entry["grammar"][8:-1] for entry in entries}


def keyed(keys: Keys | None, text: str) -> str:
    """A label that other instances refer to: a single digit, or keyed; empty where only keys could tell."""
    if not text or _DIGIT.fullmatch(text):
        return text
    if keys is None:
        return text if _KEYED.fullmatch(text) else ""
    return f"L{hmac.digest(keys.uid, b'label ' + text.encode(), 'sha256')[:4].hex().upper()}"


def passing(keys: Keys | None, text: str) -> str:
    """A label before it is numbered: told apart from all others of its study, and nothing else."""
    return text if _PASSES.fullmatch(text) else keyed(keys, text)


def tracking(item: Item) -> None:
    """Name what is tracked by its keyed Tracking UID, where the item has both."""
    uid = item.text(TRACKING_UID)
    if TRACKING_ID in item and is_new_uid(uid):
        item.put(TRACKING_ID, "UT", f"T{int(uid.rpartition('.')[2]) & 0xFFFFFFFF:08X}".encode())


def holds(element: Element) -> bool:
    """Whether a sequence holds such a label at any level; kept with it, since a series shares most of them."""
    if element.labelled is None:
        known = letters().keys()
        element.labelled = any(
            not known.isdisjoint(item) or any(holds(inner) for inner in item.values() if inner.items)
            for item in element.items
        )
    return element.labelled


def number(context: StudyContext, item: Item) -> None:
    """Rename the labels within an instance's sequences."""
    held = [element for tag, element in item.items() if element.items and holds(element)]
    if not held:
        return
    if item.raw(_CONCATENATION):
        names = {label: keyed(context.keys, label[1]) for element in held for label in _labels(element)}
    else:
        names = _numbered({label: None for element in held for label in _labels(element)})
    if all(name == old for (_, old), name in names.items()):
        return
    for element in held:
        item[element.tag] = _renamed(element, names)
        item.items_of(element.tag)  # noted as what this rests on


def _labels(element: Element) -> Iterator[tuple[str, str]]:
    """The labels in a sequence, each with the letter of its kind, as they come."""
    for item in element.items:
        for tag, inner in item.items():
            letter = letters().get(tag)
            if letter and (text := item.text(tag)):
                yield letter, text
            elif inner.items and holds(inner):
                yield from _labels(inner)


def _numbered(labels: Mapping[tuple[str, str], None]) -> dict[tuple[str, str], str]:
    """The new name of each label, by kind: in the order of the first appearance."""
    by_letter: dict[str, list[str]] = {}
    for letter, text in labels:
        by_letter.setdefault(letter, []).append(text)
    names = {}
    for letter, texts in by_letter.items():
        stay = _count_from_one(letter, texts)
        for place, text in enumerate(texts, 1):
            names[letter, text] = text if stay else f"{letter}{place}"
    return names


def _count_from_one(letter: str, texts: list[str]) -> bool:
    """Whether labels are single digits, or number themselves from 1 without a gap, with or without the letter."""
    if all(_DIGIT.fullmatch(text) for text in texts):
        return True
    numbers = {str(place) for place in range(1, len(texts) + 1)}
    return set(texts) in (numbers, {letter + one for one in numbers})


def _renamed(element: Element, names: Mapping[tuple[str, str], str]) -> Element:
    """A sequence with its labels' new names; the items are new, what they share with others is not changed."""
    items = []
    for item in element.items:
        new = Item(item, item.encodings)
        for tag, inner in item.items():
            letter = letters().get(tag)
            if letter and (text := item.text(tag)):
                new[tag] = Element(tag, inner.vr, even(names[letter, text].encode(), b" "))
            elif inner.items and holds(inner):
                new[tag] = _renamed(inner, names)
        items.append(new)
    made = Element(element.tag, element.vr, items)
    made.labelled = True
    return made
