"""What may be said of each donor: the archive's studies as the privacy room takes them, and its answer as columns.

What the images state can't be given up, for a pack never changes: the rows of their series (modality, vendor,
what else the contract calls a quasi-identifier) and the days between a donor's studies, which StudyDate keeps
exact. Which part of the body a picture shows can be seen, so its group is never null. A study that would stand
out by one of these waits; all else is recoded, or null.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from curate import contract
from curate.archive import arrow_ipc, disclosure_history
from curate.archive.config import Config
from curate.archive.ledger import Ledger
from curate.archive.ledger_records import Outline
from curate.archive.repository import Archive
from curate.core.digests import canonical_json
from curate.core.records import Row
from curate.donation import quasi_identifier_labels
from curate.donation.pseudonym_owners import with_owners
from curate.metadata import diagnosis, region
from curate.policies import DEFAULT_K, PrivacyPolicy
from curate.privacy import generalization_ladder
from curate.privacy.anonymization import Recoding, recode
from curate.privacy.cross_release_risk import FIRST
from curate.privacy.encoding import BOUND
from curate.privacy.generalization_ladder import Hierarchy
from curate.privacy.loss import Loss, loss, with_gated
from curate.privacy.risk import PART

SENSITIVE = "diagnosis"
QUASI_IDENTIFIERS = ("age", "sex", "region", "diagnosis", "diagnosis_basis", "series", "days_from_first")
RECODED = ("age", "sex", "region", "diagnosis", "diagnosis_basis")
_AT_ONCE = 500  # studies whose rows are Python objects at a time
_INTEGERS = ("age", "days_from_first")


def policy_of(config: Config, k: int | None = None) -> PrivacyPolicy:
    """The archive's policy, `k` in place of its own.

    Raises:
        InputError: a value that it does not take.
    """
    table = dict(config.privacy) | ({} if k is None else {"k": k})
    return PrivacyPolicy.from_mapping(table, population=config.info.population)


def recoding(archive: Archive, policy: PrivacyPolicy, only: Collection[str] | None = None) -> Recoding:
    """What the next release may say of every study of the archive, or of `only` these, and which studies wait.

    Raises:
        RefusedError: no safe result; a defect.
    """
    return recoding_of(archive, policy, raw_table(archive.ledger, only))


def recoding_of(archive: Archive, policy: PrivacyPolicy, raw: pa.Table) -> Recoding:
    """The same of the studies of a table that `raw_table` gave."""
    past = earlier(archive, raw)
    return recode(raw, hierarchies(raw, past), policy, past)


def earlier(archive: Archive, raw: pa.Table) -> list[pa.Table]:
    """What each published version showed, oldest first, under its donors' own ids; of test material nothing is kept."""
    if archive.config.info.population == "test":
        return []
    return with_owners(archive, raw, [table for _, table in disclosure_history.history(archive)])


def loss_of(archive: Archive, raw: pa.Table, made: Recoding) -> Loss:
    """What is lost and who waits; where anything is, beside what gated access with its own k would give."""
    past = earlier(archive, raw)
    finest = {h.column: h.names[0] for h in hierarchies(raw, past) if h.column in RECODED}
    found = loss(raw, made, finest, len(past), _kinds(raw, made.held))
    lower = replace(made.policy, k=DEFAULT_K["gated"], access="gated")
    if not found.any or lower.k >= made.policy.k:
        return found
    other = recoding_of(archive, lower, raw)
    return with_gated(found, loss(raw, other, finest, len(past), _kinds(raw, other.held)))


def _kinds(raw: pa.Table, held: pa.Table) -> dict[str, str]:
    """What kind of pictures each waiting study has: its modalities, and the group of its region."""
    waiting = raw.take(pc.index_in(held["study_id"], raw["study_id"]))
    rows = zip(*(waiting[name].to_pylist() for name in ("study_id", "series", "region")), strict=True)
    return {study: _kind(series, place) for study, series, place in rows}


