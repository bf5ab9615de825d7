"""The `offers` table of the portal: how many were asked, and how far each offer came. It names nobody.

Columns: `date` (YYYY-MM-DD or YYYY-MM) and `outcome` (offered, seen, declined, donated, withdrawn: the furthest that
the offer came); and if you like `hospital`, `modality`, `age_band` (40-49, 90+), `sex`, `arm` (the wording that was
tried), `studies` (how many the offer was about, 1 by default), `count` (how many such offers the row stands for).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from curate.core.errors import InputError
from curate.core.findings import Finding, merge
from curate.metadata import cells, headings, sex
from curate.metadata.coded import fold

REQUIRED = ("date", "outcome")
GROUPS = ("hospital", "modality", "age_band", "sex", "arm")
COLUMNS = frozenset((*REQUIRED, *GROUPS, "studies", "count"))
OUTCOMES = ("offered", "seen", "declined", "donated", "withdrawn")
_WORDS = {
    "offered": "oferit oferida ofert oferta ofrecido ofrecida",
    "seen": "vist vista visto",
    "declined": "refused rebutjat rebutjada declinat declinada rechazado rechazada declinado declinada no",
    "donated": "accepted donat donada donado acceptat acceptada aceptado aceptada yes si",
    "withdrawn": "revoked retirat retirada retirado revocat revocada revocado",
}
_OUTCOME_OF = {word: outcome for outcome, words in _WORDS.items() for word in (outcome, *words.split())}
UNKNOWN = "not stated"
_MOST_UNREAD = 0.05
_DATE = re.compile(r"(\d{4}-(?:0[1-9]|1[0-2]))(?:-\d{2})?(?:[ T].*)?")
_BAND = re.compile(r"(\d{1,2})\s*[-–]\s*(\d{1,2})|90\s*\+")
_TEXT = re.compile(r"[\w .,'’()/&+-]{1,60}")
_HINT = f"The first row names the columns: date, outcome; and if you like: {', '.join(GROUPS)}, studies, count."

Key = tuple[str, ...]  # month, outcome, then one of each of GROUPS


@dataclass(frozen=True, slots=True)
class Funnel:
    """How many came at least so far: asked, saw it, decided, said yes, and withdrew later."""

    offered: int
    seen: int
    decided: int
    donated: int
    withdrawn: int


@dataclass(frozen=True, slots=True)
class Offers:
    """An offers table added up: persons and studies by month, outcome and groups; which groups it has.

    `rows` are all that say anything; each that could not be read is a finding, and is not counted.
    """

    persons: Mapping[Key, int]
    studies: Mapping[Key, int]
    columns: tuple[str, ...]
    findings: tuple[Finding, ...]
    rows: int = 0

    @property
    def unread(self) -> dict[str, int]:
        """How many rows could not be read, by the column that could not; `row` where its cells do not fit."""
        return dict(Counter(finding.tag or "row" for finding in self.findings))

    def funnel(self, *, studies: bool = False) -> Funnel:
        """The whole table as a funnel, counted by person, or by study."""
        by: Counter[str] = Counter()
        for key, count in (self.studies if studies else self.persons).items():
            by[key[1]] += count
        donated = by["donated"] + by["withdrawn"]
        decided = donated + by["declined"]
        seen = decided + by["seen"]
        return Funnel(seen + by["offered"], seen, decided, donated, by["withdrawn"])

    def answers(self, column: str) -> dict[str, tuple[int, int]]:
        """Persons who said yes, and all others who were asked, by a group's column or by `month`."""
        place = 0 if column == "month" else 2 + GROUPS.index(column)
        yes: Counter[str] = Counter()
        rest: Counter[str] = Counter()
        for key, count in self.persons.items():
            (yes if key[1] in ("donated", "withdrawn") else rest)[key[place]] += count
        return {group: (yes[group], rest[group]) for group in sorted(yes | rest)}


