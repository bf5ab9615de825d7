"""Checks `contract` and `joins`: every table obeys the contract, and the tables agree with each other."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import contract
from curate.core import arrays
from curate.core.findings import Finding, merge
from curate.core.records import CheckResult
from curate.verify import limits
from curate.verify.checks.seal import Seal

MEMORY = "300MB"


def table_path(name: str) -> str:
    """A manifest table's path from the release's root."""
    return f"manifest/{name}.parquet"


def check_contract(seal: Seal) -> CheckResult:
    """Every manifest table, pack and preview shard has the contract's columns, types and values."""
    findings: list[Finding] = []
    rows = 0
    for name in contract.MANIFEST_TABLES:
        if refused := limits.of_table(seal.folder, table_path(name)):
            findings += refused
            continue
        found, count = _check_file(name, seal.folder / table_path(name), table_path(name))
        findings += found
        rows += count
    for config in ("images", "previews"):
        for path in shard_paths(seal, config):
            if refused := limits.of_table(seal.folder, path, pack=config == "images"):
                findings += refused
                continue
            schema = _schema(seal.folder / path)
            if schema is None:
                findings.append(Finding("TABLE_UNREADABLE", path))
            else:
                findings += [Finding(f.rule, path, f.tag) for f in contract.check_schema(config, schema)]
    if not findings:
        findings += [*limits.places(seal), *limits.evidence(seal)]
    return CheckResult("contract", "Every table obeys the contract", rows, tuple(findings))


def shard_paths(seal: Seal, config: str) -> list[str]:
    """Paths of the packs (`images`) or preview shards (`previews`) that the seal lists."""
    folder = {"images": "packs/", "previews": "previews/"}[config]
    return sorted(path for path in seal.files if path.startswith(folder))


def _schema(path: Path) -> pa.Schema | None:
    try:
        return pq.read_schema(path)
    except (pa.ArrowException, OSError):  # no table: the caller's finding
        return None


def _check_file(name: str, path: Path, place: str) -> tuple[list[Finding], int]:
    schema = _schema(path)
    if schema is None:
        return [Finding("TABLE_UNREADABLE", place)], 0
    findings = contract.check_schema(name, schema)
    if findings:
        return findings, 0
    rows = 0
    try:
        for batch in contract.read_batches(path, dictionaries=_repetitive(name)):
            rows += batch.num_rows
            findings += contract.check_batch(name, batch)
    except (pa.ArrowException, OSError):
        findings.append(Finding("TABLE_UNREADABLE", place))
    return list(merge(findings)), rows


def _repetitive(name: str) -> list[str]:
    """Columns whose values repeat: read as dictionaries, a row costs an eighth."""
    return [f.name for f in contract.table(name).schema if pa.types.is_string(f.type) and f.name != "SOPInstanceUID"]


_JOINS: tuple[tuple[str, str, str], ...] = (
    ("KEY_STUDY_WITHOUT_SERIES", "studies", "FROM studies ANTI JOIN series USING (study_id)"),
    ("KEY_STUDY_WITHOUT_EVIDENCE", "studies", "FROM studies ANTI JOIN evidence USING (study_id)"),
    ("KEY_UNKNOWN_STUDY", "series", "FROM series ANTI JOIN studies USING (study_id)"),
    ("KEY_UNKNOWN_STUDY", "evidence", "FROM evidence ANTI JOIN studies USING (study_id)"),
    ("KEY_UNKNOWN_STUDY", "references", 'FROM "references" ANTI JOIN studies USING (study_id)'),
    (
        "KEY_SERIES_WITHOUT_INSTANCES",
        "series",
        "FROM series ANTI JOIN instances USING (study_id, SeriesInstanceUID)",
    ),
    (
        "KEY_UNKNOWN_SERIES",
        "instances",
        "FROM instances ANTI JOIN series USING (study_id, SeriesInstanceUID)",
    ),
    (
        "KEY_UNKNOWN_SERIES",
        "references",
        'FROM "references" ANTI JOIN series USING (study_id, SeriesInstanceUID)',
    ),
    ("KEY_UNKNOWN_SERIES", "previews", "FROM previews ANTI JOIN series USING (study_id, SeriesInstanceUID)"),
    (
        "COUNT_SERIES",
        "studies",
        "FROM studies JOIN (SELECT study_id, count(*) n, sum(instance_count) i, sum(size_bytes) b"
        " FROM series GROUP BY ALL) USING (study_id)"
        " WHERE n <> series_count OR i <> instance_count OR b <> studies.size_bytes",
    ),
    (
        "COUNT_INSTANCES",
        "series",
        "FROM series JOIN (SELECT SeriesInstanceUID, count(*) n, sum(size_bytes) b, sum(frames) f"
        " FROM instances GROUP BY ALL) USING (SeriesInstanceUID)"
        " WHERE n <> instance_count OR b <> series.size_bytes OR f <> frame_count",
    ),
    (
        "LICENSE_DIFFERS",
        "series",
        "FROM series JOIN studies USING (study_id) WHERE series.license <> studies.license",
    ),
    (
        "LICENSE_DIFFERS",
        "instances",
        "FROM instances JOIN studies USING (study_id) WHERE instances.license <> studies.license",
    ),
    (
        "SLICE_INDEX",
        "instances",
        "FROM (SELECT min(slice_index) a, max(slice_index) b, count(*) n"
        " FROM instances GROUP BY SeriesInstanceUID) WHERE a <> 0 OR b <> n - 1",
    ),
    (
        "DONOR_SPLIT",
        "studies",
        "FROM (SELECT count(DISTINCT fold) n, min(fold) a, max(fold) b FROM studies GROUP BY donor_id)"
        " WHERE n <> 1 OR a < 0 OR b > 9",
    ),
    (
        "DONOR_AGE_BANDS",
        "studies",
        "FROM (SELECT count(DISTINCT (age_low_years, age_high_years)) n FROM studies"
        " WHERE age_low_years IS NOT NULL GROUP BY donor_id) WHERE n > 1",
    ),
    (
        "REVOKED_ROW",
        "instances",
        "FROM instances JOIN revocations ON sha256_of_sha256 = unhex(sha256(sha256))",
    ),
)


