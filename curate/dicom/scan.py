"""A first look at a file: what grouping and sorting need, from its first kilobytes."""

from __future__ import annotations

import hmac
import math
import struct
import zlib
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

from curate.dicom.dictionary import VRS
from curate.dicom.reader import DEFLATED, MAX_DEPTH, Head, read_head
from curate.dicom.types import Keys, MalformedError, Scan

FIRST_READ = 1 << 14
DICOMDIR = "1.2.840.10008.1.3.10"
_UNDEFINED = 0xFFFFFFFF
_LAST = 0x00280008
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DATES = (
    (0x00080022, 0x00080032),
    (0x00080021, 0x00080031),
    (0x00080023, 0x00080033),
    (0x00080020, 0x00080030),
)
_ACQUISITION = 0x0008002A
_WANTED = frozenset(
    (
        0x00080016,
        0x00080018,
        0x00080060,
        _ACQUISITION,
        *(tag for pair in _DATES for tag in pair),
        0x00100010,
        0x00100020,
        0x00100030,
        0x00120062,
        0x00181060,
        0x0020000D,
        0x0020000E,
        0x00200013,
        0x00200032,
        0x00200037,
        0x00200100,
        0x00201041,
        _LAST,
    )
)


class _MoreError(Exception):
    """The bytes read so far end before what is wanted."""


def scan(file: BinaryIO, size: int, keys: Keys) -> Scan:
    """What a file of `size` bytes says of itself; `rule` tells why nothing could be read."""
    want = FIRST_READ
    data = file.read(min(want, size))
    while True:
        whole = len(data) >= size
        try:
            return _scan(data, size, keys, whole=whole)
        except _MoreError:
            if whole:
                return _nothing("TRUNCATED", size)
        except MalformedError as error:
            if whole or error.rule == "NOT_DICOM":
                return _nothing(error.rule, size)
        want *= 8
        more = file.read(min(want, size) - len(data))
        if not more:
            return _nothing("TRUNCATED", size)
        data += more


def _nothing(rule: str, size: int) -> Scan:
    return Scan("", "", "", "", "", "", b"", False, "", None, None, None, None, 0, size, rule)


def _scan(data: bytes, size: int, keys: Keys, *, whole: bool) -> Scan:
    head = read_head(data)
    sop_class = head.meta.text(0x00020002)
    if sop_class == DICOMDIR:
        return _nothing("DICOMDIR", size)
    body, start = data, head.start
    if head.syntax == DEFLATED:
        body, start = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data[start:], len(data) * 8), 0
        whole = False
    values = _values(body, start, head, whole=whole)
    text = {tag: raw.decode("latin-1").strip(" \0") for tag, raw in values.items()}
    return _record(text, head.syntax, size, keys)


def _record(text: dict[int, str], syntax: str, size: int, keys: Keys) -> Scan:
    def get(tag: int) -> str:
        return text.get(tag, "")

    earliest = _earliest(text)
    number = _number(get(0x00200013))
    sop_class = get(0x00080016)
    rule = "DICOMDIR" if sop_class == DICOMDIR else ""
    if not rule and not get(0x0020000D):
        rule = "STUDY_UID_MISSING"
    if not rule and not get(0x0020000E):
        rule = "SERIES_UID_MISSING"
    if not rule and not (sop_class and get(0x00080018)):
        rule = "INSTANCE_UID_MISSING"
    return Scan(
        study_uid=get(0x0020000D),
        series_uid=get(0x0020000E),
        sop_instance_uid=get(0x00080018),
        sop_class_uid=sop_class,
        modality=get(0x00080060),
        transfer_syntax=syntax,
        patient=_fingerprint(keys, get(0x00100020), get(0x00100010), get(0x00100030)),
        identity_removed=get(0x00120062) == "YES",
        study_date=get(0x00080020).replace(".", "")[:8],
        earliest=earliest,
        position=_position(get(0x00200032), get(0x00200037), get(0x00201041)),
        time=_time(text, earliest),
        number=int(number) if number is not None else None,
        frames=int(_number(get(_LAST)) or 1),
        size=size,
        rule=rule,
    )


