"""Which studies a release holds, and what it shows of each person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from curate import licenses
from curate.archive import disclosure_history as shown
from curate.archive.ledger_records import Outline
from curate.archive.repository import Archive
from curate.core.errors import RefusedError, quoted
from curate.core.records import Row
from curate.donation import quasi_identifiers
from curate.metadata import age
from curate.policies import PrivacyPolicy
from curate.privacy.counts import TOTAL, CountTable, Key, count_table, suppress_counts
from curate.privacy.loss import Loss

DEFAULT_BAND_YEARS = 5
EXEMPT = "Its disclosure risk was not measured: nobody donated this test material."
_FURTHER = (
    " A later study that would single its donor out bears a further donor_id, so fewer people may be in this archive"
    " than it has ids."
)
_UNKNOWN = "unknown"
_TITLES = {
    "age_low_years": "age",
    "sex": "sex",
    "region_codes": "region (its group apart)",
    "diagnosis_code": "diagnosis",
}
Counts = Mapping[str, Mapping[str, int | None]]


@dataclass(frozen=True, slots=True)
class Decision:
    """`published` maps a study's id to the risk-controlled columns of `studies`; `held` studies wait.

    `tables` are the counts that the card may show; `statements` sentences about what was done. Of persons,
    `shown` is what the archive keeps for later releases, `counts` the card's tables in full, and
    `first_versions` says in which version a study came first (None: suppressed; new ones are not in it), `parts` under
    which of its donor's ids a new one goes (0: the donor's own); `loss` is what nobody will ever be shown.
    """

    published: Mapping[str, Row]
    held: int
    tables: Counts
    statements: tuple[str, ...] = ()
    privacy: Mapping[str, Any] | None = None
    shown: pa.Table | None = None
    counts: Mapping[str, Any] = field(default_factory=dict)
    first_versions: Mapping[str, str | None] | None = None
    parts: Mapping[str, int] = field(default_factory=dict)
    loss: Loss | None = None


def decide(archive: Archive, only: Collection[str] | None = None) -> Decision:
    """What the next release shows, of all studies or of `only` these.

    Raises:
        RefusedError: donors are too few to publish any study of them.
        InputError: a study's licence is not in the catalogue, or the privacy policy can't be followed.
    """
    for spdx in archive.ledger.licenses():
        licenses.get(spdx)
    policy = quasi_identifiers.policy_of(archive.config)
    return _of_test_material(archive, only) if policy.exempt else _of_persons(archive, policy, only)


def _of_test_material(archive: Archive, only: Collection[str] | None) -> Decision:
    """Everything, with ages in bands of five years."""
    studies = [study for study in archive.ledger.outlines() if only is None or study.study_id in only]
    ages = _donor_ages(studies)
    published = {study.study_id: _shown(study, ages[study.donor_id]) for study in studies}
    return Decision(published, 0, _count_tables(published.values()), (EXEMPT,))


def _of_persons(archive: Archive, policy: PrivacyPolicy, only: Collection[str] | None) -> Decision:
    """What leaves every donor among k alike, in this release alone and in all of them together."""
    raw, past = quasi_identifiers.raw_table(archive.ledger, only), shown.history(archive)
    made = quasi_identifiers.recoding_of(archive, policy, raw)
    if not past and not made.table.num_rows and made.held.num_rows:  # a later one can remove what was withdrawn
        raise RefusedError(
            f"No study can be published yet: fewer than {policy.k} donors resemble each other.",
            hint=f"See how many more it takes: curate risk {quoted(archive.root)} --forecast",
        )
    loss = quasi_identifiers.loss_of(archive, raw, made)
    published = quasi_identifiers.columns(made.table)
    counts = _suppressed(_count_tables(published.values()), policy.k, [table for _, table in past])
    return Decision(
        published,
        made.held.num_rows,
        {name: _for_card(table) for name, table in counts.items() if table.dimensions and _says(table)},
        (_statement(policy), *_absent(published.values())),
        {"k": policy.k, "access": policy.access},
        made.table,
        {name: _stored(table) for name, table in counts.items()},
        quasi_identifiers.first_versions(made.table, [version for version, _ in past]),
        quasi_identifiers.parts(made.table),
        loss,
    )


def _statement(policy: PrivacyPolicy) -> str:
    return (
        f"Whatever is published of a donor, at least {policy.k - 1} other donors share it, in this version and in"
        " all versions together: age, sex, region and diagnosis are coarser, or null, where they did not, and a"
        " study that would still stand out waits." + (_FURTHER if policy.later_studies == "split" else "")
    )


def _absent(rows: Collection[Row]) -> tuple[str, ...]:
    """A sentence on the columns that say nothing of any study; a table of `unknown` would not say it."""
    names = [title for column, title in _TITLES.items() if rows and all(row[column] in (None, []) for row in rows)]
    if not names:
        return ()
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return (f"Absent from every study of this version: {listed}; it is not known, or too few donors would share it.",)


def _says(table: CountTable) -> bool:
    """Whether a table counts anything but what is unknown."""
    return any(key[0] not in (_UNKNOWN, TOTAL) for key in table.counts)


def _suppressed(tables: Counts, k: int, past: Sequence[pa.Table]) -> dict[str, CountTable]:
    """The card's tables with what a reader of all versions could narrow down hidden."""
    earlier: list[Mapping[str, Any]] = []
    for table in past:
        known = shown.counts_of(table)
        if known is None:  # a table could be subtracted from one that nobody here knows
            return {}
        earlier.append(known or _recounted(table, k, earlier))
    return _hidden(tables, k, earlier)


