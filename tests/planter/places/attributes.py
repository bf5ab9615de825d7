"""Attributes by the book: Table E.1-1, the dictionary, unknown and private ones, values in place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydicom.datadict import DicomDictionary, RepeatersDictionary

from tests.planter.places.place import Path as ItemPath
from tests.planter.places.place import Place, Planter, in_item, paths, reach, valued
from tests.planter.raw import BIG, PIXEL_DATA, Draft, Elem, Fragments, Item, put, sequence, text
from tests.planter.tokens import Token

# What pydicom's dictionary lacks, by the standard's own names.
NEWER = {
    "DateTime": "DT", "Sequence": "SQ", "Comment": "UT", "URI": "UR", "Groups": "LO", "Name": "LO",
    "Label": "LO", "Reference": "UR", "Use": "LO", "Use Comment": "UT",
}  # fmt: skip
# Without these no reader finds the pixels: their values are numbers of the image itself.
STRUCTURE = frozenset(
    {0x00080005, 0x00080016, 0x00080018, PIXEL_DATA, 0x7FE00008, 0x7FE00009, 0x00280008}
    | {0x00280002, 0x00280004, 0x00280006, 0x00280010, 0x00280011}
    | {0x00280100, 0x00280101, 0x00280102, 0x00280103}
)
PRIVATE_GROUPS = (0x0009, 0x0019, 0x0021, 0x0029, 0x0051, 0x2001, 0x7053)
SPOOFED = ("SIEMENS MR HEADER", "GEMS_PARM_01", "Philips Imaging DD 001", "SIEMENS CSA HEADER")


@cache
def table() -> tuple[tuple[int, str, str], ...]:
    """(tag, VR, name) of each row; patterns as one tag of theirs, private attributes left out."""
    found = []
    for row in json.loads(_table_path().read_text())["rules"]:
        pattern = row["tag"].replace("50xxxxxx", "50003000").replace("xx", "02")
        if pattern == "PRIVATE":
            continue
        tag = int(pattern, 16)
        found.append((tag, _vr(tag, row["name"]), row["name"]))
    return tuple(found)


def _table_path() -> Path:
    root = Path(__file__).resolve().parents[3]
    inside = root / "curate" / "deid" / "data" / "table_e1_1.json"
    return inside if inside.exists() else root.parent / "shared" / "table_e1_1.json"


def _vr(tag: int, name: str) -> str:
    if tag in DicomDictionary:
        return DicomDictionary[tag][0].split(" or ")[0]
    if tag >> 24 in (0x50, 0x60):
        return "LT" if tag & 0xFFFF == 0x4000 else "OW"
    return next((vr for end, vr in NEWER.items() if name.endswith(end)), "LO")


def _new_context(tag: int, vr: str, wrap: str) -> Planter:
    """The attribute inside sequences that the draft does not have yet."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        elem, needles = valued(tag, vr, token)
        inner = [elem]
        if wrap == "undefined":
            deep = sequence(0x00400008, inner, undefined=True)
            _append(draft.items, sequence(0x00400275, [deep], undefined=True))
        elif wrap == "source":
            base = [text(0x00081150, "UI", "1.2.840.10008.5.1.4.1.1.2"), text(0x00081155, "UI", token.uid)]
            _append(draft.items, sequence(0x00082112, sorted([*base, elem], key=lambda one: one.tag)))
        elif wrap == "private":
            put(draft.items, text(0x00330010, "LO", "ACME DEEP 1.0"))
            _append(draft.items, sequence(0x00331001, [sequence(0x00331002, inner)], undefined=True))
        else:
            _append(draft.items, Elem(0x00081115, "SQ", [inner], wire="UN", undefined=wrap == "un-undefined"))
        return needles

    return plant


def _append(items: Item, made: Elem) -> None:
    """Add the made sequence's item to the one already there."""
    there = next((elem for elem in items if elem.tag == made.tag), None)
    if there is None or not isinstance(there.value, list):
        put(items, made)
        return
    there.value += made.items


def table_places(draft: Draft) -> Iterator[Place]:
    """Every row at the top and in four kinds of sequence."""
    for tag, vr, _ in table():
        if tag in STRUCTURE:
            continue
        layer = "table" if tag >> 16 else "table-command"
        yield Place(layer, f"table/{tag:08X}/top", in_item((), tag, vr))
        for wrap in ("undefined", "source", "private", "un", "un-undefined"):
            if wrap == "un-undefined" and draft.syntax == BIG:
                continue  # implicit inside, yet big-endian: no standard says what that would be
            yield Place(f"table-{wrap}", f"table/{tag:08X}/{wrap}", _new_context(tag, vr, wrap))


