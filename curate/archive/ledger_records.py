"""What the ledger keeps, as records: events, admitted studies, what waits; and under what it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from curate.archive import arrow_ipc


@dataclass(frozen=True, slots=True)
class Actor:
    """Under what events are written: names by account, the id of the archive's key, its policy's digest.

    `seal` is the key under which the records of studies are sealed.
    """

    people: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    policy: str = ""
    seal: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the ledger: who did it, under which key, with which tool and policy."""

    seq: int
    at: str
    kind: str
    subject: str
    who: str
    key: str
    tool: str
    policy: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StudyRecord:
    """What the archive holds of an admitted study.

    `source` holds the sorted keyed marks of its original instances, 32 bytes each; `payload` the coded
    metadata, consent terms and evidence; `series`, `instances`, `links` and `previews` are Arrow IPC
    tables; `merged` is 1 once a release has given the study its final pack; `notes` is what a later batch of the
    study must know.
    """

    study_id: str
    donor_id: str
    source: bytes
    payload: dict[str, Any]
    series: bytes
    instances: bytes
    links: bytes
    previews: bytes | None
    merged: int = 0
    notes: bytes = b""

    @property
    def sources(self) -> frozenset[bytes]:
        """The marks of its original instances."""
        return frozenset(self.source[at : at + 32] for at in range(0, len(self.source), 32))

    @property
    def published_donor(self) -> str:
        """The donor_id that its images and its row bear: the donor's own, or a further one."""
        return str(self.payload.get("further", {}).get("donor_id", self.donor_id))

    @property
    def own_uids(self) -> frozenset[str]:
        """The UIDs of the study, its series and its instances."""
        rows = arrow_ipc.columns_of_ipc(self.instances, ("SeriesInstanceUID", "SOPInstanceUID"))
        return frozenset((self.study_id, *(uid for name in rows.column_names for uid in rows[name].to_pylist())))

    @property
    def files(self) -> set[str]:
        """Its packs and its shard of previews, from the archive's root."""
        packs = arrow_ipc.columns_of_ipc(self.instances, ("pack",))["pack"].unique().to_pylist()
        return {*packs, *filter(None, [self.payload.get("preview")])}


@dataclass(frozen=True, slots=True)
class Outline:
    """What of a study decides a release, without its instances: a hundredth of the bytes."""

    study_id: str
    donor_id: str
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """What waits: rule codes with counts, number and size of the files, the donor's pseudonym where it is known."""

    id: str
    study_id: str
    at: str
    codes: dict[str, int]
    files: int
    size_bytes: int
    donor_id: str = ""


def entry_of_row(row: tuple[Any, ...]) -> QuarantineEntry:
    """An entry as its row has it."""
    return QuarantineEntry(row[0], row[1], row[2], json.loads(row[3]), *row[4:])


def study_of_row(row: Any, payload: dict[str, Any] | None = None) -> StudyRecord:
    """A record as its row has it; `payload` stands in where the row's own cannot be read."""
    study_id, donor_id, said, source, *large, _ = row
    try:
        payload = json.loads(said)
    except ValueError:
        if payload is None:
            raise
    return StudyRecord(study_id, donor_id, source, payload or {}, *large)