def _recounted(table: pa.Table, k: int, earlier: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The tables of a version whose card was made elsewhere, from its rows: as that card has them."""
    if not shown.is_rebuilt(table):
        return {}
    counts = _hidden(_count_tables(quasi_identifiers.columns(table).values()), k, earlier)
    return {name: _stored(found) for name, found in counts.items()}


def _hidden(tables: Counts, k: int, earlier: Sequence[Mapping[str, Any]]) -> dict[str, CountTable]:
    return {
        name: suppress_counts(
            count_table(name, (name,), {(value,): count or 0 for value, count in counts.items()}),
            k,
            [_restored(name, tables[name]) for tables in earlier if name in tables],
        )
        for name, counts in tables.items()
    }


def _for_card(table: CountTable) -> dict[str, int | None]:
    return {key[0]: count for key, count in table.published().items() if key[0] != TOTAL}


def _stored(table: CountTable) -> list[list[Any]]:
    """A table of one dimension as JSON: value, count, whether it was hidden."""
    return [[key[0], count, key in table.hidden] for key, count in sorted(table.counts.items())]


def _restored(name: str, rows: Sequence[Sequence[Any]]) -> CountTable:
    counts: dict[Key, int] = {(str(value),): int(count) for value, count, _ in rows}
    hidden = frozenset((str(value),) for value, _, is_hidden in rows if is_hidden)
    return CountTable(name, (name,) if len(counts) > 1 else (), counts, hidden)


def _donor_ages(records: Iterable[Outline]) -> dict[str, int | None]:
    """One age a donor, that at the first study: a band that changes in between gives the birthday away."""
    found: dict[str, tuple[bool, int, str, int | None]] = {}
    for record in records:
        years, day = record.payload["coded"]["age_years"], record.payload["day"]
        place = (years is None, 0 if day is None else day, record.study_id, years)
        found[record.donor_id] = min(found.get(record.donor_id, place), place, key=lambda entry: entry[:3])
    return {donor: entry[3] for donor, entry in found.items()}


def _shown(record: Outline, years: int | None) -> Row:
    coded = record.payload["coded"]
    low, high = (None, None) if years is None else age.band(years, DEFAULT_BAND_YEARS)
    return {
        "days_from_first": record.payload["day"],
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


def _count_tables(rows: Iterable[Row]) -> Counts:
    tables: dict[str, Counter[str]] = {"sex": Counter(), "region_group": Counter()}
    for row in rows:
        for name, counts in tables.items():
            counts[row[name] or _UNKNOWN] += 1
    return {name: dict(sorted(counts.items())) for name, counts in tables.items()}
