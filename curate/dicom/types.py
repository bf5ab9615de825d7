"""The records that the rooms of `curate.dicom` hand to each other.

`profile` says what happens to an attribute, `rewrite` and `verify` do it on the bytes. Both rest on these.
The engine calls, of `profile`: `decide`, `clean_value`, `is_pure`, `finish_item`, `finish_dataset`,
`admit_sop_class`, `check_value`, `check_item`, `check_dataset`, `direct_identifiers`. What `clean_value`
gives is remembered: where `is_pure(tag, vr)` by the raw value for ever; else for the study by the raw value, but
for what rests on the siblings that `partners` names too (the time of a date, the date of a time).
A sequence is handled by its items: `decide` says whether it stays at all, `clean_value` is asked of plain
elements only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from curate.findings import Finding
from curate.policies import Policy as Policy

if TYPE_CHECKING:
    from curate.dicom.numbering import Numbering
    from curate.dicom.track import Track

Bytes = bytes | memoryview
PIXEL_DATA = 0x7FE00010
SPECIFIC_CHARACTER_SET = 0x00080005


class MalformedError(Exception):
    """The bytes can't be read, or can't be made safe: a rule's code and a keyword path, never a value."""

    def __init__(self, rule: str, tag: str = "") -> None:
        super().__init__(f"{rule} {tag}".strip())
        self.rule = rule
        self.tag = tag

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.rule, self.tag))


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """Secrets of one archive, 32 bytes each, derived from its `secret.key`.

    `storage` seals the archive's own lists (receipts), `quarantine` what waits. A worker's copy is without what
    only the coordinator needs: there these keys are empty, and no id is made with one.
    """

    uid: bytes
    donor: bytes
    fold: bytes
    order: bytes
    tombstone: bytes
    storage: bytes
    quarantine: bytes
    source: bytes

    @classmethod
    def from_secret(cls, secret: bytes) -> Keys:
        """The keys that a secret gives: HKDF-SHA256, one label a purpose (RFC 5869)."""
        labels = (f"curate {name.name}".encode() for name in fields(cls))
        return cls(*(HKDF(hashes.SHA256(), 32, None, label).derive(secret) for label in labels))

    def of_worker(self) -> Keys:
        """What rewriting and quarantining need."""
        return replace(self, fold=b"", tombstone=b"", storage=b"")


@dataclass(frozen=True, slots=True, repr=False)
class StudyContext:
    """What the rewriting of one study rests on besides the policy.

    `shift_us` is added to every date-time of the study (microseconds), so that the donor's first study falls
    on 2000-01-01 and each study's first acquisition on 12:00:00; None: dates and times are removed.
    `study_date` is the date after the shift (YYYYMMDD, or empty).
    `keys` None is the verifier's context: a UID that has the form of a keyed one is kept as it is,
    `shift_us` is 0, and `donor_id` is what the file says; so rewriting a clean file changes nothing.
    `names` are words of the person's own identifiers (`profile.words_of`): no description repeats them.
    `utc_offset` are the minutes from UTC of the clock of one instance: the engine's, None where nothing states it.
    `numbering` renumbers the study's series, acquisitions and instances; None: they stay.
    """

    keys: Keys | None
    donor_id: str
    shift_us: int | None
    study_date: str = ""
    names: frozenset[str] = frozenset()
    numbering: Numbering | None = None
    utc_offset: int | None = None


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


class Action(StrEnum):
    """What happens to an attribute: the codes of PS3.15 Table E.1-1a, `REFUSE` for the whole instance."""

    KEEP = "K"
    CLEAN = "C"
    EMPTY = "Z"
    DUMMY = "D"
    REMOVE = "X"
    UID = "U"
    REFUSE = "REFUSE"


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to an attribute and why.

    `grammar` names what a kept value must pass; `reason` is a sentence for `curate profile`; `rule` is the
    code of the finding that the verifier makes where the attribute is there or unchanged.
    """

    action: Action
    grammar: str = ""
    reason: str = ""
    rule: str = ""


@dataclass(slots=True)
class Report:
    """What one rewriting did: counts of rules or actions applied, and findings; filled while it runs.

    `applied` is shared among files of a series: it is never changed, but replaced.
    """

    applied: Mapping[str, int] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def count(self, what: str) -> None:
        """One more application of a rule or action."""
        self.applied = {**self.applied, what: self.applied.get(what, 0) + 1}


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
    track: Track | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Rewritten:
    """A clean Part 10 file: write `chunks` one after the other; the pixel bytes among them are views."""

    chunks: tuple[Bytes, ...]
    size: int
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax: str
    frames: int
    applied: Mapping[str, int]
    findings: tuple[Finding, ...]


class Scan(NamedTuple):
    """What grouping and sorting need of one file; UIDs are the original ones, so it never leaves the archive.

    `patient` are keyed marks of PatientID, and of name and birth date (`hierarchy.patients`); `earliest` the first
    acquisition as microseconds since 1970-01-01 on the file's own clock, None where no date is; `position` is in mm
    along the slice normal.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    transfer_syntax: str
    patient: bytes
    identity_removed: bool
    study_date: str
    earliest: int | None
    position: float | None
    time: float | None
    number: int | None
    frames: int
    size: int
    series_number: int | None = None
    acquisition: int | None = None
    rule: str = ""

    def __repr__(self) -> str:
        return "<Scan>"
