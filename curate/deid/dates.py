"""Dates and times: moved by one exact shift a study, or removed (PS3.15 E.3.6).

A date-time of the study moves by `shift_us`, which takes the study's first acquisition to 12:00:00; so intervals
stay exact, across midnight too. Fractions of a second are kept to 0.1 ms. What lies more than `WINDOW` days from
the study's own date is not the study's: it becomes the study's date where the attribute must have a value,
else it goes. A date-time that states its offset from UTC is brought to the instance's own clock (`local_time`) before
it moves, and states no offset then: all date-times of a study are on one clock.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from functools import lru_cache

from pydicom.datadict import keyword_dict

from curate.deid.grammar import even

WINDOW = 31
FIRST = date(2000, 1, 1)
EARLIEST = date(1900, 1, 1)  # a donor's earlier study may come after a later one was taken in
LAST = date(2100, 1, 1)
NOON_US = 12 * 3600 * 1_000_000
DAY_US = 24 * 3600 * 1_000_000
_EPOCH = datetime(1970, 1, 1)
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")
_ZONE = re.compile(r"\s?(?:([+-])(\d{2}):?(\d{2})|(?<=\d)Z)$")
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[T ](?=\d))?")
_FURTHEST_MINUTES = 14 * 60

_PAIRS = (
    ("StudyDate", "StudyTime"), ("SeriesDate", "SeriesTime"), ("AcquisitionDate", "AcquisitionTime"),
    ("ContentDate", "ContentTime"), ("InstanceCreationDate", "InstanceCreationTime"),
    ("StructureSetDate", "StructureSetTime"), ("RTPlanDate", "RTPlanTime"), ("Date", "Time"),
    ("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
    ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime"), ("TreatmentDate", "TreatmentTime"),
    ("PresentationCreationDate", "PresentationCreationTime"),
)  # fmt: skip
TIME_OF = {keyword_dict[day]: keyword_dict[time] for day, time in _PAIRS}
DATE_OF = {time: day for day, time in TIME_OF.items()}


@lru_cache(maxsize=1 << 12)
def parse_date(raw: bytes) -> date | None:
    """The day that a raw DA states."""
    match = _DATE.fullmatch(raw.decode("ascii", "replace").strip(" \0"))
    if not match:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:  # no day of the calendar
        return None


@lru_cache(maxsize=1 << 12)
def parse_time(raw: bytes) -> int | None:
    """Microseconds since midnight that a raw TM states."""
    match = _TIME.fullmatch(raw.decode("ascii", "replace").strip(" \0"))
    if not match:
        return None
    hours, minutes, seconds = (int(match[group] or 0) for group in (1, 2, 3))
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    fraction = int((match[4] or "0").ljust(6, "0"))
    return ((hours * 60 + minutes) * 60 + min(seconds, 59)) * 1_000_000 + fraction


@lru_cache(maxsize=1 << 10)
def parse_offset(raw: bytes) -> int | None:
    """Minutes from UTC that a raw value states as its end: `+0100`, and `Z` or `+01:00` as HL7 and ISO 8601 do."""
    text = raw.decode("ascii", "replace").strip(" \0")
    match = _ZONE.search(text)
    if match is None:
        return None
    if not match[1]:
        return 0
    minutes = int(match[2]) * 60 + int(match[3])
    return (-minutes if match[1] == "-" else minutes) if minutes <= _FURTHEST_MINUTES else None


def parse_zoned(raw: bytes) -> tuple[int, int, int] | None:
    """A DT with a time and an offset: the start of its day, the microseconds since, and the offset in minutes."""
    offset = parse_offset(raw)
    parsed = None if offset is None else parse_datetime(raw)
    return None if offset is None or parsed is None or parsed[1] is None else (start_us(parsed[0]), parsed[1], offset)


def parse_datetime(raw: bytes) -> tuple[date, int | None] | None:
    """The day and the microseconds since midnight (None: no time) that a raw DT states, on the clock of its offset."""
    text = _ISO.sub(r"\1\2\3", _ZONE.sub("", raw.decode("ascii", "replace").strip(" \0")), count=1)
    day = parse_date(text[:8].encode())
    if day is None:
        return None
    if len(text) == 8:
        return day, None
    clock = parse_time(text[8:].encode())
    return None if clock is None else (day, clock)


def first_time(shift_us: int) -> int:
    """The original time of day of the study's first acquisition, from its shift (microseconds)."""
    return (NOON_US - shift_us) % DAY_US


