"""What the modules of de-identification hand to each other.

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
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from curate.core.findings import Finding
from curate.dicom.model import Bytes
from curate.keys.derivation import Keys

if TYPE_CHECKING:
    from curate.deid.renumbering import Numbering


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
