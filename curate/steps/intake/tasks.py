"""What one worker is told of one study, and what it answers: plain records that any process can be sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.archive.ledger_records import QuarantineEntry, StudyRecord
from curate.archive.stores import Store
from curate.core.findings import Finding
from curate.core.remote import RemoteFile
from curate.deid.renumbering import NONE, Numbers
from curate.metadata.table import StudyRow
from curate.steps.intake.batch_state import FIRST, Order


@dataclass(frozen=True, slots=True, repr=False)
class SourceInstance:
    """One file of a study: its safe place, its path, and where the series' order puts it.

    `origin` is where it came from, for the owner alone: a container's member has a path of its own in `path`.
    `order` is its place among the study's clean instances, `numbers` are what its header orders it by. `conflict` is
    the rule by which it may not enter: another study claims its series, or its own UID.
    """

    place: str
    path: Path | RemoteFile
    series_uid: str
    instance_uid: str
    duplicate: bool = False
    origin: str = ""
    order: Order = FIRST
    numbers: Numbers = NONE
    conflict: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class StudyTask:
    """One study to admit or to quarantine.

    `findings` that are errors send it to quarantine as a whole. `admitted` is what the archive holds of it already,
    `released` whether a release shows that; `whole` says that nothing of it lies elsewhere. `row` is the study's row
    of the table, coded; `shift_us` and `study_date` place it in the donor's rebased time, `day` counts days from
    2000-01-01, `moment` is the first acquisition in microseconds since 1970. `decision` is what a person decided of
    its pixels: `admit` them as they are, `mask` all that is found, or nothing; `heads` is `admit` where a person
    looked at its surface.
    """

    packs: Store
    quarantine: Store
    study_uid: str
    study_id: str
    donor_id: str
    instances: tuple[SourceInstance, ...]
    findings: tuple[Finding, ...]
    profile: Mapping[str, Any]
    deidentify: bool
    target_pack_bytes: int
    at: str
    tool: str
    license: str
    shift_us: int | None = None
    study_date: str = ""
    day: int | None = None
    fold: int = 0
    moment: int | None = None
    admitted: StudyRecord | None = None
    released: bool = False
    whole: bool = True
    row: StudyRow | None = None
    decision: str = ""
    heads: str = ""
    pixels: str = "as-is"


@dataclass(frozen=True, slots=True, repr=False)
class StudyResult:
    """What became of a study: its record where it is new or was joined, its entry where something waits.

    `admitted` counts instances, `copies` further files that are exact copies of these, `quarantined` files. `joined`
    counts the instances that came to an admitted study; `open` says that what waits of it from an earlier
    batch was not in this one.
    """

    admitted: int
    quarantined: int
    findings: tuple[Finding, ...]
    record: StudyRecord | None = None
    entry: QuarantineEntry | None = None
    size_bytes: int = 0
    joined: int = 0
    open: bool = False
    copies: int = 0