def _values(data: bytes, pos: int, head: Head, *, whole: bool) -> dict[int, bytes]:
    """The wanted values at the top level, up to Number of Frames."""
    order = "<" if head.little else ">"
    header, long = struct.Struct(f"{order}HH2sH").unpack_from, struct.Struct(f"{order}L").unpack_from
    values: dict[int, bytes] = {}
    while True:
        if pos + 12 > len(data):
            if whole:
                return values
            raise _MoreError
        group, number, name, length = header(data, pos)
        tag = group << 16 | number
        if tag > _LAST:
            return values
        vr = VRS.get(name) if head.explicit else None
        if vr is None:
            start, length = pos + 8, long(data, pos + 4)[0]
        elif vr.long:
            start, length = pos + 12, long(data, pos + 8)[0]
        else:
            start = pos + 8
        if length == _UNDEFINED:
            within = head.explicit and vr is not None and vr.name != "UN"
            pos = _skip(data, start, within, order, 0)
            continue
        if start + length > len(data):
            raise _MoreError
        if tag in _WANTED:
            values[tag] = data[start : start + length]
        pos = start + length


def _skip(data: bytes, pos: int, explicit: bool, order: str, depth: int) -> int:
    """Where a sequence, or an item, of undefined length ends."""
    if depth > 2 * MAX_DEPTH:
        raise MalformedError("TOO_DEEP")
    header, long = struct.Struct(f"{order}HH2sH").unpack_from, struct.Struct(f"{order}L").unpack_from
    while True:
        if pos + 12 > len(data):
            if pos + 8 > len(data):
                raise _MoreError
            if header(data, pos)[:2] in ((0xFFFE, 0xE0DD), (0xFFFE, 0xE00D)):
                return pos + 8
            raise _MoreError
        group, number, name, length = header(data, pos)
        if group == 0xFFFE and number in (0xE0DD, 0xE00D):
            return pos + 8
        vr = VRS.get(name) if explicit and group != 0xFFFE else None
        if vr is None:
            pos, length = pos + 8, long(data, pos + 4)[0]
        elif vr.long:
            pos, length = pos + 12, long(data, pos + 8)[0]
        else:
            pos += 8
        if length == _UNDEFINED:
            within = explicit and (vr is None or vr.name != "UN")
            pos = _skip(data, pos, within, order, depth + 1)
        else:
            pos += length


def _fingerprint(keys: Keys, patient_id: str, name: str, birth_date: str) -> bytes:
    """A keyed mark of the patient: equal marks, equal patients; empty where the file names none."""
    told = f"id {patient_id}" if patient_id else f"name {name.strip('^')} {birth_date}".rstrip()
    if told == "name":
        return b""
    return hmac.digest(keys.donor, b"patient " + " ".join(told.casefold().split()).encode(), "sha256")[:16]


def _number(text: str) -> float | None:
    try:
        number = float(text.split("\\")[0])
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _numbers(text: str) -> list[float]:
    numbers = [_number(part) for part in text.split("\\")]
    return [number for number in numbers if number is not None]


def _position(position: str, orientation: str, location: str) -> float | None:
    """The slice's place along its normal in mm (PS3.3 C.7.6.2.1.1); Slice Location where that is missing."""
    point, axes = _numbers(position), _numbers(orientation)
    if len(point) != 3 or len(axes) != 6:
        return _number(location)
    (a, b, c), (d, e, f) = axes[:3], axes[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    return round(sum(x * y for x, y in zip(point, normal, strict=True)), 4)


def _time(text: dict[int, str], earliest: int | None) -> float | None:
    """What orders instances at one place: temporal position, trigger time, or the clock in seconds."""
    for tag in (0x00200100, 0x00181060):
        number = _number(text.get(tag, ""))
        if number is not None:
            return number
    return earliest / 1e6 if earliest is not None else None


def _earliest(text: dict[int, str]) -> int | None:
    moment = text.get(_ACQUISITION, "")
    found = microseconds(moment[:8], moment[8:]) if len(moment) >= 8 else None
    for date, time in _DATES:
        if found is not None:
            break
        found = microseconds(text.get(date, ""), text.get(time, ""))
    return found


def microseconds(date: str, time: str) -> int | None:
    """A DA and a TM as microseconds since 1970-01-01; midnight without a time, None without a date."""
    date, time = date.replace(".", ""), time.replace(":", "")
    whole, _, part = time.split("+")[0].split("-")[0].partition(".")
    whole = (whole + "000000")[:6]
    try:
        day = datetime.strptime(date[:8], "%Y%m%d").replace(tzinfo=UTC)
        clock = timedelta(
            hours=int(whole[:2]),
            minutes=int(whole[2:4]),
            seconds=int(whole[4:6]),
            microseconds=int((part + "000000")[:6]),
        )
    except ValueError:
        return None
    return (day + clock - _EPOCH) // timedelta(microseconds=1)
