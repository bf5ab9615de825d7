"""What changed between two tables of a key, or all tables of two releases: one hash join each, as a stream."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from curate import contract
from curate.core.errors import DamagedError, InputError

IGNORED = frozenset({"release_version"})  # differs in every row of every version
_MEMORY = "600MB"


@dataclass(frozen=True, slots=True)
class TableDiff:
    """One table: rows of both sides, rows added, removed and changed; `columns` counts changed values."""

    name: str
    rows_before: int
    rows_after: int
    added: int
    removed: int
    changed: int
    columns: Mapping[str, int] = field(default_factory=dict)
    columns_added: tuple[str, ...] = ()
    columns_removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Diff:
    """Two releases or tables; `licenses` maps an SPDX id to its studies before and after, where they differ."""

    before: str
    after: str
    tables: tuple[TableDiff, ...]
    licenses: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not any(t.added or t.removed or t.changed or t.columns_added or t.columns_removed for t in self.tables)


def compare(
    before: Mapping[str, Path], after: Mapping[str, Path]
) -> tuple[tuple[TableDiff, ...], dict[str, tuple[int, int]]]:
    """The manifest tables of two releases by the keys of the contract, and the licences whose counts differ.

    Raises:
        DamagedError: a table cannot be read.
    """
    found = tuple(compare_tables(name, before[name], after[name], contract.table(name).key) for name in before)
    return found, _licenses(before["studies"], after["studies"])


def compare_tables(name: str, before: Path, after: Path, key: Sequence[str]) -> TableDiff:
    """Compare two files by one hash join in duckdb, which spills to disk above its limit of memory.

    Raises:
        InputError: a column of the key is missing, or the key is not unique.
        DamagedError: a file cannot be read.
    """
    old, new = _columns(before), _columns(after)
    missing = [column for column in key if column not in old or column not in new]
    if missing:
        raise InputError(f"{name} has no column {missing[0]} on both sides.", hint="Name another --key.")
    common = [column for column in old if column in new and column not in {*key, *IGNORED}]
    with tempfile.TemporaryDirectory(prefix="curate-diff-") as spill, duckdb.connect() as db:
        db.execute(f"SET memory_limit='{_MEMORY}'; SET preserve_insertion_order=false")
        db.execute(f"SET temp_directory={_text(spill)}")
        try:
            _refuse_doubled(db, name, before, after, key)
            row = db.execute(_query(before, after, key, common)).fetchone() or ()
        except duckdb.Error:
            raise DamagedError(f"The table {name} cannot be compared.", hint="Run `curate check` on it.") from None
    numbers = [int(number or 0) for number in row]
    values = {column: count for column, count in zip(common, numbers[5:], strict=True) if count}
    gone = tuple(column for column in old if column not in new)
    extra = tuple(column for column in new if column not in old)
    rows, others, added, removed, changed = numbers[:5]
    return TableDiff(name, rows, others, added, removed, changed, values, extra, gone)


def _columns(path: Path) -> list[str]:
    try:
        return list(pq.read_schema(path).names)
    except (pa.ArrowException, OSError):
        raise InputError(f"{path} is not a Parquet file.", hint="Name a release or a Parquet file.") from None


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _refuse_doubled(db: duckdb.DuckDBPyConnection, name: str, before: Path, after: Path, key: Sequence[str]) -> None:
    columns = ", ".join(map(_name, key))
    for path in (before, after):
        query = f"SELECT 1 FROM read_parquet({_text(path)}) GROUP BY {columns} HAVING count(*) > 1 LIMIT 1"
        if db.execute(query).fetchone():
            raise InputError(f"{', '.join(key)} does not identify a row of {name}.", hint="Name more columns as --key.")


def _query(before: Path, after: Path, key: Sequence[str], common: Sequence[str]) -> str:
    on = " AND ".join(f"a.{_name(k)} IS NOT DISTINCT FROM b.{_name(k)}" for k in key)
    differs = [f"a.{_name(c)} IS DISTINCT FROM b.{_name(c)}" for c in common]
    both = "a._here AND b._here"
    changed = f"count(*) FILTER ({both} AND ({' OR '.join(differs) or 'false'}))"
    counts = "".join(f", count(*) FILTER ({both} AND {condition})" for condition in differs)
    return (
        "SELECT count(a._here), count(b._here), count(*) FILTER (a._here IS NULL),"
        f" count(*) FILTER (b._here IS NULL), {changed}{counts}"
        f" FROM (SELECT true AS _here, * FROM read_parquet({_text(before)})) a"
        f" FULL OUTER JOIN (SELECT true AS _here, * FROM read_parquet({_text(after)})) b ON {on}"
    )


def _licenses(before: Path, after: Path) -> dict[str, tuple[int, int]]:
    query = "SELECT license, count(*) FROM read_parquet({}) GROUP BY license"
    with duckdb.connect() as db:
        old, new = (dict(db.execute(query.format(_text(p))).fetchall()) for p in (before, after))
    names = sorted(old.keys() | new.keys())
    return {n: (old.get(n, 0), new.get(n, 0)) for n in names if old.get(n, 0) != new.get(n, 0)}
