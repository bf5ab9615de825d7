"""Whom a release represents: age and sex of its donors beside a reference population."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from curate.core.errors import InputError
from curate.metadata import cells, headings, sex
from curate.pages import donors
from curate.steps.report.rates import wilson

OPEN_FROM = 90
_COLUMNS = frozenset({"age_low", "sex", "population"})
_UNDER, _OVER = 0.8, 1.25  # the four-fifths rule, both ways

Cell = tuple[int, str]  # lower end of the age band, sex


@dataclass(frozen=True, slots=True)
class Population:
    """How many live in a place by age and sex; ages are lower ends of bands that cover all ages from 0."""

    name: str
    source: str
    counts: Mapping[Cell, float]


@dataclass(frozen=True, slots=True)
class Group:
    """One band and sex: donors, their share of all donors of known age and sex, the population's, and the ratio.

    `low` and `high` are the 95% interval of the ratio; `verdict` is under, over or "".
    """

    low_years: int
    high_years: int | None
    sex: str
    donors: int
    share: float
    expected: float
    ratio: float
    low: float
    high: float
    verdict: str

    @property
    def label(self) -> str:
        """The band as people write it."""
        return f"{self.low_years}+" if self.high_years is None else f"{self.low_years}-{self.high_years}"


@dataclass(frozen=True, slots=True)
class Representation:
    """All groups beside one population; `unknown` donors have no published age or sex."""

    population: Population
    donors: int
    unknown: int
    groups: tuple[Group, ...]


def donors_of(release: Path) -> Counter[tuple[int | None, int | None, str | None]]:
    """Donors of a release by what its manifest publishes: lower and upper age, sex. One entry a donor."""
    found: dict[str, tuple[int | None, int | None, str | None]] = {}
    columns = ["donor_id", "age_low_years", "age_high_years", "sex"]
    for batch in pq.ParquetFile(release / "manifest" / "studies.parquet").iter_batches(columns=columns):
        for donor, low, high, sexed in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            if donor not in found or found[donor][0] is None:
                found[donor] = (low, high, sexed)
    return Counter(found.values())


_FACTS = {"age": "age_low_years", "sex": "sex", "region": "region_group", "diagnosis": "diagnosis_code"}


def published_of(release: Path) -> donors.Published:
    """What a release says of its donors, for their pages: its most frequent band of several years, what it lacks."""
    table = pq.read_table(release / "manifest" / "studies.parquet", columns=[*_FACTS.values(), "age_high_years"])
    absent = frozenset(key for key, name in _FACTS.items() if table[name].null_count == len(table))
    ages = zip(table["age_low_years"].to_pylist(), table["age_high_years"].to_pylist(), strict=True)
    bands = Counter((low, high) for low, high in ages if low is not None and high is not None and low < high)
    common = max(bands.items(), key=lambda entry: (entry[1], entry[0]), default=None)
    return donors.Published(common[0] if common else None, absent)


def read_population(path: Path) -> Population:
    """A reference population: a table (CSV, XLSX, Parquet) of age_low, sex and population.

    Raises:
        InputError: no such file, a column missing, a row that cannot be read, or ages that do not begin at 0.
    """
    rows = cells.read(path, headings.spellings(_COLUMNS))
    first = next(rows, (0, None))[1] or []
    hint = "Name age_low, sex and population in the first row."
    columns = headings.read(first, _COLUMNS, sorted(_COLUMNS), f"The population {path.name}", hint).columns
    counts: Counter[Cell] = Counter()
    for number, row in rows:
        raw = {name: row[at].strip() for name, at in columns.items() if len(row) > at} if row else {}
        code = sex.code(raw.get("sex", "")).code
        try:
            low, amount = int(raw["age_low"]), float(raw["population"])
        except (KeyError, ValueError):
            low, amount = -1, -1.0
        if code not in ("F", "M") or low < 0 or amount < 0:
            raise InputError(
                f"The population {path.name} cannot be read in row {number}.", hint="Write numbers, F and M."
            )
        counts[low, code] += amount  # type: ignore[assignment]
    if not counts or min(low for low, _ in counts) != 0 or sum(counts.values()) <= 0:
        raise InputError(f"The population {path.name} does not begin at age 0.", hint="Give all ages.")
    return Population(path.stem, f"a table of the archive, {path.name}", dict(counts))


def represent(
    donors: Mapping[tuple[int | None, int | None, str | None], int], population: Population
) -> Representation:
    """The donors beside a population, in the narrowest bands that both can be put into."""
    known = {(low, high, s): n for (low, high, s), n in donors.items() if low is not None and s in ("F", "M")}
    total, everyone = sum(known.values()), sum(donors.values())
    groups = []
    for low, high in _bands([(low, high) for low, high, _ in known], population):
        for sexed in ("F", "M"):
            count = sum(n for (a, _, s), n in known.items() if s == sexed and low <= a and (high is None or a <= high))
            groups.append(_group(low, high, sexed, count, total, _expected(population, low, high, sexed)))
    return Representation(population, everyone, everyone - total, tuple(groups))


def _group(low: int, high: int | None, sexed: str, count: int, total: int, expected: float) -> Group:
    bottom, top = wilson(count, total) if total else (0.0, 1.0)
    share = count / total if total else 0.0
    ratio, least, most = (value / expected if expected else 0.0 for value in (share, bottom, top))
    verdict = "under" if total and most < _UNDER else "over" if total and least > _OVER else ""
    return Group(low, high, sexed, count, share, expected, ratio, least, most, verdict)


def _bands(published: Sequence[tuple[int, int | None]], population: Population) -> Iterator[tuple[int, int | None]]:
    """Bands of 10 years, or of 20 where the release has wider ones; the population's lower ends must allow them."""
    widest = max((high - low + 1 for low, high in published if high is not None), default=10)
    lows = {low for low, _ in population.counts}
    ends = [low for low in range(0, OPEN_FROM + 1, 20 if widest > 10 else 10) if low in lows]
    ends = sorted({*ends, *({OPEN_FROM} & lows)})
    for number, low in enumerate(ends):
        yield low, ends[number + 1] - 1 if number + 1 < len(ends) else None


def _expected(population: Population, low: int, high: int | None, sexed: str) -> float:
    inside = sum(
        n for (a, s), n in population.counts.items() if s == sexed and low <= a and (high is None or a <= high)
    )
    return float(inside / sum(population.counts.values()))