def read_offers(path: Path) -> Offers:
    """Add up an offers table (CSV, XLSX or Parquet), streamed; a row that cannot be read is a finding.

    Raises:
        InputError: no such file, a column missing or doubled, or too many rows that cannot be read to give a rate.
    """
    rows = cells.read(path, headings.spellings(COLUMNS))
    columns = _header(path, rows)
    persons: Counter[Key] = Counter()
    studies: Counter[Key] = Counter()
    findings: list[Finding] = []
    total = 0
    for number, row in rows:
        if row is not None and not any(cell.strip() for cell in row):
            continue
        total += 1
        raw = {name: row[at].strip() if at < len(row) else "" for name, at in columns.items()} if row else {}
        read = _read(raw) if row else ""
        if isinstance(read, str):
            findings.append(Finding("OFFER_UNREADABLE", f"row {number}", read))
            continue
        key, count, held = read
        persons[key] += count
        studies[key] += count * held
    groups = tuple(name for name in GROUPS if name in columns)
    offers = Offers(persons, studies, groups, merge(findings), total)
    if len(findings) > _MOST_UNREAD * total:
        raise _unreadable(path, offers)
    return offers


def _unreadable(path: Path, offers: Offers) -> InputError:
    first = offers.findings[0]
    columns = ", ".join(f"{name} {count}" for name, count in sorted(offers.unread.items()))
    return InputError(
        f"{len(offers.findings)} of {offers.rows} rows of the table {path.name} cannot be read, the first in "
        f"{first.place} (by column: {columns}): a rate without them would mislead.",
        hint=f"Write date as YYYY-MM-DD, outcome as {', '.join(OUTCOMES)}, bands as 40-49, numbers in digits.",
    )


def _header(path: Path, rows: Iterator[cells.Row]) -> Mapping[str, int]:
    first = next(rows, None)
    if first is None or first[1] is None:
        raise InputError(f"The table {path.name} is empty or its first row cannot be read.", hint=_HINT)
    return headings.read(first[1], COLUMNS, REQUIRED, f"The table {path.name}", _HINT).columns


def _read(raw: Mapping[str, str]) -> tuple[Key, int, int] | str:
    """A row's key, how many offers, and studies of each; or the column that cannot be read."""
    month = _DATE.fullmatch(raw["date"])
    outcome = _OUTCOME_OF.get(fold(raw["outcome"]))
    if not month:
        return "date"
    if outcome is None:
        return "outcome"
    groups = []
    for name in GROUPS:
        value = _group(name, raw.get(name, ""))
        if value is None:
            return name
        groups.append(value)
    numbers = []
    for name in ("count", "studies"):
        text = raw.get(name) or "1"
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            return name
        numbers.append(int(text))
    return (month[1], outcome, *groups), numbers[0], numbers[1]


def _group(name: str, text: str) -> str | None:
    """A group's name as the page shows it; None where it cannot be read."""
    if not text:
        return UNKNOWN
    if name == "sex":
        found = sex.code(text)
        return UNKNOWN if found.rule == "SEX_UNKNOWN" else found.code
    if name == "age_band":
        band = _BAND.fullmatch(text)
        if not band:
            return None
        if band[1] is None:
            return "90+"
        low, high = int(band[1]), int(band[2])
        return f"{low:02d}-{high:02d}" if low < high < 90 and (high - low + 1) % 5 == 0 and low % 5 == 0 else None
    return text if _TEXT.fullmatch(text) else None


@dataclass(frozen=True, slots=True)
class ShownFunnel:
    """A funnel with small counts, and small steps between counts, hidden."""

    offered: int | None
    seen: int | None
    decided: int | None
    donated: int | None
    withdrawn: int | None


def shown_funnel(funnel: Funnel | None, k: int) -> ShownFunnel | None:
    """A funnel as the public may see it."""
    if funnel is None:
        return None
    counts = [funnel.offered, funnel.seen, funnel.decided, funnel.donated]
    shown: list[int | None] = []
    last = None
    for count in counts:  # a step of fewer than k tells as much as a count of fewer than k
        small = 0 < count < k or (last is not None and 0 < last - count < k)
        shown.append(None if small else count)
        last = last if small else count
    kept = funnel.donated - funnel.withdrawn
    hidden = 0 < funnel.withdrawn < k or 0 < kept < k or shown[3] is None
    return ShownFunnel(shown[0], shown[1], shown[2], shown[3], None if hidden else funnel.withdrawn)