def dictionary_places(draft: Draft) -> Iterator[Place]:
    """Every attribute of the dictionary, group 0002 and directory records apart, at the top."""
    for tag, entry in DicomDictionary.items():
        group = tag >> 16
        vr = entry[0].split(" or ")[0]
        if group in (0x0000, 0x0002, 0x0004, 0xFFFE) or vr == "NONE" or tag in STRUCTURE:
            continue
        yield Place("dictionary", f"dictionary/{tag:08X}", in_item((), tag, vr))


def inner_places(draft: Draft) -> Iterator[Place]:
    """Every text, date and bulk attribute of the dictionary in one item of the draft: what a list keeps there."""
    inside = [path for path in paths(draft.items) if path]
    if not inside:
        return
    path = inside[sum(draft.name.encode()) % len(inside)]
    yield from inside_of(path)


def inside_of(path: ItemPath) -> Iterator[Place]:
    """Every attribute of the dictionary that holds no single number, in the item at a path."""
    where = "/".join(f"{tag:08X}[{index}]" for tag, index in path)
    for tag, vr in _inner():
        yield Place("inner", f"inner/{where}/{tag:08X}", in_item(path, tag, vr))


@cache
def _inner() -> tuple[tuple[int, str], ...]:
    numbers = ("NONE", "SQ", "US", "SS", "UL", "SL", "FL", "FD", "AT")
    known = [(tag, entry[0].split(" or ")[0]) for tag, entry in DicomDictionary.items() if tag >> 16 >= 8]
    return tuple((tag, vr) for tag, vr in known if vr not in numbers)


def decimal_places(draft: Draft) -> Iterator[Place]:
    """A plausible decimal whose digits are the identifier's, wherever the program does not promise all digits."""
    for tag, entry in DicomDictionary.items():
        if entry[0] == "DS" and tag >> 16 >= 8 and tag not in _exact():
            yield Place("decimals", f"decimals/{tag:08X}", _decimal(tag))


def _decimal(tag: int) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        put(draft.items, text(tag, "DS", "0." + token.digits))
        return (token.digits.encode(),)

    return plant


@cache
def _exact() -> frozenset[int]:
    """Attributes of which the program's own list keeps all digits: positions, scales, measurements."""
    path = _table_path().with_name("allow.json")
    entries = json.loads(path.read_text())["entries"] if path.exists() else []
    return frozenset(int(entry["tag"], 16) for entry in entries if entry["grammar"].startswith("exact("))


def repeater_places(draft: Draft) -> Iterator[Place]:
    """Repeating groups, overlays and curves among them."""
    for mask, entry in RepeatersDictionary.items():
        for filler in "02E":
            tag = int(mask.replace("xx", "0" + filler).replace("x", filler), 16)
            if tag in DicomDictionary:
                continue
            vr = entry[0].split(" or ")[0]
            yield Place("repeaters", f"repeater/{tag:08X}", in_item((), tag, vr))


def nested_places(draft: Draft) -> Iterator[Place]:
    """What identifies most, and what nobody knows, in each item that the draft has."""
    extra = (
        (0x00100010, "PN"), (0x00100020, "LO"), (0x00100030, "DA"), (0x00104000, "LT"), (0x00081030, "LO"),
        (0x00080104, "LO"), (0x0040A160, "UT"), (0x0040A123, "PN"), (0x00400254, "LO"), (0x00181000, "LO"),
        (0x0008FFF0, "LO"), (0x00120050, "LO"), (0x0020000D, "UI"), (0x00080050, "SH"), (0x0008002A, "DT"),
    )  # fmt: skip
    for path in paths(draft.items):
        where = "/".join(f"{tag:08X}[{index}]" for tag, index in path)
        for tag, vr in extra:
            yield Place("nested", f"nested/{where}/{tag:08X}", in_item(path, tag, vr))
        yield Place("nested", f"nested/{where}/private", _private(path, 0x0029, "ACME NEST", "LO"))