@contextmanager
def connect(seal: Seal) -> Iterator[duckdb.DuckDBPyConnection]:
    """The tables of a release as views of a database whose memory is limited: above it, it spills to disk."""
    with tempfile.TemporaryDirectory(prefix="curate-check-") as spill, duckdb.connect(":memory:") as db:
        db.execute(f"SET threads = 2; SET memory_limit = '{MEMORY}'; SET temp_directory = {quoted(Path(spill))}")
        _make_views(db, seal)
        yield db


def quoted(path: Path) -> str:
    """A path as duckdb takes it in a query."""
    return "'" + str(path).replace("'", "''") + "'"


def _make_views(db: duckdb.DuckDBPyConnection, seal: Seal) -> None:
    for name in contract.MANIFEST_TABLES:
        path = quoted(seal.folder / table_path(name))
        db.execute(f'CREATE VIEW "{name}" AS SELECT * FROM read_parquet({path})')
    names = ", ".join(quoted(seal.folder / path) for path in shard_paths(seal, "previews"))
    if names:
        db.execute(f"CREATE VIEW previews AS SELECT * FROM read_parquet([{names}])")
    else:
        db.execute("CREATE VIEW previews AS SELECT study_id, SeriesInstanceUID FROM series WHERE false")


def check_joins(seal: Seal) -> CheckResult:
    """Keys are unique and join both ways, counts agree, rows are sorted, nothing revoked is there."""
    findings: list[Finding] = []
    with connect(seal) as db:
        for rule, name, query in _JOINS:
            count = scalar(db, f"SELECT count(*) {query}")
            if count:
                findings.append(Finding(rule, name, count=count))
        for name in contract.MANIFEST_TABLES:
            findings += _check_keys(db, name) + _check_order(seal.folder / table_path(name), name)
            if name != "revocations":
                stated = (seal.version,)
                count = scalar(db, f'SELECT count(*) FROM "{name}" WHERE release_version <> ?', stated)
                if count:
                    findings.append(Finding("VERSION_DIFFERS", name, "release_version", count))
            if scalar(db, f'SELECT count(*) FROM "{name}"') != seal.content["counts"].get(name):
                findings.append(Finding("COUNT_STATED", "release.json", name))
        total = scalar(db, "SELECT count(*) FROM instances")
    return CheckResult("keys", "Keys join both ways and counts agree", total, tuple(findings))


def _check_keys(db: duckdb.DuckDBPyConnection, name: str) -> list[Finding]:
    """Whether each key is there once: hashes tell most often, and the keys themselves where hashes meet."""
    key = ", ".join(f'"{column}"' for column in contract.table(name).key)
    doubled = scalar(db, f'SELECT count(*) - count(DISTINCT hash({key})) FROM "{name}"')
    if doubled:
        doubled = scalar(db, f'SELECT count(*) - count(DISTINCT ({key})) FROM "{name}"')
    return [Finding("KEY_DOUBLED", name, contract.table(name).key[0], doubled)] if doubled else []


def _check_order(path: Path, name: str) -> list[Finding]:
    """Whether the rows stand in the table's order, as a stream; of instances no place in a series twice."""
    columns = contract.table(name).sort
    last: pa.Table | None = None
    disorder = equal = 0
    for batch in contract.read_batches(path, columns):
        rows = pa.Table.from_batches([batch]).select(columns)
        rows = rows if last is None else pa.concat_tables([last, rows])
        unsorted, same = _steps(rows.combine_chunks())
        disorder, equal, last = disorder + unsorted, equal + same, rows.slice(rows.num_rows - 1)
    found = [Finding("TABLE_NOT_SORTED", name)] if disorder else []
    return found + ([Finding("SLICE_INDEX", name, count=equal)] if equal and name == "instances" else [])


def _steps(rows: pa.Table) -> tuple[int, int]:
    """How many rows stand before a lower one, and how many before an equal one."""
    above, same = pa.scalar(False), pa.scalar(True)
    for column in rows.columns:
        values = column.chunk(0) if column.num_chunks else arrays.array([], column.type)
        here, after = values.slice(0, max(0, len(values) - 1)), values.slice(1)
        above = pc.or_(above, pc.and_(same, pc.greater(here, after)))
        same = pc.and_(same, pc.equal(here, after))
    return (pc.sum(above).as_py() or 0, pc.sum(same).as_py() or 0) if rows.num_rows > 1 else (0, 0)


def scalar(db: duckdb.DuckDBPyConnection, query: str, values: tuple[object, ...] = ()) -> int:
    """The one number that a query gives; 0 where it gives none."""
    row = db.execute(query, values).fetchone()
    return int(row[0]) if row else 0
