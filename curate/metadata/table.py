"""The studies table, one row a study: streamed into coded records, with findings by row and column."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np

from curate.core.errors import InputError
from curate.core.findings import Finding
from curate.metadata import cells, headings, sex
from curate.metadata.study_row import VOCABULARIES, broken, coded, study_row
from curate.metadata.study_row import StudyRow as StudyRow

REQUIRED = ("study", "donor", "age", "sex", "region", "diagnosis", "consent", "consent_date")
OPTIONAL = (
    *("diagnosis_basis", "license", "scope", "consent_version", "consent_language", "given_by"),
    *("clinical_use_ended", "birth_date", "laterality", "receipt_sha256", "age_low_years", "age_high_years"),
)
COLUMNS = frozenset((*REQUIRED, *OPTIONAL))
_NAMES = headings.spellings(COLUMNS)


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
        first: dict[int, dict[str, str]] = {}
        for number, raw in _raw_rows(self):
            yield broken(number) if raw is None else self._row(number, raw, first)

    def rows_of(self, studies: frozenset[str]) -> dict[str, StudyRow]:
        """The rows of some studies, by study; of several, the last, which bears the findings of all."""
        first: dict[int, dict[str, str]] = {}
        found: dict[str, StudyRow] = {}
        for number, raw in _raw_rows(self):
            if raw is not None and raw["study"] in studies:
                found[raw["study"]] = self._row(number, raw, first)
        return found

    def _row(self, number: int, raw: dict[str, str], first: dict[int, dict[str, str]]) -> StudyRow:
        found = _twice(self, raw, number, first)
        return study_row(number, raw, found, spanish_initials=self.spanish_initials, zero_filled=self.zero_filled)


def open_table(path: Path | str) -> StudiesTable:
    """A table's header checked and its rows surveyed for studies named twice and for a spreadsheet's damage.

    Raises:
        InputError: no file, no rows, or a column missing, doubled or nearly right.
    """
    path = Path(path)
    header, header_row = _header(path, REQUIRED)
    findings = tuple(Finding("TABLE_COLUMN_UNKNOWN", f"column {letter}") for letter in header.unknown)
    table = StudiesTable(path, header.columns, header.width, header_row, findings)
    return _surveyed(table)


def vocabulary(path: Path | str) -> list[dict[str, str | None]]:
    """How each distinct raw value of a table's vocabularies maps: field, raw, code, meaning, reason.

    Raises:
        InputError: no file, or none of the columns age, sex, region and diagnosis.
    """
    path = Path(path)
    header, header_row = _header(path, ())
    columns = header.columns
    fields = [name for name in VOCABULARIES if name in columns]
    if not fields:
        raise InputError(
            f"The table {path.name} has none of the columns age, sex, region, diagnosis.",
            hint="Name at least one of them in the first row.",
        )
    seen: dict[str, dict[str, None]] = {name: {} for name in fields}
    for number, row in cells.read(path, _NAMES):
        if number > header_row and row is not None:
            for name in fields:
                seen[name].setdefault(_cell(row, columns[name]))
    initials = sex.uses_spanish_initials(set(seen.get("sex", ())))
    return [_reported(name, raw, initials) for name in fields for raw in seen[name]]


def _reported(name: str, raw: str, spanish_initials: bool) -> dict[str, str | None]:
    answer = coded(name, raw, spanish_initials=spanish_initials)
    return {
        "field": name,
        "raw": raw,
        "code": answer.code,
        "meaning": answer.meaning,
        "reason": answer.reason,
    }


def _header(path: Path, required: tuple[str, ...]) -> tuple[headings.Headings, int]:
    """Which column is which, and the header's row."""
    first = next(cells.read(path, _NAMES), None)
    if first is None or first[1] is None:
        raise InputError(f"The table {path.name} is empty or its first row cannot be read.", hint=_expected())
    return headings.read(first[1], COLUMNS, required, f"The table {path.name}", _expected()), first[0]


def _expected() -> str:
    return f"The first row names the columns: {', '.join(REQUIRED)}; and if you like: {', '.join(OPTIONAL)}."


def _cell(row: list[str], at: int | None) -> str:
    return row[at].strip() if at is not None and at < len(row) else ""


def _surveyed(table: StudiesTable) -> StudiesTable:
    """One pass that keeps two numbers a row: the study's hash, and the whole row's."""
    keys, wholes = array("q"), array("q")
    sexes: set[str] = set()
    zeros = {name: _ZeroFill() for name in ("study", "donor")}
    order = sorted(table.columns.items())
    for number, row in cells.read(table.path, _NAMES):
        if number <= table.header_row or row is None:
            continue
        values = tuple(_cell(row, at) for _, at in order)
        study = _cell(row, table.columns["study"])
        keys.append(_mark(study))
        wholes.append(_mark("\x1f".join(values)))
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
        conflicts - {_mark("")},
        repeats - {_mark("")},
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


def _mark(text: str) -> int:
    """A 64-bit mark of a text, the same in every process; two texts share one in 1e-7 of a million."""
    return int.from_bytes(blake2b(text.encode(errors="replace"), digest_size=8).digest(), "big", signed=True)


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


def _raw_rows(table: StudiesTable) -> Iterator[tuple[int, dict[str, str] | None]]:
    """The cells of each row by column; None where they do not fit the columns."""
    columns = table.columns
    least = max(columns[name] for name in REQUIRED) + 1
    for number, row in cells.read(table.path, _NAMES):
        if number <= table.header_row:
            continue
        if row is None or len(row) < least or any(cell.strip() for cell in row[table.width :]):
            yield number, None
        else:
            yield number, {name: _cell(row, at) for name, at in columns.items()}


def _twice(
    table: StudiesTable, raw: dict[str, str], number: int, first: dict[int, dict[str, str]]
) -> Iterator[Finding]:
    """Findings of a study that the table names more than once: of each column that differs."""
    key = _mark(raw["study"])
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
