"""Numbers that only order or refer: renumbered where they are large, or equal digits of the person's own.

SeriesNumber and AcquisitionNumber are renumbered over the study, InstanceNumber over its series: in their order,
equal ones alike, from 1. Numbers by which parts of objects refer to each other get a keyed one that is the same in
all instances of the archive. None is ever emptied for what it is.
"""

from __future__ import annotations

import hmac
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from curate.deid.grammar import even
from curate.dicom import tags
from curate.dicom.io.scan_record import Scan
from curate.dicom.model import Item
from curate.keys.derivation import Keys

SERIES, ACQUISITION, INSTANCE = tags.SeriesNumber, tags.AcquisitionNumber, tags.InstanceNumber
ORDERED = frozenset((SERIES, ACQUISITION, INSTANCE))
MOST = 99_999
LEAST = -32_768
_SERIES_UID = tags.SeriesInstanceUID
_SHORTEST = 4  # digits of an identifier that is no date
_LATEST_DAY = 31  # two digits up to this one are days and months, and what any series counts to
_FIRST_KEYED, _KEYED = 10_000, 90_000
_WHOLE = re.compile(r"[+-]?\d{1,30}")
_DATE = re.compile(r"(1[89]|20)(\d\d)(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")


class Numbers(NamedTuple):
    """The original numbers of one instance, and its original Series Instance UID; None where there is none."""

    series_uid: str
    series: int | None = None
    acquisition: int | None = None
    instance: int | None = None


NONE = Numbers("")


@dataclass(frozen=True, slots=True, repr=False)
class Numbering:
    """The new number of each old one: of a study's series and acquisitions, of the instances of each series."""

    series: Mapping[int, int]
    acquisition: Mapping[int, int]
    instance: Mapping[str, Mapping[int, int]]


def numbers(scan: Scan) -> Numbers:
    """The numbers that a first look at a file found."""
    return Numbers(scan.series_uid, scan.series_number, scan.acquisition, scan.number)


@lru_cache(maxsize=1 << 12)
def whole(text: str) -> int | None:
    """The integer that a text states."""
    text = text.strip(" \0")
    return int(text) if _WHOLE.fullmatch(text) else None


@lru_cache(maxsize=256)
def own_numbers_of(names: frozenset[str]) -> frozenset[int]:
    """The numbers that repeat digits of a person's identifiers: whole ones, parts of dates, the year's last two."""
    found: set[int] = set()
    for run in (run for name in names for run in re.findall(r"\d+", name)):
        found.add(int(run) if len(run) <= 18 else 0)
        if match := _DATE.fullmatch(run):
            found |= _of_date(*match.groups())
    least = 10 ** (_SHORTEST - 1)
    return frozenset(n for n in found if n >= least or _LATEST_DAY < n < 100)


def _of_date(century: str, year: str, month: str, day: str) -> set[int]:
    """A date's digits (YYYYMMDD) as people write them: by eight, six, four and two."""
    whole_year = century + year
    return {
        int("".join(parts))
        for parts in (
            (whole_year,), (year,), (month, day), (day, month), (year, month), (month, year), (whole_year, month),
            (month, whole_year), (year, month, day), (day, month, year), (month, day, year), (day, month, whole_year),
            (month, day, whole_year),
        )
    }  # fmt: skip


def of_study(numbers: Iterable[Numbers], names: frozenset[str]) -> Numbering | None:
    """How the numbers of a study become others; None where all can stay."""
    series: set[int] = set()
    acquisition: set[int] = set()
    instance: dict[str, set[int]] = defaultdict(set)
    for one in numbers:
        series |= {one.series} - {None}  # type: ignore[arg-type]
        acquisition |= {one.acquisition} - {None}  # type: ignore[arg-type]
        if one.instance is not None:
            instance[one.series_uid].add(one.instance)
    own = own_numbers_of(names)
    groups = (series, acquisition, *instance.values())
    if not any(_tells(group, own) for group in groups):
        return None
    ordered = {uid: _ordered(group, own) for uid, group in instance.items()}
    return Numbering(_ordered(series, own), _ordered(acquisition, own), ordered)


def _tells(group: set[int], own: frozenset[int]) -> bool:
    return bool(group) and (max(group) > MOST or min(group) < LEAST or not own.isdisjoint(group))


def _ordered(group: set[int], own: frozenset[int]) -> dict[int, int]:
    """The numbers as they are, or by their order; a count without a gap tells nothing of a person."""
    numbers = sorted(group)
    counts = bool(numbers) and numbers[0] in (0, 1) and numbers[-1] - numbers[0] == len(numbers) - 1
    if counts or not _tells(group, own):
        return {number: number for number in numbers}
    return {number: place for place, number in enumerate(numbers, 1)}


def renumbered(numbering: Numbering, original: Item, clean: Item) -> Item:
    """A clean data set with its new numbers; itself where they are the same."""
    of_series = numbering.instance.get(original.text(_SERIES_UID), {})
    changed: dict[int, bytes] = {}
    for tag, new in (
        (SERIES, numbering.series),
        (ACQUISITION, numbering.acquisition),
        (INSTANCE, of_series),
    ):
        number = whole(original.text(tag)) if tag in clean else None
        if number is None or number not in new:
            continue
        if (text := even(str(new[number]).encode(), b" ")) != clean.raw(tag):
            changed[tag] = text
    if not changed:
        return clean
    item = Item(clean, clean.encodings)
    for tag, raw in changed.items():
        item.put(tag, "IS", raw)
    return item


def keyed(keys: Keys, number: int, own: frozenset[int]) -> int:
    """A number of five digits in place of one that tells: the same wherever that one stands."""
    for attempt in range(8):
        digest = hmac.digest(keys.uid, f"number {number} {attempt}".encode(), "sha256")
        new = _FIRST_KEYED + int.from_bytes(digest[:8]) % _KEYED
        if new not in own:
            break
    return new
