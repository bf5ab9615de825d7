"""What a first look at a file gives."""

from __future__ import annotations

from typing import NamedTuple


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
