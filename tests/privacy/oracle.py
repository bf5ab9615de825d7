"""Slow counts that share no code with `curate.privacy`: plain Python over sets, for small tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

Rows = list[dict[str, Any]]


def alone(table: pa.Table, columns: Sequence[str]) -> dict[str, int]:
    """For each donor: with how many donors, itself included, it shares all that is published of it."""
    said: dict[tuple[str, int], Counter[tuple[Any, ...]]] = defaultdict(Counter)
    for row in table.to_pylist():
        said[row["donor_id"], row.get("part", 0)][tuple(row[name] for name in columns)] += 1
    return _shared({key: frozenset(rows.items()) for key, rows in said.items()})


def together(releases: Sequence[pa.Table], columns: Sequence[str], trees: dict[str, dict[str, Any]]) -> dict[str, int]:
    """The same over the intersection of all releases; `trees[column][value]` is its path to the root."""
    cells: dict[str, dict[str, frozenset[Any]]] = {}
    first: dict[str, tuple[int, tuple[str, int]]] = {}
    for index, release in enumerate(releases):
        for row in release.to_pylist():
            study = cells.setdefault(row["study_id"], {})
            first.setdefault(row["study_id"], (index, (row["donor_id"], row.get("part", 0))))
            for name in columns:
                if row[name] is not None:
                    means = meaning(row[name], trees.get(name))
                    study[name] = study.get(name, means) & means
    said: dict[tuple[str, int], Counter[Any]] = defaultdict(Counter)
    for study, (index, unit) in first.items():
        said[unit][(index, frozenset(cells[study].items()))] += 1
    return _shared({key: frozenset(rows.items()) for key, rows in said.items()})


def meaning(text: str, tree: dict[str, Any] | None) -> frozenset[Any]:
    """All values for which a published text may stand."""
    if tree is not None:
        return frozenset(value for value, path in tree.items() if text in path)
    if text.endswith("+"):
        return frozenset(range(int(text[:-1]), 2000))
    if text.replace("-", "").isdigit():
        low, _, high = text.partition("-")
        return frozenset(range(int(low), int(high or low) + 1))
    return frozenset([text])


def _shared(said: dict[tuple[str, int], Any]) -> dict[str, int]:
    groups: dict[Any, set[str]] = defaultdict(set)
    for (donor, _), rows in said.items():
        groups[rows].add(donor)
    least: dict[str, int] = {}
    for (donor, _), rows in said.items():
        least[donor] = min(least.get(donor, len(groups[rows])), len(groups[rows]))
    return least
