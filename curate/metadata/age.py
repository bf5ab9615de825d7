"""Age: DICOM AS, and what people write, to years; over 89 is one open class.

PS3.5 6.2 (AS), 45 CFR 164.514(b)(2)(i)(C).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from curate.metadata.coded import Coded, fold, is_missing

OPEN_FROM = 90
OLDEST = 125  # no person is known to have lived longer than 122 years
BAND_WIDTHS = (1, 5, 10, 20)

_YEARS_IN = {"Y": Fraction(1), "M": Fraction(1, 12), "W": Fraction(28, 1461), "D": Fraction(4, 1461)}
_NAMES = {"Y": ("year", "years"), "M": ("month", "months"), "W": ("week", "weeks"), "D": ("day", "days")}
_WORDS = {
    "Y": "y yr yrs year years yo any anys a ans ano anos",
    "M": "m mo mos mth mths month months mes mesos meses",
    "W": "w wk wks week weeks setmana setmanes semana semanas",
    "D": "d day days dia dies dias",
}
_UNIT_OF = {word: unit for unit, words in _WORDS.items() for word in words.split()}
_MOST_IN_COMPOUND = {"Y": OLDEST, "M": 11, "W": 4, "D": 30}

_PART = re.compile(r"(\d{1,5}(?:[.,]\d+)?)\s*([a-z]*)\.?\s*(?:(?:,|i|y|and|amb|con)\s+)?")
_OLD = re.compile(r"\s*(?:of age|old|d'edat|de edat|de edad|y/o)$")
_OPEN = re.compile(
    r"(?:(?:>=|=>|≥|\+)\s*(?P<least>\d+)|(?:>|over|mes de|mas de|major de|mayor de|older than)"
    r"\s*(?P<above>\d+)"
    r"|(?P<plus>\d+)\s*(?:\+|o mes|o mas|or more|or over|and over|or older|i mes|y mas))"
)
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary|rer|rero)?|mar(?:ch|c|zo)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember|iembre)?"
    r"|oct(?:ober|ubre)?|nov(?:ember|embre|iembre)?|dec(?:ember)?|ene(?:ro)?|abr(?:il)?|mayo|jun(?:io|y)|jul(?:io|iol)"
    r"|ago(?:sto|st)?|dic(?:iembre)?|gen(?:er)?|maig?|set(?:embre)?|des(?:embre)?)"
)
_DATE = re.compile(
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:[ t].*)?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    r"|(?:19|20)\d{6}|(?:18|19|20)\d\d(?:\.0)?"
    rf"|\d{{1,4}}[-/. ]?(?:de )?{_MONTH}\.?(?:[-/. ]?(?:de )?\d{{2,4}})?|{_MONTH}\.?[-/. ]?\d{{1,4}}"
)
_INEXACT = re.compile(
    r"(?:<|<=|≤|~|ca\.?|c\.|circa|aprox\.?|about|>|>=|≥)?\s*\d+(?:[.,]\d+)?\s*(?:-|–|a|to|/)?\s*\d*\s*[a-z]*"
)
_NEWBORN = frozenset({"newborn", "neonate", "nounat", "nounada", "nado", "recien nacido", "recien nacida"})


@dataclass(frozen=True, slots=True, repr=False)
class CodedAge(Coded):
    """An age: `code` is DICOM AS (`045Y`, `018M`) or `90+`; `age_years` is exact, 90 for the open class."""

    age_years: Fraction | None = None
    unit: str = ""


def code(raw: str | None, *, infant_evidence: bool = False) -> CodedAge:
    """The age of a raw value; with `infant_evidence` (`is_infant`) 0 years is an age, not a placeholder."""
    if is_missing(raw):
        return _refused("AGE_MISSING", "no age is given")
    text = _OLD.sub("", fold(raw or "").strip("'\""))
    if text in _NEWBORN:
        return _exact(Fraction(0), "D")
    if _DATE.fullmatch(text):
        return _refused("AGE_IS_DATE", "a date or a year of birth stands where the age should be")
    opened = _open_class(text)
    if opened is not None:
        return opened
    parts = _parts(text)
    if parts is None:
        return _unreadable(text)
    return _from_parts(parts, infant_evidence)


def band(years: Fraction | float, width: int) -> tuple[int, int | None]:
    """The band of completed years that holds an age: (low, high), both included; (90, None) is open.

    Raises:
        ValueError: a width that is not 1, 5, 10 or 20, or a negative age.
    """
    if width not in BAND_WIDTHS or years < 0:
        raise ValueError("a band is 1, 5, 10 or 20 years wide and starts at 0")
    if years >= OPEN_FROM:
        return OPEN_FROM, None
    low = int(years) // width * width
    return low, min(low + width, OPEN_FROM) - 1


def is_infant(*, birth: date | None = None, study: date | None = None, header: str | None = None) -> bool:
    """Whether birth date and study date, or an age in days, weeks or months, show a child under two."""
    if birth and study and 0 <= (study - birth).days < 731:
        return True
    seen = code(header)
    return seen.unit in {"D", "W", "M"} and seen.age_years is not None and seen.age_years < 2


def disagree(table: CodedAge, header: CodedAge) -> bool:
    """Whether two ages differ by more than a year; unknown ones do not disagree."""
    if table.age_years is None or header.age_years is None:
        return False
    return abs(table.age_years - header.age_years) > 1


def _refused(rule: str, reason: str) -> CodedAge:
    return CodedAge(None, "", reason, rule)


def _unreadable(text: str) -> CodedAge:
    if _INEXACT.fullmatch(text):
        return _refused("AGE_NOT_EXACT", "a range or an estimate; write the age in completed years")
    return _refused("AGE_UNREADABLE", "not an age; write 45, 045Y, 18 months or 90+")


def _open_class(text: str) -> CodedAge | None:
    """`90+`, `>89` and the like; a lower open bound is no age."""
    bare = re.sub(r"\s*(y|yr|yrs|years|anys|anos)$", "", text)
    found = _OPEN.fullmatch(bare)
    if not found:
        return None
    least = int(found["least"] or found["plus"] or int(found["above"]) + 1)
    if not OPEN_FROM <= least <= OLDEST:
        return _refused("AGE_NOT_EXACT", "an open class other than 90+; write the age in completed years")
    return _opened("Y")


def _parts(text: str) -> dict[str, Fraction] | None:
    """The number of each unit, such as {Y: 1, M: 6}; None where the text is something else."""
    parts: dict[str, Fraction] = {}
    at = 0
    while at < len(text):
        found = _PART.match(text, at)
        unit = _UNIT_OF.get(found[2] or "y") if found else None
        if found is None or unit is None or any("YMWD".index(unit) <= "YMWD".index(seen) for seen in parts):
            return None
        parts[unit] = Fraction(found[1].replace(",", "."))
        if not found[2] and (len(parts) > 1 or found.end() < len(text)):
            return None
        at = found.end()
    return parts or None


def _from_parts(parts: dict[str, Fraction], infant_evidence: bool) -> CodedAge:
    if len(parts) > 1 and not all(_fits(unit, number) for unit, number in parts.items()):
        return _refused("AGE_UNREADABLE", "years, months and days do not add up to an age")
    years = sum((number * _YEARS_IN[unit] for unit, number in parts.items()), Fraction(0))
    if years > OLDEST:
        return _refused("AGE_OUT_OF_RANGE", f"more than {OLDEST} years")
    if parts == {"Y": Fraction(0)} and not infant_evidence:
        return _refused("AGE_PLACEHOLDER", "0 years without a sign of infancy stands for an unknown age")
    return _exact(years, list(parts)[-1])


def _fits(unit: str, number: Fraction) -> bool:
    """Whether a number may stand in a compound age: whole, and less than the next unit."""
    return number.denominator == 1 and number <= _MOST_IN_COMPOUND[unit]


def _exact(years: Fraction, unit: str) -> CodedAge:
    if years >= OPEN_FROM:
        return _opened(unit)
    if unit == "Y" and years.denominator > 1 and years < 2:
        unit = "M"
    for fine in "DWMY"["DWMY".index(unit) :]:
        number = int(years / _YEARS_IN[fine])
        if number <= 999:
            break
    name = _NAMES[fine][number != 1]
    return CodedAge(f"{number:03d}{fine}", f"{number} {name}", age_years=years, unit=unit)


def _opened(unit: str) -> CodedAge:
    return CodedAge("90+", "over 89 years", age_years=Fraction(OPEN_FROM), unit=unit)
