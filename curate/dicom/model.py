"""The data model: elements, items and data sets as raw little-endian bytes (PS3.5 7.1, 7.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from curate.dicom import tags

Bytes = bytes | memoryview
PIXEL_DATA = tags.PixelData
SPECIFIC_CHARACTER_SET = tags.SpecificCharacterSet


class MalformedError(Exception):
    """The bytes can't be read, or can't be made safe: a rule's code and a keyword path, never a value."""

    def __init__(self, rule: str, tag: str = "") -> None:
        super().__init__(f"{rule} {tag}".strip())
        self.rule = rule
        self.tag = tag

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.rule, self.tag))


class Verdict(NamedTuple):
    """What became of an element: valid for `token` alone (a policy's, or a study's); None: removed."""

    token: object
    cleaned: Element | None
    label: str
    nested: Mapping[str, int]


NO_VERDICT = Verdict(None, None, "", {})


class Element:
    """One attribute of an item: `value` is its raw little-endian bytes, its items, or its fragments.

    Never changed once made: the engine shares equal elements among instances. `encoded` (its bytes) and
    `wide` (they need more than ASCII) are the writer's, `verdict` the rewriter's, `typed` (character set, value)
    that of the facts, `refers` that of the references, `labelled` that of the labels; `units` is what reading a
    sequence takes of a file's bound.
    """

    __slots__ = ("encoded", "labelled", "refers", "tag", "typed", "units", "value", "verdict", "vr", "wide")

    def __init__(self, tag: int, vr: str, value: Value) -> None:
        self.tag = tag
        self.vr = vr
        self.value = value
        self.encoded: bytes | None = None
        self.wide = False
        self.refers: bool | None = None
        self.labelled: bool | None = None
        self.units = 0
        self.verdict: Verdict = NO_VERDICT
        self.typed: tuple[tuple[str, ...] | None, object] = (None, None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Element):
            return NotImplemented
        return (self.tag, self.vr, self.value) == (other.tag, other.vr, other.value)

    @property
    def items(self) -> list[Item]:
        """The items of a sequence; none of any other element."""
        return self.value if isinstance(self.value, list) else []


_FIRST_BLOCK, _LAST_BLOCK = 0x10, 0x20  # more blocks in a group than these nobody reserves


class Item(dict[int, Element]):
    """A data set, or an item of a sequence: tag to element.

    `encodings` are the Python codecs of its (own or inherited) Specific Character Set, the first one the
    default. Only its engine keeps it sorted; a rule that adds an attribute just sets it. `seen`, where it is
    set, notes which attributes `raw`, `text` and `items_of` were asked for: what a cleaned value rests on.
    """

    __slots__ = ("encodings", "seen")

    def __init__(self, elements: Mapping[int, Element] | None = None, encodings: tuple[str, ...] = ()) -> None:
        super().__init__(elements or {})
        self.encodings = encodings
        self.seen: set[int] | None = None

    def __repr__(self) -> str:
        return f"<Item of {len(self)} elements>"

    def raw(self, tag: int) -> bytes:
        """The raw value with its padding; empty where absent, or not of a plain VR."""
        if self.seen is not None:
            self.seen.add(tag)
        element = self.get(tag)
        if element is None:
            return b""
        value = element.value
        if isinstance(value, bytes):
            return value
        return bytes(value) if isinstance(value, memoryview) else b""

    def text(self, tag: int) -> str:
        """The value as ASCII without padding, for codes, UIDs, dates and numbers; never for free text."""
        return self.raw(tag).decode("ascii", "replace").strip(" \0")

    def items_of(self, tag: int) -> list[Item]:
        """The items of a sequence; none where it is absent or empty."""
        if self.seen is not None:
            self.seen.add(tag)
        element = self.get(tag)
        return element.items if element is not None else []

    def creator(self, tag: int) -> str | None:
        """The private creator of a private tag's block; None for standard tags, empty where it is missing."""
        if not tag & 0x10000:
            return None
        block = (tag & 0xFF00) >> 8
        return self.text((tag & 0xFFFF0000) | block) if block >= 0x10 else ""

    def private(self, group: int, creator: str, number: int) -> Element | None:
        """The private element of a number in the block that a creator reserved (PS3.5 7.8.1); None where it is not."""
        for block in range(_FIRST_BLOCK, _LAST_BLOCK):
            element = self.get(group << 16 | block << 8 | number)
            if element is not None and self.text(group << 16 | block) == creator:
                return element
        return None

    def put(self, tag: int, vr: str, value: bytes | list[Item]) -> None:
        """Set an attribute; text and numbers come already padded, or are padded here as the VR asks."""
        self[tag] = plain(tag, vr, value) if isinstance(value, bytes) else Element(tag, vr, value)


_SPACE_PADDED = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UR", "UT")
)


@lru_cache(maxsize=1 << 13)
def plain(tag: int, vr: str, value: bytes) -> Element:
    """An element with a padded value, shared among all that ask for the same."""
    if len(value) % 2:
        value += b" " if vr in _SPACE_PADDED else b"\0"
    return Element(tag, vr, value)


@dataclass(frozen=True, slots=True, repr=False)
class Fragments:
    """Encapsulated pixel data (PS3.5 A.4): the raw Basic Offset Table and the fragments, as views."""

    offsets: Bytes
    fragments: tuple[Bytes, ...]


Value = bytes | memoryview | list[Item] | Fragments