def moved(day: date, clock: int | None, shift_us: int) -> tuple[date, int]:
    """A day and time after the shift; a day without a time moves as the first acquisition's time does."""
    total = start_us(day) + (first_time(shift_us) if clock is None else clock) + shift_us
    days, rest = divmod(_round(total), DAY_US)
    return _day(days), rest


@lru_cache(maxsize=1 << 12)
def start_us(day: date) -> int:
    """The start of a day in microseconds since 1970-01-01."""
    return (datetime.combine(day, datetime.min.time()) - _EPOCH) // timedelta(microseconds=1)


@lru_cache(maxsize=1 << 12)
def _day(days: int) -> date:
    return (_EPOCH + timedelta(days=days)).date()


def _round(microseconds: int) -> int:
    return (microseconds + 50) // 100 * 100


@lru_cache(maxsize=1 << 12)
def near(day: date, study_date: str) -> bool:
    """Whether a moved day belongs to the study: near its date, and within the rebased era."""
    study = within_era(study_date)
    return (FIRST - timedelta(days=WINDOW) if study is None else EARLIEST) <= day < LAST and (
        study is None or abs((day - study).days) <= WINDOW
    )


def within_era(study_date: str) -> date | None:
    """A study's date, unless a damaged date elsewhere has moved it out of all bounds."""
    study = parse_date(study_date.encode())
    return study if study is not None and EARLIEST <= study < LAST else None


def date_text(day: date) -> str:
    """A day as DA writes it."""
    return f"{day.year:04d}{day.month:02d}{day.day:02d}"


def time_text(clock: int) -> str:
    """Microseconds since midnight as TM writes them: whole seconds, or four decimals."""
    seconds, fraction = divmod(clock, 1_000_000)
    text = f"{seconds // 3600:02d}{seconds // 60 % 60:02d}{seconds % 60:02d}"
    return f"{text}.{fraction // 100:04d}".rstrip("0") if fraction // 100 else text


@lru_cache(maxsize=1 << 12)
def clean_date(raw: bytes, time_raw: bytes, shift_us: int, study_date: str) -> bytes | None:
    """A DA after the shift; None where it is no date or not the study's."""
    day = parse_date(raw)
    if day is None or not _movable(day):
        return None
    new, _ = moved(day, parse_time(time_raw), shift_us)
    return _stated(new, study_date)


@lru_cache(maxsize=1 << 12)
def _stated(day: date, study_date: str) -> bytes | None:
    return even(date_text(day).encode(), b" ") if near(day, study_date) else None


@lru_cache(maxsize=1 << 12)
def clean_time(raw: bytes, shift_us: int) -> bytes | None:
    """A TM after the shift; None where it is no time."""
    clock = parse_time(raw)
    if clock is None:
        return None
    return even(time_text(_round((clock + shift_us) % DAY_US) % DAY_US).encode(), b" ")


@lru_cache(maxsize=1 << 12)
def clean_datetime(raw: bytes, shift_us: int, study_date: str, offset: int | None = None) -> bytes | None:
    """A DT after the shift, without its offset from UTC; None where it is none or not the study's.

    `offset` are the minutes from UTC of the clock that the instance's other dates and times are on (None: not known).
    """
    parsed = parse_datetime(raw)
    if parsed is None or not _movable(parsed[0]):
        return None
    own = parse_offset(raw)
    between = 0 if offset is None or own is None or parsed[1] is None else (offset - own) * 60_000_000
    day, clock = moved(*parsed, shift_us + between)
    if not near(day, study_date):
        return None
    text = date_text(day) + ("" if parsed[1] is None else time_text(clock))
    return even(text.encode(), b" ")


@lru_cache(maxsize=1024)
def _movable(day: date) -> bool:
    return 1850 <= day.year <= 2150


def dummy(vr: str, study_date: str) -> bytes:
    """What stands where a date or time must: the study's date, or noon (PS3.15 action D)."""
    day = study_date if within_era(study_date) else date_text(FIRST)
    return {"DA": day.encode(), "TM": b"120000", "DT": f"{day}120000".encode()}[vr]
