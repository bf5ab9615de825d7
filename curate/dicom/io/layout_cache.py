"""How the files of a series are laid out: bytes that all of them have, and between them the elements that vary.

A file that keeps to a known track is read by comparing it: bytes that equal an earlier file's are that file's
elements, and what lies between them is read as ever. A file of another layout is read from its first byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from curate.core.findings import Finding
from curate.dicom import tags
from curate.dicom.dictionary import VRS, normal_vr
from curate.dicom.io.element_interning import LONGEST, table_of
from curate.dicom.io.elements import BYTES_A_UNIT, MIN_UNITS, read_elements, source_of
from curate.dicom.io.file_meta import Head, meta_spans
from curate.dicom.model import PIXEL_DATA, SPECIFIC_CHARACTER_SET, Element, Item, MalformedError

_PREAMBLE = 128
_BULK = tags.ExtendedOffsetTable  # what comes before is the length of the group, which some writers state
_SERIES = tags.SeriesInstanceUID
_PIXELS = b"\xe0\x7f\x10\0"
_META = frozenset(
    (tags.FileMetaInformationGroupLength, tags.MediaStorageSOPInstanceUID)
)  # the group's length, and the instance
_PIXEL_HEADS = {b"\xe0\x7f\x10\0OW\0\0": "OW", b"\xe0\x7f\x10\0OB\0\0": "OB"}
_UNDEFINED = 0xFFFFFFFF
_MOST_VARYING = 64
_MOST_TRACKS = 8


class _Step(NamedTuple):
    """Bytes that all files have, up to and with the tag and the VR of an element that varies.

    `head` are the bytes of its tag and VR, `width` those of its length; `vr` is empty where its bytes do not tell all.
    """

    raw: bytes
    size: int
    tag: int
    head: int
    width: int
    vr: str


@dataclass(frozen=True, slots=True, repr=False)
class Parsed:
    """One file's content. `meta` is group 0002; `transfer_syntax` is what the data set really is in.

    Files of one `track` hold the very same elements, but for those that it names, and the pixels: who changes a
    data set makes a `Parsed` without it.
    """

    meta: Mapping[int, bytes]
    dataset: Item
    transfer_syntax: str
    findings: tuple[Finding, ...] = ()
    track: SeriesLayout | None = None


class SeriesLayout:
    """A layout: `tags` in their order up to the pixels, and which of them vary among the files that keep to it."""

    __slots__ = ("_last", "_meta", "_steps", "_syntax", "_units", "base", "tags", "varying")

    def __init__(
        self, data: bytes, head: Head, spans: list[tuple[int, int, int]], base: Item, varying: frozenset[int]
    ) -> None:
        self.base = Item({tag: base[tag] for tag, _, _ in spans}, base.encodings)
        self.tags = tuple(self.base)
        self.varying = tuple(tag for tag in self.tags if tag in varying)
        self._meta: Mapping[int, bytes] = head.meta
        self._syntax = head.syntax
        self._units = sum(base[tag].units for tag in self.tags if tag not in varying)
        self._steps: list[_Step] = []
        start = _PREAMBLE
        for tag, place, stop in (*meta_spans(data, _PREAMBLE + 4), *spans):
            if tag in varying or tag in _META:
                vr = VRS[data[place + 4 : place + 6]]
                here = place + (8 if vr.long else 6)
                plain = vr.name if vr.name != "SQ" and normal_vr(tag, vr.name) == vr.name else ""
                step = _Step(data[start:here], here - start, tag, here - place, 4 if vr.long else 2, plain)
                self._steps.append(step)
                start = stop
        self._last = data[start : spans[-1][2]]

    def read(self, data: bytes, *, whole: bool) -> Parsed | None:
        """A file that keeps to the track; None where it does not. Without its pixels where it is not `whole`."""
        base, meta, place = self.base, self._meta, _PREAMBLE
        shared = table_of(True, base.encodings)
        known, end = shared.elements, len(data)
        found: dict[int, Element] = {}
        units = self._units
        for raw, size, tag, head, width, vr in self._steps:
            if not data.startswith(raw, place):
                return None
            start = place + size
            place = start + width + int.from_bytes(data[start : start + width], "little")
            if tag in _META:
                meta = {**meta, tag: data[start + width : place]}
                continue
            said = data[start - head : place]
            element = known.get(said)
            if element is None and vr and place <= end and len(said) <= LONGEST:
                element = Element(tag, vr, data[start + width : place])
                shared.keep(said, element)
            elif element is None:
                one = _one(data, start - head, tag, base.encodings)
                if one is None:
                    return None
                element, place = one
            if not vr:
                if element.vr != base[tag].vr:  # bytes of UN are a sequence in some files only
                    return None
                units += element.units
            found[tag] = element
        if not data.startswith(self._last, place):
            return None
        place += len(self._last)
        if not whole and place < end and data[place : place + 4] != _PIXELS:
            return None
        item = Item(base, base.encodings)
        item.update(found)
        if units > MIN_UNITS + end // BYTES_A_UNIT:
            return None
        if place < end and not _read_pixels(data, place, item, units, whole=whole):
            return None
        return Parsed(meta, item, self._syntax, (), self)


def _one(data: bytes, place: int, tag: int, encodings: tuple[str, ...]) -> tuple[Element, int] | None:
    """An element that no file before had, and where it ends; None where something about it is open."""
    source, item = source_of(data), Item(encodings=encodings)
    try:
        stop = read_elements(source, place, len(data), True, item, 0, 0, once=True)
    except MalformedError:  # the file is read from its first byte, and refused there
        return None
    return (item[tag], stop) if [*item] == [tag] and not source.ambiguous else None


def _read_pixels(data: bytes, place: int, item: Item, units: int, *, whole: bool) -> bool:
    """Add the pixels, where they alone are what is left; of a file that goes on, as far as it is known."""
    vr = _PIXEL_HEADS.get(data[place : place + 8])
    size, left = int.from_bytes(data[place + 8 : place + 12], "little"), len(data) - place - 12
    if vr and not whole and max(0, left) < size < _UNDEFINED:
        return True
    if vr and 0 < size == left:
        item[PIXEL_DATA] = Element(PIXEL_DATA, vr, memoryview(data)[place + 12 :])
        return True
    source, found = source_of(data), Item(encodings=item.encodings)
    source.units -= units
    try:
        read_elements(source, place, len(data), True, found, 0, 0)
    except MalformedError as error:  # the same
        return not whole and error.rule == "TRUNCATED" and not found
    if [*found] != [PIXEL_DATA] or source.trailing or source.ambiguous:
        return False
    item.update(found)
    return True


_tracks: tuple[SeriesLayout, ...] = ()


def follow(data: bytes, *, whole: bool) -> Parsed | None:
    """A file that is laid out like one of the latest."""
    global _tracks
    for number, track in enumerate(_tracks):
        parsed = track.read(data, whole=whole)
        if parsed is not None:
            if number:
                _tracks = (track, *_tracks[:number], *_tracks[number + 1 :])
            return parsed
    return None


def learn(data: bytes, head: Head, spans: list[tuple[int, int, int]], item: Item) -> SeriesLayout | None:
    """The track of a file that kept to none, for the files that come after it."""
    global _tracks
    spans = [span for span in spans if span[0] < _BULK]
    if not spans or not _follows(data, head, spans):
        return None
    tags = [tag for tag, _, _ in spans]
    before = next((t for t in _tracks if t.tags == tuple(tags) and t.base.encodings == item.encodings), None)
    varying = frozenset() if before is None else _varying(before, item)
    varying = frozenset(tag for tag in varying if tag > SPECIFIC_CHARACTER_SET or _needs_none(item[tag]))
    made = SeriesLayout(data, head, spans, item, varying)
    _tracks = (made, *(one for one in _tracks if one is not before))[:_MOST_TRACKS]
    return made


def _needs_none(element: Element) -> bool:
    """Whether an element before the character set is read without one, as the standard has it there."""
    return element.tag != SPECIFIC_CHARACTER_SET and not isinstance(element.value, list)


def _follows(data: bytes, head: Head, spans: list[tuple[int, int, int]]) -> bool:
    """Whether group 0002 and the elements up to the pixels lie end to end, in their order, and nothing else."""
    place, tags = _PREAMBLE + 4, [tag for tag, _, _ in spans]
    if data[_PREAMBLE:place] != b"DICM" or tags != sorted(set(tags)):
        return False
    every = (*meta_spans(data, place), *spans)
    for _, start, stop in every:
        if start != place or data[start + 4 : start + 6] not in VRS:
            return False
        place = stop
    return place == len(data) or data[place : place + 4] == _PIXELS


def _varying(before: SeriesLayout, item: Item) -> frozenset[int]:
    """What differs within a series; of another series, what differed within the one before it."""
    known, base = frozenset(before.varying), before.base
    if item.get(_SERIES) != base.get(_SERIES):
        return known
    differing = {tag for tag in before.tags if item[tag] is not base[tag] and item[tag] != base[tag]}
    return known | differing if len(known | differing) <= _MOST_VARYING else known


def forget() -> None:
    """Start anew, as a fresh process does."""
    global _tracks
    _tracks = ()
