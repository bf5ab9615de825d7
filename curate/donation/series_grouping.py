"""Groups instances into series and studies by their UIDs, and finds the day from which a donor's dates move."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Generic, TypeVar

from curate.core.findings import Finding
from curate.deid.dates import within_era
from curate.deid.records import StudyContext
from curate.dicom.io.scan_record import Scan
from curate.donation.header_scan import MARK
from curate.keys.derivation import Keys
from curate.policies import Policy

Place = TypeVar("Place", bound=Hashable)
SERIES_CONFLICT, INSTANCE_CONFLICT = "SERIES_UID_CONFLICT", "INSTANCE_UID_CONFLICT"
FIRST_STUDY = date(2000, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
_DAY_US = timedelta(days=1) // _MICROSECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, repr=False)
class Member(Generic[Place]):
    """A scanned file and where it lies."""

    place: Place
    scan: Scan


@dataclass(frozen=True, slots=True, repr=False)
class SeriesGroup(Generic[Place]):
    """The instances of a series in the order of their slices."""

    series_uid: str
    members: tuple[Member[Place], ...]


@dataclass(frozen=True, slots=True, repr=False)
class Contested:
    """SeriesInstanceUIDs and SOPInstanceUIDs that more than one study claims: no release could hold them."""

    series: frozenset[str] = frozenset()
    instances: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, repr=False)
class StudyGroup(Generic[Place]):
    """The series of a study; `doubles` are files that share a SOPInstanceUID, to be compared by digest.

    `contested` are those of its UIDs that another study of the same sources claims too.
    """

    study_uid: str
    series: tuple[SeriesGroup[Place], ...]
    doubles: tuple[tuple[Member[Place], ...], ...]
    earliest: int | None
    findings: tuple[Finding, ...]
    contested: Contested = Contested()

    @property
    def members(self) -> tuple[Member[Place], ...]:
        """All instances in order."""
        return tuple(member for series in self.series for member in series.members)


@dataclass(frozen=True, slots=True, repr=False)
class Grouped(Generic[Place]):
    """All studies by UID, and the files that belong to none, each with its rule in `Scan.rule`."""

    studies: tuple[StudyGroup[Place], ...]
    loose: tuple[Member[Place], ...]


def group(scans: Iterable[tuple[Place, Scan]]) -> Grouped[Place]:
    """Studies, series and instances; the result doesn't depend on the order of the files."""
    studies: dict[str, list[Member[Place]]] = {}
    loose: list[Member[Place]] = []
    for place, scan in scans:
        member = Member(place, scan)
        if scan.study_uid and not scan.rule:
            studies.setdefault(scan.study_uid, []).append(member)
        else:
            loose.append(member)
    contested = _contested(studies)
    return Grouped(
        tuple(study_group(uid, members, contested) for uid, members in sorted(studies.items())), tuple(loose)
    )


def _contested(studies: Mapping[str, Iterable[Member[Place]]]) -> Contested:
    """UIDs that more than one study claims."""
    series: dict[str, set[str]] = {}
    instances: dict[str, set[str]] = {}
    for study, members in studies.items():
        for member in members:
            series.setdefault(member.scan.series_uid, set()).add(study)
            instances.setdefault(member.scan.sop_instance_uid, set()).add(study)
    several = (frozenset(uid for uid, claim in claims.items() if len(claim) > 1) for claims in (series, instances))
    return Contested(*several)


def study_group(uid: str, members: list[Member[Place]], contested: Contested = Contested()) -> StudyGroup[Place]:
    """One study of its files; `contested` are UIDs that another study claims too."""
    findings = []
    if len(patients({member.scan.patient for member in members})) > 1:
        findings.append(Finding("STUDY_SEVERAL_PATIENTS"))
    ours = Contested(
        contested.series & {member.scan.series_uid for member in members},
        contested.instances & {member.scan.sop_instance_uid for member in members},
    )
    if ours.series:
        findings.append(Finding(SERIES_CONFLICT))
    if ours.instances:
        findings.append(Finding(INSTANCE_CONFLICT))
    by_series: dict[str, list[Member[Place]]] = {}
    by_instance: dict[str, list[Member[Place]]] = {}
    for member in members:
        by_series.setdefault(member.scan.series_uid, []).append(member)
        by_instance.setdefault(member.scan.sop_instance_uid, []).append(member)
    moments = [member.scan.earliest for member in members if member.scan.earliest is not None]
    return StudyGroup(
        study_uid=uid,
        series=tuple(
            SeriesGroup(series, tuple(sorted(inside, key=lambda member: slice_order(member.scan))))
            for series, inside in sorted(by_series.items())
        ),
        doubles=tuple(tuple(same) for _, same in sorted(by_instance.items()) if len(same) > 1),
        earliest=min([moment for moment in moments if has_time(moment)] or moments, default=None),
        findings=tuple(findings),
        contested=ours,
    )


def patients(marks: Iterable[bytes]) -> list[bytes]:
    """The patients whom a study's files name, each by one mark, sorted: by PatientID, else by name and birth date.

    A file without PatientID is of the patient of that name and birth date whom another file gives an ID.
    """
    pairs = {(mark[:MARK], mark[MARK:]) for mark in marks if mark}
    known = {name for number, name in pairs if any(number)}
    return sorted({number if any(number) else name for number, name in pairs if any(number) or name not in known})


def slice_order(scan: Scan) -> tuple[float, float, int, str]:
    """The order within a series: slice position, then time, then InstanceNumber; the missing last."""
    last = float("inf")
    return (
        last if scan.position is None else scan.position,
        last if scan.time is None else scan.time,
        1 << 62 if scan.number is None else scan.number,
        scan.sop_instance_uid,
    )


def has_time(moment: int) -> bool:
    """Whether a file's first moment has a time of day: one that has a date alone is the day's last microsecond."""
    return moment % _DAY_US != _DAY_US - 1


def day_of(moment: int) -> date:
    """The date of microseconds since 1970-01-01."""
    return (_EPOCH + moment * _MICROSECOND).date()


def date_shift(earliest: int, first: date) -> tuple[int, str]:
    """How far a study's dates move (microseconds), and the date that it gets.

    The donor's first study (on `first`, by its own clock) falls on 2000-01-01, this one as many days later as
    it was, and its first acquisition on 12:00:00.
    """
    day = FIRST_STUDY + (day_of(earliest) - first)
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return (noon - _EPOCH) // _MICROSECOND - earliest, f"{day:%Y%m%d}"


def first_day(study_date: str) -> int | None:
    """A study's date as days since 2000-01-01; None where a damaged date elsewhere has moved it out of all bounds."""
    day = within_era(study_date)
    return None if day is None else (day - FIRST_STUDY).days


def study_context(
    keys: Keys,
    donor: str,
    earliest: int | None,
    first: date | None,
    policy: Policy,
    names: frozenset[str] = frozenset(),
) -> StudyContext:
    """How a study is rewritten: its dates move, or go where the policy or a lack of any says so."""
    if policy.dates == "remove" or earliest is None:
        return StudyContext(keys, donor, None, names=names)
    shift, day = date_shift(earliest, first or day_of(earliest))
    return StudyContext(keys, donor, shift, day, names)
