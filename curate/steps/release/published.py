"""Which studies a release holds, and what it shows of each person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from curate import licenses
from curate.archive.layout import Archive
from curate.archive.ledger import StudyRecord
from curate.metadata import age
from curate.records import Row

DEFAULT_BAND_YEARS = 5


@dataclass(frozen=True, slots=True)
class Decision:
    """`published` maps a study's id to the risk-controlled columns of `studies`; `held` studies wait.

    `tables` are the counts that the card may show; `statements` sentences about what was done.
    """

    published: Mapping[str, Row]
    held: int
    tables: Mapping[str, Mapping[str, int | None]]
    statements: tuple[str, ...] = ()


def decide(archive: Archive) -> Decision:
    """What the next release shows.

    Raises:
        RefusedError: a study's licence is not in the catalogue.
    """
    records = list(archive.ledger.studies())
    first, ages = _first_days(records), _donor_ages(records)
    published = {record.study_id: _shown(record, first, ages[record.donor_id]) for record in records}
    for spdx in {record.payload["license"] for record in archive.ledger.studies()}:
        licenses.get(spdx)
    return Decision(published, 0, _count_tables(published.values()))


def _first_days(records: Iterable[StudyRecord]) -> dict[str, tuple[int, int]]:
    """Each donor's first day, in days from 2000-01-01, and the number of its studies."""
    found: dict[str, tuple[int, int]] = {}
    for record in records:
        day = record.payload["day"]
        if day is not None:
            before, count = found.get(record.donor_id, (day, 0))
            found[record.donor_id] = (min(before, day), count + 1)
    return found


def _donor_ages(records: Iterable[StudyRecord]) -> dict[str, int | None]:
    """One age a donor, that at the first study: a band that changes in between gives the birthday away."""
    found: dict[str, tuple[bool, int, str, int | None]] = {}
    for record in records:
        years, day = record.payload["coded"]["age_years"], record.payload["day"]
        place = (years is None, 0 if day is None else day, record.study_id, years)
        found[record.donor_id] = min(found.get(record.donor_id, place), place, key=lambda entry: entry[:3])
    return {donor: entry[3] for donor, entry in found.items()}


def _shown(record: StudyRecord, first: Mapping[str, tuple[int, int]], years: int | None) -> Row:
    coded = record.payload["coded"]
    low, high = (None, None) if years is None else age.band(years, DEFAULT_BAND_YEARS)
    day, (start, count) = record.payload["day"], first.get(record.donor_id, (0, 0))
    return {
        "days_from_first": None if day is None or count < 2 else day - start,
        "age_low_years": low,
        "age_high_years": high,
        "sex": coded["sex"],
        "region_codes": coded["region_codes"],
        "region": coded["region"],
        "region_group": coded["region_group"],
        "laterality": coded["laterality"],
        "diagnosis_code": coded["diagnosis_code"],
        "diagnosis_title": coded["diagnosis_title"],
        "diagnosis_level": "category" if coded["diagnosis_code"] else None,
        "diagnosis_basis": coded["diagnosis_basis"],
    }


def _count_tables(rows: Iterable[Row]) -> dict[str, dict[str, int | None]]:
    tables: dict[str, Counter[str]] = {"sex": Counter(), "region_group": Counter()}
    for row in rows:
        for name, counts in tables.items():
            counts[row[name] or "unknown"] += 1
    return {name: dict(sorted(counts.items())) for name, counts in tables.items()}
