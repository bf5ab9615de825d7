"""Bytes to elements at every level of sequences: explicit, implicit and big-endian.

Tolerant where real files are odd, strict where that protects: depth, number of elements, lengths.
Elements of up to a kilobyte and whole sequences are shared among files that hold the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from curate.dicom import tags
from curate.dicom.dictionary import UNIT, VRS, allowed_vrs, known_keyword, normal_vr
from curate.dicom.io.character_sets import encodings_of
from curate.dicom.io.element_interning import LONGEST, LONGEST_SEQUENCE, table_of
from curate.dicom.io.vr_inference import swapped
from curate.dicom.model import PIXEL_DATA, SPECIFIC_CHARACTER_SET, Bytes, Element, Fragments, Item, MalformedError

MAX_DEPTH = 32
MIN_UNITS = 1 << 19  # with all that is made of them, some 150 MB
BYTES_A_UNIT = 6  # a dose report has one in 5 bytes, since each number has its codes in items of their own
ITEM_UNITS = 6  # what an item takes of memory, beside its elements, measured in elements
_USUAL_DEPTH, _DEEP_UNITS = 8, 4  # no object of the standard is deeper; from there on each level takes more

_HEADER = struct.Struct("<HH2sH").unpack_from
_LENGTH = struct.Struct("<L").unpack_from
_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = tags.Item, tags.ItemDelimitationItem, tags.SequenceDelimitationItem
PIXELS = frozenset((PIXEL_DATA, tags.FloatPixelData, tags.DoubleFloatPixelData))
_VIEW_FROM = 1 << 16


@dataclass(slots=True, repr=False)
class Source:
    """One file's bytes while they are read, and what must be known of them as a whole.

    `spans` are tag, start and stop of each element at the top.
    """

    data: bytes
    units: int
    little: bool = True
    ambiguous: list[tuple[Item, int]] = field(default_factory=list)
    header: Callable[[bytes, int], tuple[Any, ...]] = _HEADER
    long: Callable[[bytes, int], tuple[Any, ...]] = _LENGTH
    trailing: bool = False
    spans: list[tuple[int, int, int]] = field(default_factory=list)

    def spend(self, units: int) -> None:
        """Count elements and items against what a file of this size may hold."""
        self.units -= units
        if self.units < 0:
            raise MalformedError("TOO_MANY_ELEMENTS")


def source_of(data: bytes, *, little: bool = True) -> Source:
    """A file's bytes before they are read."""
    source = Source(data, MIN_UNITS + len(data) // BYTES_A_UNIT, little)
    if not little:
        source.header = struct.Struct(">HH2sH").unpack_from
        source.long = struct.Struct(">L").unpack_from
    return source


def read_elements(
    source: Source,
    pos: int,
    end: int,
    explicit: bool,
    item: Item,
    depth: int,
    ends_with: int,
    *,
    once: bool = False,
) -> int:
    """Read elements into `item` up to `end`, to the delimiter `ends_with`, or just one.

    Returns where it stopped. The one long function: it is what every byte of every header goes through.
    """
    data, header = source.data, source.header
    interned = table_of(depth == 0, item.encodings)
    table, open_ended = interned.elements, interned.open_ended
    fast = explicit and source.little
    while pos < end:
        if end - pos < 8:
            return _stop_at_rest(source, pos, end, depth)
        group, number, name, length = header(data, pos)
        tag = group << 16 | number
        vr = VRS.get(name) if explicit else None
        if vr is not None and group != 0xFFFE:
            if vr.long:
                if end - pos < 12:
                    return _stop_at_rest(source, pos, end, depth)
                start = pos + 12
                length = source.long(data, pos + 8)[0]
            else:
                start = pos + 8
            kind = vr.name
        else:
            if tag == ends_with and ends_with:
                return pos + 8
            if group == 0xFFFE:
                if not depth and PIXELS & item.keys():
                    return _stop_at_rest(source, pos, end, depth, force=True)
                pos = _skip_stray(source, pos, tag)
                continue
            start = pos + 8
            length = source.long(data, pos + 4)[0]
            kind = _implicit_vr(tag)
            if not depth and (not tag or (explicit and PIXELS & item.keys() and not _plausible(name))):
                return _stop_at_rest(source, pos, end, depth, force=True)  # (0000,0000) is no data set's
            if explicit and not _plausible(name):
                raise MalformedError("MALFORMED", known_keyword(tag))
        stop = start + length
        if length == _UNDEFINED:
            seen = open_ended.get(data[pos : pos + 12]) if fast else None
            if seen and data.startswith(seen[0], pos) and pos + len(seen[0]) <= end:
                item[tag] = seen[1]
                source.spend(seen[1].units)
                if not depth:
                    source.spans.append((tag, pos, pos + len(seen[0])))
                pos += len(seen[0])
                if once:
                    return pos
                continue
            element, stop = _read_undefined(source, start, end, tag, kind, explicit, item.encodings, depth)
            raw_size = stop - pos
            if fast and raw_size <= LONGEST_SEQUENCE and kind == "SQ" and _shareable(element, depth, source):
                raw = data[pos:stop]
                interned.keep(raw, element)
                open_ended[raw[:12]] = (raw, element)
        elif stop > end:
            if depth == 0 and PIXELS & item.keys():
                return _stop_at_rest(source, pos, end, depth, force=True)
            raise MalformedError("TRUNCATED", known_keyword(tag))
        elif fast and length <= (LONGEST_SEQUENCE if kind == "SQ" else LONGEST) and tag not in PIXELS:
            raw = data[pos:stop]
            found = table.get(raw)
            if found is None:
                element = _read_value(source, start, stop, tag, kind, explicit, item, depth)
                if _shareable(element, depth, source):
                    interned.keep(raw, element)
            else:
                element = found
                if found.units:  # counted wherever it stands, so that no file is bound by those before it
                    source.spend(found.units)
        else:
            element = _read_value(source, start, stop, tag, kind, explicit, item, depth)
        item[tag] = element
        if not depth:
            source.spans.append((tag, pos, stop))
        pos = stop
        if once:
            return pos
        if tag == SPECIFIC_CHARACTER_SET:
            item.encodings = encodings_of(item.raw(tag))
            interned = table_of(depth == 0, item.encodings)
            table, open_ended = interned.elements, interned.open_ended
    if ends_with:
        raise MalformedError("TRUNCATED")
    return pos


def _shareable(element: Element, depth: int, source: Source) -> bool:
    """Whether an element means the same in every file: nothing open about its VR, no depth below the top."""
    if source.ambiguous:
        return False
    return depth == 0 or not any(inner.items for item in element.items for inner in item.values())


def _stop_at_rest(source: Source, pos: int, end: int, depth: int, *, force: bool = False) -> int:
    """Bytes that can't be an element: after a data set they are left out, within one they are an error."""
    if depth or not (force or end - pos < 12):
        raise MalformedError("TRUNCATED")
    source.trailing = True
    return end


def _skip_stray(source: Source, pos: int, tag: int) -> int:
    """A delimiter where none belongs: some writers end defined lengths with one too."""
    if tag in (_ITEM_END, _SEQUENCE_END) and source.long(source.data, pos + 4)[0] == 0:
        return pos + 8
    raise MalformedError("MALFORMED")


def _plausible(name: bytes) -> bool:
    """Whether the place of a VR holds the low half of an implicit element's length instead."""
    return not (65 <= name[0] <= 90 and 65 <= name[1] <= 90)


def _implicit_vr(tag: int) -> str:
    """The VR of an element that doesn't state it; UN where the standard doesn't know the tag."""
    if tag & 0x10000:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    if not tag & 0xFFFF:
        return "UL"
    allowed = allowed_vrs(tag)
    return allowed[0] if allowed else "UN"


def _read_value(
    source: Source, start: int, stop: int, tag: int, kind: str, explicit: bool, item: Item, depth: int
) -> Element:
    """An element of defined length."""
    named, before = normal_vr(tag, kind), source.units
    if named == "SQ":
        try:
            items, _ = _read_sequence(source, start, stop, kind, explicit, item.encodings, depth, undefined=False)
            return _spent(Element(tag, "SQ", items), before - source.units)
        except MalformedError as error:
            if kind == "SQ" or error.rule in ("TOO_DEEP", "TOO_MANY_ELEMENTS"):
                raise
            named = "UN"
    if kind != named or not explicit:
        _note_ambiguous(source, item, tag)
    value: Bytes = source.data[start:stop] if stop - start <= _VIEW_FROM and tag not in PIXELS else b""
    if not value and stop > start:
        value = memoryview(source.data)[start:stop]
    if not source.little and tag not in PIXELS and len(value) % (unit := UNIT.get(named, 1)) == 0:
        value = swapped(value, unit)
    return _spent(Element(tag, named, value), before - source.units)


def _spent(element: Element, units: int) -> Element:
    element.units = units
    return element


def _note_ambiguous(source: Source, item: Item, tag: int) -> None:
    if len(allowed_vrs(tag)) > 1:
        source.ambiguous.append((item, tag))


def _read_undefined(
    source: Source,
    start: int,
    end: int,
    tag: int,
    kind: str,
    explicit: bool,
    encodings: tuple[str, ...],
    depth: int,
) -> tuple[Element, int]:
    """An element of undefined length: a sequence, also as UN (PS3.5 6.2.2), or encapsulated pixels."""
    if tag == PIXEL_DATA:
        fragments, stop = _read_fragments(source, start, end)
        return Element(tag, "OB", fragments), stop
    if kind not in ("SQ", "UN"):
        raise MalformedError("MALFORMED", known_keyword(tag))
    before = source.units
    items, stop = _read_sequence(source, start, end, kind, explicit, encodings, depth, undefined=True)
    return _spent(Element(tag, "SQ", items), before - source.units), stop


def _read_sequence(
    source: Source,
    start: int,
    end: int,
    kind: str,
    explicit: bool,
    encodings: tuple[str, ...],
    depth: int,
    *,
    undefined: bool,
) -> tuple[list[Item], int]:
    """A sequence's items; within UN they are implicit little endian whatever is around them (PS3.5 6.2.2)."""
    if kind == "SQ":
        return _read_items(source, start, end, explicit, encodings, depth, undefined=undefined)
    inner = source if source.little else source_of(source.data)
    inner.units, inner.ambiguous = source.units, source.ambiguous
    result = _read_items(inner, start, end, False, encodings, depth, undefined=undefined)
    source.units = inner.units
    return result


def _read_items(
    source: Source,
    pos: int,
    end: int,
    explicit: bool,
    encodings: tuple[str, ...],
    depth: int,
    *,
    undefined: bool,
) -> tuple[list[Item], int]:
    """The items of a sequence and where it ends."""
    if depth >= MAX_DEPTH:
        raise MalformedError("TOO_DEEP")
    data, long, header = source.data, source.long, source.header
    items: list[Item] = []
    units = ITEM_UNITS + _DEEP_UNITS * max(0, depth - _USUAL_DEPTH)
    while pos < end:
        if end - pos < 8:
            raise MalformedError("TRUNCATED")
        group, number, _, _ = header(data, pos)
        tag, length = group << 16 | number, long(data, pos + 4)[0]
        pos += 8
        if tag == _SEQUENCE_END:
            if undefined:
                return items, pos
            continue
        if tag == _ITEM_END and not length:  # some writers end items of defined length with one too
            continue
        if tag != _ITEM:
            raise MalformedError("MALFORMED")
        item = Item(encodings=encodings)
        open_ended = length == _UNDEFINED
        stop = end if open_ended else pos + length
        if stop > end:
            raise MalformedError("TRUNCATED")
        how = explicit and not (stop - pos >= 8 and _looks_implicit(data, pos))
        pos = read_elements(source, pos, stop, how, item, depth + 1, _ITEM_END if open_ended else 0)
        items.append(item)
        source.spend(units + len(item))
    if undefined:
        raise MalformedError("TRUNCATED")
    return items, pos


def _looks_implicit(data: bytes, pos: int) -> bool:
    """Whether an item in an explicit data set holds implicit elements, as some writers leave it."""
    name = data[pos + 4 : pos + 6]
    return name not in VRS and data[pos : pos + 2] != b"\xfe\xff" and data[pos : pos + 2] != b"\xff\xfe"


def _read_fragments(source: Source, pos: int, end: int) -> tuple[Fragments, int]:
    """Encapsulated pixel data: the Basic Offset Table, then fragments, then the delimiter (PS3.5 A.4)."""
    view, fragments = memoryview(source.data), []
    while True:
        if end - pos < 8:
            raise MalformedError("TRUNCATED", "PixelData")
        group, number, _, _ = source.header(source.data, pos)
        tag, length = group << 16 | number, source.long(source.data, pos + 4)[0]
        pos += 8
        if tag == _SEQUENCE_END:
            break
        if tag != _ITEM:
            raise MalformedError("FRAGMENTS_MALFORMED", "PixelData")
        if length > end - pos:
            raise MalformedError("TRUNCATED", "PixelData")
        fragments.append(view[pos : pos + length])
        pos += length
        source.spend(1)
    if not fragments:
        raise MalformedError("FRAGMENTS_MALFORMED", "PixelData")
    return Fragments(fragments[0], tuple(fragments[1:])), pos