def _private(path: ItemPath, group: int, creator: str, vr: str, first: int = 0x10) -> Planter:
    """A private attribute in the first block that is free."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        items = reach(draft.items, path)
        if items is None:
            return ()
        used = {elem.tag for elem in items}
        block = next(block for block in range(first, 0x100) if group << 16 | block not in used)
        put(items, text(group << 16 | block, "LO", creator.format(token=token.text)))
        elem, needles = valued(group << 16 | block << 8 | 0x12, vr, token)
        put(items, elem)
        return needles

    return plant


def private_places(draft: Draft) -> Iterator[Place]:
    """Private attributes of every VR, with unknown, spoofed and telling creators, and with none."""
    for group in PRIVATE_GROUPS:
        for vr in ("LO", "PN", "UN", "OB", "SQ", "DA", "UT", "DS", "UI", "FD"):
            name = f"private/{group:04X}/{vr}"
            yield Place("private", name, _private((), group, f"ACME {vr}", vr, first=0x20))
    for creator in SPOOFED:
        for group in (0x0019, 0x0029, 0x0043, 0x2001):
            for vr in ("LO", "OB", "DS"):
                name = f"private/spoofed {creator}/{group:04X}/{vr}"
                yield Place("private", name, _private((), group, creator, vr, first=0x60))
    yield Place("private", "private/creator", _private((), 0x0035, "OF {token}", "LO"))
    yield Place("private", "private/no creator", in_item((), 0x00371010, "LO"))
    yield Place("private", "private/creator's place used", in_item((), 0x00390010, "UN"))
    yield Place("private", "private/below the creators", in_item((), 0x00390001, "LO"))
    for tag, creator in (*SAFE, *listed()):
        name = f"private/safe {tag:08X}"
        yield Place("private-safe", name, safe(tag, creator, "LO"))
        yield Place("private-safe-UN", name + "/UN", safe(tag, creator, "UN"))
        for vr in ("DS", "FD", "OB", "US", "PN", "SQ"):
            yield Place(f"private-safe-{vr}", f"{name}/{vr}", safe(tag, creator, vr))


# Attributes that PS3.15 E.3.10 names as safe: their values may still lie.
SAFE = (
    (0x00191009, "SIEMENS MR HEADER"), (0x0019100C, "SIEMENS MR HEADER"), (0x0019100E, "SIEMENS MR HEADER"),
    (0x00431039, "GEMS_PARM_01"), (0x0019109C, "GEMS_ACQU_01"), (0x001910BB, "GEMS_ACQU_01"),
    (0x20011003, "Philips Imaging DD 001"), (0x20011004, "Philips Imaging DD 001"),
    (0x20051010, "Philips MR Imaging DD 001"), (0x70531000, "Philips PET Private Group"),
    (0x00E11021, "ELSCINT1"), (0x01F11001, "ELSCINT1"), (0x00091067, "GEMS_PETD_01"),
)  # fmt: skip


@cache
def listed() -> tuple[tuple[int, str], ...]:
    """Every private attribute that the program's own list lets stay, with its creator."""
    path = _table_path().with_name("private.json")
    entries = json.loads(path.read_text())["entries"] if path.exists() else []
    found = [
        (int(entry["group"], 16) << 16 | 0x1000 | int(entry["element"], 16), entry["creator"])
        for entry in entries
        if re.fullmatch("[0-9A-Fa-f]{2}", entry["element"])
    ]
    return tuple(found)


def safe(tag: int, creator: str, vr: str) -> Planter:
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        put(draft.items, text(tag & 0xFFFF0000 | (tag >> 8 & 0xFF), "LO", creator))
        elem, needles = valued(tag, vr, token)
        put(draft.items, elem)
        return needles

    return plant


def unknown_places(draft: Draft) -> Iterator[Place]:
    """Even groups that no dictionary knows, and unknown elements of known groups."""
    for tag in (
        0x00080FF0,
        0x00100FF0,
        0x00180FF2,
        0x00280FF0,
        0x00400FF0,
        0x0054FFF0,
        0x52001230,
        0x7FE10010,
    ):
        for number, vr in enumerate(("LO", "UN", "SQ", "PN", "UT")):
            yield Place("unknown", f"unknown/{tag:08X}/{vr}", in_item((), tag + number, vr))
    for tag in (
        0x00000010,
        0x00030010,
        0x00040010,
        0x00041500,
        0x00060010,
        0x7FE20010,
        0xFFFA0010,
        0xFFFC0010,
    ):
        yield Place("odd-groups", f"unknown/{tag:08X}", in_item((), tag, "LO"))


def place_in(path: ItemPath, elem: Elem) -> Planter:
    """A planter that replaces the value of an element that is there."""

    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        items = reach(draft.items, path)
        there = next((one for one in items or [] if one.tag == elem.tag), None)
        if there is None:
            return ()
        made, needles = valued(elem.tag, elem.vr, token)
        there.value = made.value
        return needles

    return plant


def in_place(draft: Draft) -> Iterator[Place]:
    """Each value that the draft has, replaced by one of the same VR."""
    for path in paths(draft.items):
        where = "/".join(f"{tag:08X}[{index}]" for tag, index in path)
        for elem in reach(draft.items, path) or []:
            if isinstance(elem.value, Fragments) or elem.vr in ("SQ", "AT") or elem.tag in STRUCTURE:
                continue
            yield Place("in-place", f"in-place/{where}/{elem.tag:08X}", place_in(path, elem))