@lru_cache(maxsize=1 << 12)
def _kind(series: str, place: str | None) -> str:
    modalities = {str(json.loads(row).get("Modality") or "unknown") for row in json.loads(series)}
    group = _region_path(place)[2].removeprefix(quasi_identifier_labels.GROUP) if place else "no region"
    return f"{'+'.join(sorted(modalities))}, {group}"


def images_alone(raw: pa.Table, waiting: Collection[str], k: int) -> dict[str, int]:
    """How many waiting studies fewer than k donors resemble by what their images state, so that no recoding helps.

    `images`: by modality, vendor, field strength, side, weight and number of series together; `weight`: those among
    them that would not stand out if it were not for the weight, which PET and quantitative NM need for uptake values.
    """
    donors: dict[str, set[str]] = defaultdict(set)
    rows = list(zip(*(raw[name].to_pylist() for name in ("study_id", "donor_id", "series")), strict=True))
    for _, donor, said in rows:
        donors[said].add(donor)
        donors[_but_weight(said)].add(donor)
    alone = [said for study, _, said in rows if study in waiting and len(donors[said]) < k]
    spared = [said for said in alone if _but_weight(said) != said and len(donors[_but_weight(said)]) >= k]
    return {"images": len(alone), "weight": len(spared)}


@lru_cache(maxsize=1 << 16)
def _but_weight(said: str) -> str:
    rows = [json.loads(row) for row in json.loads(said)]
    return canonical_json(sorted(canonical_json({**row, "PatientWeight": None}) for row in rows))


def raw_table(ledger: Ledger, only: Collection[str] | None = None) -> pa.Table:
    """One row a study, each quasi-identifier as exact as it is known; a donor's other study names the `bound` ones."""
    chosen = (outline for outline in ledger.outlines() if only is None or outline.study_id in only)
    names = ("study_id", "donor_id", *QUASI_IDENTIFIERS)
    schema = pa.schema([(name, pa.int64() if name in _INTEGERS else pa.string()) for name in names])
    parts, naming = [schema.empty_table()], []
    while rows := [_raw(ledger, outline) for outline in islice(chosen, _AT_ONCE)]:
        parts.append(pa.Table.from_pylist(rows, schema=schema))
        naming += [row for row in rows if row["names"]]
    table, bound = pa.concat_tables(parts).combine_chunks(), _bound(ledger, naming)
    flags = [study in bound for study in table["study_id"].to_pylist()]
    return table.append_column(BOUND, pa.array(flags, pa.bool_()))


def _bound(ledger: Ledger, rows: Iterable[Row]) -> frozenset[str]:
    """The studies that images of the same donor's other studies refer to: a further id would not part them."""
    named = {row["study_id"]: frozenset(row["names"]) for row in rows if row["names"]}
    donors = {row["donor_id"] for row in rows if row["study_id"] in named}
    found = set()
    for donor in sorted(donors):
        studies = ledger.study_ids(donor)
        for record in filter(None, map(ledger.study, studies if len(studies) > 1 else ())):
            others = [named[study] for study in studies if study in named and study != record.study_id]
            if record.own_uids & frozenset().union(*others):
                found.add(record.study_id)
    return frozenset(found)


def _raw(ledger: Ledger, record: Outline) -> Row:
    coded = record.payload["coded"]
    return {
        "study_id": record.study_id,
        "donor_id": record.donor_id,
        "names": record.payload.get("names", ()),
        "age": coded["age_years"],
        "sex": coded["sex"],
        "region": quasi_identifier_labels.region_label(coded["region_codes"], coded["laterality"]),
        "diagnosis": coded["diagnosis_code"],
        "diagnosis_basis": coded["diagnosis_basis"],
        "series": _series_text(ledger, record),
        "days_from_first": record.payload["day"],
    }


def series_text(series: pa.Table) -> str:
    """All quasi-identifiers of a study's series, each series once for every time that it stands there."""
    rows = series.select([name for name in _of_series() if name in series.column_names]).to_pylist()
    return canonical_json(sorted(canonical_json(_exact(row)) for row in rows))


