"""A first look at a file: what grouping and sorting need, from its first kilobytes."""

from __future__ import annotations

import hmac
import math
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import BinaryIO

from curate.core.remote import LARGEST_WHOLE
from curate.deid.dates import date_text, moved, parse_datetime, parse_offset, time_text
from curate.deid.renumbering import whole
from curate.dicom import tags
from curate.dicom.io.reader import peek
from curate.dicom.io.scan_record import Scan
from curate.dicom.model import Element, Item, MalformedError
from curate.keys.derivation import Keys

FIRST_READ = 1 << 14
MARK = 16  # bytes of a keyed mark of a patient
_MOST_NUMBERS = 16  # that a place or an orientation is looked for in
_LONGEST_HEADER = 1 << 26  # bytes of a file that is refused for its size in any case
DICOMDIR = "1.2.840.10008.1.3.10"
_LAST = tags.NumberOfFrames
_FIRST_YEAR, _LAST_YEAR = 1850, 2150
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATES = (
    (tags.AcquisitionDate, tags.AcquisitionTime),
    (tags.SeriesDate, tags.SeriesTime),
    (tags.ContentDate, tags.ContentTime),
    (tags.StudyDate, tags.StudyTime),
)
_ACQUISITION, _OFFSET = tags.AcquisitionDateTime, tags.TimezoneOffsetFromUTC
_WANTED = frozenset(
    (
        *(tag for pair in _DATES for tag in pair),
        _ACQUISITION,
        _OFFSET,
        tags.SOPClassUID,
        tags.SOPInstanceUID,
        tags.Modality,
        tags.PatientName,
        tags.PatientID,
        tags.PatientBirthDate,
        tags.PatientIdentityRemoved,
        tags.TriggerTime,
        tags.StudyInstanceUID,
        tags.SeriesInstanceUID,
        tags.SeriesNumber,
        tags.AcquisitionNumber,
        tags.InstanceNumber,
        tags.ImagePositionPatient,
        tags.ImageOrientationPatient,
        tags.TemporalPositionIdentifier,
        tags.SliceLocation,
        _LAST,
    )
)
_DAYS_END = "235959.999999"
_latest: dict[int, tuple[Element, str]] = {}  # the text of the element that each tag had last


def scan(file: BinaryIO, size: int, keys: Keys) -> Scan:
    """What a file of `size` bytes says of itself; `rule` tells why nothing could be read."""
    want = FIRST_READ
    data = file.read(min(want, size))
    while True:
        try:
            return _scan(data, size, keys)
        except MalformedError as error:
            if error.rule != "TRUNCATED" or len(data) >= size:
                return nothing(error.rule, size)
        if size > LARGEST_WHOLE and want >= _LONGEST_HEADER:
            return nothing("INSTANCE_TOO_LARGE", size)
        want *= 8
        more = file.read(min(want, size) - len(data))
        if not more:
            return nothing("TRUNCATED", size)
        data += more


def nothing(rule: str, size: int) -> Scan:
    """The scan of a file that says nothing, by the rule that tells why."""
    return Scan("", "", "", "", "", "", b"", False, "", None, None, None, None, 0, size, rule=rule)


def _scan(data: bytes, size: int, keys: Keys) -> Scan:
    parsed = peek(data, _LAST)
    if parsed.meta.get(tags.MediaStorageSOPClassUID, b"").strip(b" \0") == DICOMDIR.encode():
        return nothing("DICOMDIR", size)
    return _record(_Text(parsed.dataset), parsed.transfer_syntax, size, keys)


class _Text(dict[int, str]):
    """The values of a data set as text, without padding; empty where there is none."""

    def __init__(self, item: Item) -> None:
        super().__init__()
        for tag in _WANTED:
            element = item.get(tag)
            if element is None:
                continue
            known = _latest.get(tag)
            if known is None or known[0] is not element:
                if not isinstance(element.value, bytes):
                    continue
                known = _latest[tag] = (element, element.value.decode("latin-1").strip(" \0"))
            self[tag] = known[1]

    def __missing__(self, tag: int) -> str:
        return ""


def _record(get: _Text, syntax: str, size: int, keys: Keys) -> Scan:
    earliest = _earliest(get)
    number = _number(get[tags.InstanceNumber])
    sop_class, sop_instance = get[tags.SOPClassUID], get[tags.SOPInstanceUID]
    study, series = get[tags.StudyInstanceUID], get[tags.SeriesInstanceUID]
    return Scan(
        study_uid=study,
        series_uid=series,
        sop_instance_uid=sop_instance,
        sop_class_uid=sop_class,
        modality=get[tags.Modality],
        transfer_syntax=syntax,
        patient=_fingerprint(keys.donor, get[tags.PatientID], get[tags.PatientName], get[tags.PatientBirthDate]),
        identity_removed=get[tags.PatientIdentityRemoved] == "YES",
        study_date=get[tags.StudyDate].replace(".", "")[:8],
        earliest=earliest,
        position=_position(get[tags.ImagePositionPatient], get[tags.ImageOrientationPatient], get[tags.SliceLocation]),
        time=_time(get, earliest),
        number=int(number) if number is not None else None,
        frames=int(_number(get[_LAST]) or 1),
        size=size,
        rule=_missing(study, series, sop_class, sop_instance),
        series_number=whole(get[tags.SeriesNumber]),
        acquisition=whole(get[tags.AcquisitionNumber]),
    )


