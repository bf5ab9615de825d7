"""The studies table, one row a study: streamed into coded records, with findings by row and column."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path

import numpy as np

from curate.errors import InputError
from curate.findings import Finding, Severity
from curate.metadata import age, cells, consent, diagnosis, region, sex
from curate.metadata.coded import Coded

REQUIRED = ("study", "donor", "age", "sex", "region", "diagnosis", "consent", "consent_date")
OPTIONAL = (
    *("diagnosis_basis", "license", "scope", "consent_version", "consent_language", "given_by"),
    *("clinical_use_ended", "birth_date", "laterality", "receipt_sha256", "age_low_years", "age_high_years"),
)
COLUMNS = frozenset((*REQUIRED, *OPTIONAL))
VOCABULARIES = ("age", "sex", "region", "diagnosis")
_CODED = (*VOCABULARIES, "consent", "given_by", "clinical_use_ended", "diagnosis_basis")

_MANGLED = re.compile(r"\d+(?:[.,]\d+)?[eE]\+?\d+|#[A-Z/0!?]+|\d{4}-\d{2}-\d{2}(?: .*)?")
_age = lru_cache(maxsize=4096)(age.code)
_sex = lru_cache(maxsize=256)(sex.code)
_region = lru_cache(maxsize=16384)(region.code)
_diagnosis = lru_cache(maxsize=16384)(diagnosis.code)


@dataclass(frozen=True, slots=True, repr=False)
class StudyRow:
    """One row: the coded values, the raw cells (`raw`, by column), and what is wrong with them."""

    row: int
    study: str
    donor: str
    age: age.CodedAge
    sex: Coded
    region: region.CodedRegion
    diagnosis: diagnosis.CodedDiagnosis
    consent: str | None
    consent_date: date | None
    diagnosis_basis: str | None = None
    license: str | None = None
    scope: str | None = None
    consent_version: str | None = None
    consent_language: str | None = None
    given_by: str | None = None
    clinical_use_ended: bool | None = None
    birth_date: date | None = None
    raw: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        """The row's number only: all else is a person's."""
        return f"<StudyRow {self.row}>"

    @property
    def refused(self) -> bool:
        """Whether a finding of the row is an error."""
        return any(finding.severity is Severity.ERROR for finding in self.findings)


@dataclass(frozen=True, slots=True, repr=False)
class StudiesTable:
    """A table whose header is right, surveyed once; `rows()` reads it again, coded, in a stream."""

    path: Path
    columns: Mapping[str, int]
    width: int
    header_row: int
    findings: tuple[Finding, ...]
    conflicts: frozenset[int] = frozenset()
    repeats: frozenset[int] = frozenset()
    spanish_initials: bool = False
    zero_filled: Mapping[str, int] = field(default_factory=dict)

    def rows(self) -> Iterator[StudyRow]:
        """Every row that says anything, coded; a repeated identical row bears a note and comes once more."""
        return _rows(self)

    def rows_of(self, studies: frozenset[str]) -> dict[str, StudyRow]:
        """The rows of some studies, by study; the last of several that are equal."""
        return {row.study: row for row in self.rows() if row.study in studies}


def open_table(path: Path | str) -> StudiesTable:
    """A table's header checked and its rows surveyed for studies named twice and for a spreadsheet's damage.

    Raises:
        InputError: no file, no rows, or a column missing or doubled.
    """
    path = Path(path)
    columns, width, header_row, unknown = _header(path, REQUIRED)
    findings = tuple(Finding("TABLE_COLUMN_UNKNOWN", f"column {letter}") for letter in unknown)
    table = StudiesTable(path, columns, width, header_row, findings)
    return _surveyed(table)


def vocabulary_report(path: Path | str) -> list[dict[str, str | None]]:
    """How each distinct raw value of a table's vocabularies maps: field, raw, code, meaning, reason.

    Raises:
        InputError: no file, or none of the columns age, sex, region and diagnosis.
    """
    path = Path(path)
    columns, _, header_row, _ = _header(path, ())
    fields = [name for name in VOCABULARIES if name in columns]
    if not fields:
        raise InputError(
            f"The table {path.name} has none of the columns age, sex, region, diagnosis.",
            hint="Name at least one of them in the first row.",
        )
    seen: dict[str, dict[str, None]] = {name: {} for name in fields}
    for number, row in cells.read(path, COLUMNS):
        if number > header_row and row is not None:
            for name in fields:
                seen[name].setdefault(_cell(row, columns[name]))
    initials = sex.uses_spanish_initials(set(seen.get("sex", ())))
    return [_reported(name, raw, initials) for name in fields for raw in seen[name]]


def _reported(name: str, raw: str, spanish_initials: bool) -> dict[str, str | None]:
    coded = _coded(name, raw, spanish_initials)
    return {"field": name, "raw": raw, "code": coded.code, "meaning": coded.meaning, "reason": coded.reason}


def _coded(name: str, raw: str, spanish_initials: bool) -> Coded:
    if name == "age":
        return _age(raw)
    if name == "sex":
        return _sex(raw, spanish_initials=spanish_initials)
    return _region(raw) if name == "region" else _diagnosis(raw)


def _header(path: Path, required: tuple[str, ...]) -> tuple[dict[str, int], int, int, list[str]]:
    """Where each known column is, how many columns there are, the header's row, unknown columns' letters."""
    first = next(cells.read(path, COLUMNS), None)
    if first is None or first[1] is None:
        raise InputError(f"The table {path.name} is empty or its first row cannot be read.", hint=_expected())
    names = [cells.plain_name(cell) for cell in first[1]]
    while names and not names[-1]:
        names.pop()
    for name in (*REQUIRED, *OPTIONAL):
        if names.count(name) > 1:
            message = f"The table {path.name} has the column {name} {names.count(name)} times."
            raise InputError(message, hint="Keep one of them.")
    missing = [name for name in required if name not in names]
    if missing:
        raise InputError(f"The table {path.name} lacks the column {_listed(missing)}.", hint=_expected())
    known = {name: at for at, name in enumerate(names) if name in COLUMNS}
    unknown = [_letter(at) for at, name in enumerate(names) if name and name not in COLUMNS]
    return known, len(names), first[0], unknown


def _expected() -> str:
    return f"The first row names the columns: {', '.join(REQUIRED)}; and if you like: {', '.join(OPTIONAL)}."


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def _letter(at: int) -> str:
    """A column's letter in a spreadsheet; a name that we do not know might be a person's."""
    head, last = divmod(at, 26)
    return (_letter(head - 1) if head else "") + chr(ord("A") + last)


def _cell(row: list[str], at: int | None) -> str:
    return row[at].strip() if at is not None and at < len(row) else ""


def _surveyed(table: StudiesTable) -> StudiesTable:
    """One pass that keeps two numbers a row: the study's hash, and the whole row's."""
    keys, wholes = array("q"), array("q")
    sexes: set[str] = set()
    zeros = {name: _ZeroFill() for name in ("study", "donor")}
    order = sorted(table.columns.items())
    for number, row in cells.read(table.path, COLUMNS):
        if number <= table.header_row or row is None:
            continue
        values = tuple(_cell(row, at) for _, at in order)
        study = _cell(row, table.columns["study"])
        keys.append(hash(study))
        wholes.append(hash(values))
        if len(sexes) < 1000:
            sexes.add(_cell(row, table.columns["sex"]))
        for name, fill in zeros.items():
            fill.see(_cell(row, table.columns[name]))
    conflicts, repeats = _named_twice(np.frombuffer(keys, np.int64), np.frombuffer(wholes, np.int64))
    return StudiesTable(
        table.path,
        table.columns,
        table.width,
        table.header_row,
        table.findings,
        conflicts - {hash("")},
        repeats - {hash("")},
        sex.uses_spanish_initials(sexes),
        {name: fill.width for name, fill in zeros.items() if fill.width},
    )


class _ZeroFill:
    """The width of a column whose numbers are filled with leading zeros; 0 where they are not."""

    def __init__(self) -> None:
        self.width = 0
        self._even = True

    def see(self, value: str) -> None:
        if not (self._even and len(value) > 1 and value[0] == "0" and value.isascii() and value.isdigit()):
            return
        self._even = self.width in (0, len(value))
        self.width = len(value) if self._even else 0


def _named_twice(keys: np.ndarray, wholes: np.ndarray) -> tuple[frozenset[int], frozenset[int]]:
    """Hashes of studies named twice: with different values, and with the same ones."""
    if not len(keys):
        return frozenset(), frozenset()
    order = np.lexsort((wholes, keys))
    same_key = keys[order][1:] == keys[order][:-1]
    same_whole = wholes[order][1:] == wholes[order][:-1]
    twice = keys[order][1:][same_key]
    differing = keys[order][1:][same_key & ~same_whole]
    conflicts = frozenset(int(key) for key in np.unique(differing))
    return conflicts, frozenset(int(key) for key in np.unique(twice)) - conflicts


def _rows(table: StudiesTable) -> Iterator[StudyRow]:
    first: dict[int, dict[str, str]] = {}
    for number, row in cells.read(table.path, COLUMNS):
        if number <= table.header_row:
            continue
        if row is None or any(cell.strip() for cell in row[table.width :]) or len(row) < len(table.columns):
            yield _broken(number)
            continue
        raw = {name: _cell(row, at) for name, at in table.columns.items()}
        found = list(_twice(table, raw, number, first))
        yield _study_row(table, number, raw, found)


def _broken(number: int) -> StudyRow:
    """A row whose cells do not fit the columns, so that nothing of it can be trusted."""
    place = f"row {number}"
    nothing = (_age(None), _sex(None), _region(None), _diagnosis(None), None, None)
    return StudyRow(number, "", "", *nothing, findings=(Finding("TABLE_ROW_BROKEN", place),))


def _twice(
    table: StudiesTable, raw: dict[str, str], number: int, first: dict[int, dict[str, str]]
) -> Iterator[Finding]:
    """Findings of a study that the table names more than once: of each column that differs."""
    key = hash(raw["study"])
    if key not in table.conflicts and key not in table.repeats:
        return
    place = f"row {number}"
    before = first.setdefault(key, raw)
    if key in table.repeats:
        if before is not raw:
            yield Finding("TABLE_STUDY_REPEATED", place, "study")
        return
    yield Finding("TABLE_STUDY_CONFLICT", place, "study")
    for name in raw:
        if raw[name] != before[name]:
            yield Finding("TABLE_STUDY_CONFLICT", place, name)


def _study_row(table: StudiesTable, number: int, raw: dict[str, str], found: list[Finding]) -> StudyRow:
    place = f"row {number}"
    years = _age(raw["age"])
    sexed = _sex(raw["sex"], spanish_initials=table.spanish_initials)
    where = _region(raw["region"], laterality=raw.get("laterality"))
    what = _diagnosis(raw["diagnosis"], raw.get("diagnosis_basis"))
    said = consent.code(raw["consent"])
    giver = consent.given_by(raw.get("given_by"))
    ended = consent.clinical_use_ended(raw.get("clinical_use_ended"))
    basis = diagnosis.code_basis(raw.get("diagnosis_basis"))
    coded: tuple[Coded, ...] = (years, sexed, where, what, said, giver, ended, basis)
    found += [Finding(each.rule, place, name) for name, each in zip(_CODED, coded, strict=True) if each.rule]
    found += _identity_findings(table, raw, place)
    found += [Finding(rule, place, name) for name, rule in _day_rules(raw)]
    return StudyRow(
        number,
        raw["study"],
        raw["donor"],
        years,
        sexed,
        where,
        what,
        said.code,
        consent.day(raw["consent_date"]),
        basis.code,
        raw.get("license") or None,
        raw.get("scope") or None,
        raw.get("consent_version") or None,
        raw.get("consent_language") or None,
        giver.code,
        None if ended.code is None else ended.code == "yes",
        consent.day(raw.get("birth_date")),
        raw,
        tuple(found),
    )


def _day_rules(raw: dict[str, str]) -> Iterator[tuple[str, str]]:
    if not raw["consent_date"]:
        yield "consent_date", "CONSENT_DATE_MISSING"
    for name in ("consent_date", "birth_date"):
        if raw.get(name) and consent.day(raw[name]) is None:
            yield name, "DATE_UNREADABLE"


def _identity_findings(table: StudiesTable, raw: dict[str, str], place: str) -> Iterator[Finding]:
    """What is wrong with the names of study and donor: absent, damaged, or short of their zeros."""
    for name in ("study", "donor"):
        value = raw[name]
        width = table.zero_filled.get(name, 0)
        if not value:
            yield Finding(f"TABLE_{name.upper()}_MISSING", place, name)
        elif _MANGLED.fullmatch(value):
            yield Finding("TABLE_NUMBER_DAMAGED", place, name)
        elif width and value.isascii() and value.isdigit() and len(value) < width:
            yield Finding("TABLE_ZEROS_LOST", place, name)