def _series_text(ledger: Ledger, outline: Outline) -> str:
    """As intake noted it, a hundred times as fast as from the table; from the table if other columns count now."""
    noted = str(outline.payload.get("images_say", ""))
    if _of_todays_columns(noted):
        return noted
    record = ledger.study(outline.study_id)
    return series_text(arrow_ipc.columns_of_ipc(record.series, _of_series())) if record is not None else noted


@lru_cache(maxsize=1 << 16)
def _of_todays_columns(noted: str) -> bool:
    return bool(noted) and all(set(json.loads(row)) == set(_of_series()) for row in json.loads(noted))


@cache
def _of_series() -> tuple[str, ...]:
    return tuple(c.name for c in contract.table("series").columns if c.role == "quasi-identifier")


def _exact(row: Row) -> Row:
    """Numbers as text: canonical JSON has no fractions."""
    return {key: str(value) if isinstance(value, float) else value for key, value in row.items()}


def hierarchies(raw: pa.Table, past: Sequence[pa.Table] = ()) -> list[Hierarchy]:
    """How each column of `raw_table` loses detail."""
    found = {label for table in (raw, *past) for label in table["region"].unique().to_pylist()}
    places = {
        label: _region_path(label)
        for label in sorted(filter(None, found))
        if not label.startswith(quasi_identifier_labels.GROUP)
    }
    regions = generalization_ladder.tree("region", ("region and side", "region", "group"), places)
    return [
        generalization_ladder.age(),
        generalization_ladder.plain("sex", per_donor=True),
        replace(regions, nullable=False),
        generalization_ladder.tree("diagnosis", ("category", "block", "chapter"), _diagnosis_paths()),
        generalization_ladder.plain("diagnosis_basis"),
        generalization_ladder.plain("series", nullable=False),
        generalization_ladder.plain("days_from_first", nullable=False),
    ]


def _region_path(label: str) -> tuple[str, str, str]:
    codes = label.partition("/")[0]
    return label, codes, f"{quasi_identifier_labels.GROUP}{region.code(codes).group}"


def _diagnosis_paths() -> dict[str, tuple[str, str, str]]:
    none = diagnosis.NONE
    found = {
        code: (
            code,
            f"{quasi_identifier_labels.BLOCK}{entry.block}",
            f"{quasi_identifier_labels.CHAPTER}{entry.chapter}",
        )
        for code, entry in diagnosis.categories().items()
    }
    return {**found, none: (none, none, none)}


def columns(table: pa.Table) -> dict[str, Row]:
    """The columns of `studies` that say something of a person, by study, from a recoding's table."""
    low, high = generalization_ladder.split_bands(table["age"])
    found = {}
    for row, least, most in zip(table.to_pylist(), low.to_pylist(), high.to_pylist(), strict=True):
        days = row["days_from_first"]
        found[row["study_id"]] = {
            "days_from_first": None if days is None else int(days),
            "age_low_years": least,
            "age_high_years": most,
            "sex": row["sex"],
            **quasi_identifier_labels.region_columns(row["region"]),
            **quasi_identifier_labels.diagnosis_columns(row["diagnosis"]),
            "diagnosis_basis": row["diagnosis_basis"],
        }
    return found


def first_versions(table: pa.Table, versions: Sequence[str]) -> dict[str, str | None]:
    """In which published version each study came first; None where that is suppressed; new ones are left out."""
    pairs = zip(table["study_id"].to_pylist(), table[FIRST].to_pylist(), strict=True)
    return {
        study: None if index is None else versions[index]
        for study, index in pairs
        if index is None or index < len(versions)
    }


def parts(table: pa.Table) -> dict[str, int]:
    """Under which of its donor's ids each study goes: one that was published before, under the one that it has."""
    return dict(zip(table["study_id"].to_pylist(), table[PART].to_pylist(), strict=True))