def _missing(study: str, series: str, sop_class: str, sop_instance: str) -> str:
    if sop_class == DICOMDIR:
        return "DICOMDIR"
    if not study:
        return "STUDY_UID_MISSING"
    if not series:
        return "SERIES_UID_MISSING"
    return "" if sop_class and sop_instance else "INSTANCE_UID_MISSING"


@lru_cache(maxsize=256)
def _fingerprint(key: bytes, patient_id: str, name: str, birth_date: str) -> bytes:
    """Keyed marks of the patient, by PatientID and by name and birth date, 16 bytes each; empty where nothing is."""
    by_name = f"name {name.strip('^')} {birth_date}".rstrip()
    marks = (
        _mark(key, f"id {patient_id}" if patient_id else ""),
        _mark(key, by_name if by_name != "name" else ""),
    )
    return b"".join(marks) if any(map(any, marks)) else b""


def _mark(key: bytes, told: str) -> bytes:
    """Equal marks, equal patients; zeros where nothing is told."""
    if not told:
        return bytes(MARK)
    return hmac.digest(key, b"patient " + " ".join(told.casefold().split()).encode(), "sha256")[:MARK]


def _number(text: str) -> float | None:
    try:
        number = float(text.split("\\", 1)[0].replace(",", "."))
    except ValueError:  # sources sort by it where it is one
        return None
    return number if math.isfinite(number) else None


@lru_cache(maxsize=1 << 10)
def _numbers(text: str) -> tuple[float, ...]:
    numbers = [_number(part) for part in text.split("\\", _MOST_NUMBERS)]
    return tuple(number for number in numbers if number is not None)


def _position(position: str, orientation: str, location: str) -> float | None:
    """The slice's place along its normal in mm (PS3.3 C.7.6.2.1.1); Slice Location where that is missing."""
    point, axes = _numbers(position), _numbers(orientation)
    if len(point) != 3 or len(axes) != 6:
        return _number(location)
    (a, b, c), (d, e, f) = axes[:3], axes[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    return round(sum(x * y for x, y in zip(point, normal, strict=True)), 4)


def _time(get: _Text, earliest: int | None) -> float | None:
    """What orders instances at one place: temporal position, trigger time, or the clock in seconds."""
    for tag in (tags.TemporalPositionIdentifier, tags.TriggerTime):
        number = _number(get[tag])
        if number is not None:
            return number
    return earliest / 1e6 if earliest is not None else None


def _earliest(get: _Text) -> int | None:
    """The first pair of date and time that the file has; a date alone counts as the day's last moment."""
    pairs = [_on_clock(get), *((get[date], get[time]) for date, time in _DATES)]
    for date, time in pairs:
        if time[:1].isdigit() and (found := microseconds(date, time)) is not None:
            return found
    return next((found for date, _ in pairs if (found := microseconds(date, _DAYS_END)) is not None), None)


def _on_clock(get: _Text) -> tuple[str, str]:
    """The acquisition's date-time on the clock of the file's dates and times; none where its offset alone is known."""
    moment = get[_ACQUISITION]
    own = parse_offset(moment.encode("latin-1")) if "+" in moment or "-" in moment else None
    parsed = None if own is None else parse_datetime(moment.encode("latin-1"))
    if own is None or parsed is None or parsed[1] is None:
        return moment[:8], moment[8:]
    offset = parse_offset(get[_OFFSET].encode("latin-1"))
    if offset is None:
        return ("", "") if get[tags.AcquisitionTime] and get[tags.AcquisitionDate] else (moment[:8], moment[8:])
    day, clock = moved(*parsed, (offset - own) * 60_000_000)
    return date_text(day), time_text(clock)


@lru_cache(maxsize=1 << 10)
def microseconds(date: str, time: str) -> int | None:
    """A DA and a TM as microseconds since 1970-01-01; midnight without a time, None without a likely date."""
    date, time = date.replace(".", ""), time.replace(":", "")
    whole, _, part = time.split("+")[0].split("-")[0].partition(".")
    whole = (whole + "000000")[:6]
    day = _day(date)
    if day is None:
        return None
    try:
        seconds = int(whole[:2]) * 3600 + int(whole[2:4]) * 60 + int(whole[4:6])
        return day + seconds * 1_000_000 + int((part + "000000")[:6])
    except ValueError:  # no time: the answer asked for
        return None


@lru_cache(maxsize=1 << 10)
def _day(date: str) -> int | None:
    """The start of a likely day in microseconds since 1970-01-01."""
    try:
        if not _FIRST_YEAR <= int(date[:4]) <= _LAST_YEAR:
            return None
        day = datetime(int(date[:4]), int(date[4:6]), int(date[6:8]), tzinfo=UTC)
    except ValueError:  # no day of the calendar
        return None
    return (day - _EPOCH) // timedelta(microseconds=1)
