"""What the changelog tells of a version: the difference of its tables to those of the version before."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from curate import contract
from curate.core.records import Changes
from curate.privacy.counts import count_table, suppress_counts
from curate.verify.compare import TableDiff, compare

_COMPARED = ("studies", "series")  # a study's digest stands for its instances


def changes(before: Path, after: Path, rows: Mapping[str, int], k: int | None) -> Changes:
    """How the manifest `after` differs from `before`; of persons no count below `k` that can be worked out.

    What was withdrawn since is in neither: the version before lost it at once.
    """
    tables, licenses = compare(*({name: place / f"{name}.parquet" for name in _COMPARED} for place in (before, after)))
    studies, series = tables
    both = studies.rows_after - studies.added
    return Changes(
        {name: rows[name] for name in ("studies", "series", "instances")},
        series.added,
        _shown(studies.changed, both, k),
        {name: _shown(count, both, k) if _of_person(name) else count for name, count in studies.columns.items()},
        licenses,
        _named(tables, "columns_added"),
        _named(tables, "columns_removed"),
    )


def _of_person(name: str) -> bool:
    return contract.table("studies").column(name).role == "quasi-identifier"


def _shown(count: int, studies: int, k: int | None) -> int | None:
    """A count of the studies that both versions hold, if the table of it may show it."""
    if k is None or not count:
        return count
    table = count_table("changed", ("changed",), {("yes",): count, ("no",): studies - count})
    return suppress_counts(table, k).published().get(("yes",))


def _named(tables: tuple[TableDiff, ...], what: str) -> tuple[str, ...]:
    return tuple(f"{table.name}.{column}" for table in tables for column in getattr(table, what))
