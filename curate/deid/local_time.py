"""The clock that an instance's dates and times are on, so that a date-time with an offset from UTC joins them.

DA and TM are on the clock that Timezone Offset From UTC states (PS3.3 C.12.1); a DT may state another one in its
suffix (PS3.5 6.2). Where the first is missing, it is what a DT's suffix and the pair beside it, which state the same
moment, give together.
"""

from __future__ import annotations

from functools import lru_cache

from curate.deid import dates
from curate.dicom import tags
from curate.dicom.model import Item

_OFFSET = tags.TimezoneOffsetFromUTC
_AGENTS, _PET_START, _PET_TIME = (
    tags.RadiopharmaceuticalInformationSequence,
    tags.RadiopharmaceuticalStartDateTime,
    tags.RadiopharmaceuticalStartTime,
)
_PAIRS = (
    (tags.AcquisitionDateTime, tags.AcquisitionDate, tags.AcquisitionTime),  # AcquisitionDateTime and its date and time
    (tags.ObservationDateTime, tags.ContentDate, tags.ContentTime),  # ObservationDateTime and the content's
)
_QUARTER = 15 * 60 * 1_000_000
_FURTHEST = 14 * 3600 * 1_000_000


def offset_of(dataset: Item) -> int | None:
    """Minutes from UTC of the clock that a data set's dates and times are on; None where nothing tells it."""
    stated = dates.parse_offset(dataset.raw(_OFFSET)) if _OFFSET in dataset else None
    if stated is not None:
        return stated
    suffixes = []
    for moment, day, time in _PAIRS:
        if moment in dataset and (zoned := dates.parse_zoned(dataset.raw(moment))) is not None:
            found = _told(zoned, dataset.raw(day), dataset.raw(time))
            if found is not None:
                return found
            suffixes.append(zoned[2])
    for agent in dataset.items_of(_AGENTS):
        zoned = dates.parse_zoned(agent.raw(_PET_START)) if _PET_START in agent else None
        if zoned is not None:
            found = _told(zoned, b"", agent.raw(_PET_TIME))
            if found is not None:
                return found
            suffixes.append(zoned[2])
    return suffixes[0] if suffixes else None


@lru_cache(maxsize=256)
def _told(zoned: tuple[int, int, int], day_raw: bytes, time_raw: bytes) -> int | None:
    """The offset by which a DT with its own offset is the moment that a date and time, or a time alone, state."""
    start, clock, zone = zoned
    time = dates.parse_time(time_raw)
    if time is None:
        return None
    between = time - clock
    if day_raw.strip(b" \0"):
        day = dates.parse_date(day_raw)
        if day is None:
            return None
        between += dates.start_us(day) - start
    else:  # which side of midnight it is on is what leaves a possible offset
        between = (between + dates.DAY_US // 2) % dates.DAY_US - dates.DAY_US // 2
    quarters = round(between / _QUARTER)
    offset = zone + quarters * 15
    near = abs(between - quarters * _QUARTER) < 1_000_000  # a fraction that one of them leaves out
    return offset if near and abs(offset) * 60_000_000 <= _FURTHEST else None
