"""Rows of `series`: the facts of a series' clean instances, brought together as the contract says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from curate import contract
from curate.core.records import Row
from curate.dicom.geometry import volume_parts

Facts = Mapping[str, Any]
_INDEXED = re.compile(r"(\w+)\[(\d)\]")
GRID = "grid"  # among an instance's facts: its part of a volume
_NESTED = ("SegmentSequence", "StructureSetROISequence", "RTROIObservationsSequence")
_DUMMY = "REMOVED"


@cache
def keywords() -> tuple[str, ...]:
    """The attributes that the facts of an instance must hold."""
    wanted: dict[str, None] = {}
    for column in contract.table("series").columns:
        if column.source and column.source != "TransferSyntaxUID":
            first = column.source.split(".")[0]
            wanted[first if first in _NESTED else _INDEXED.sub(r"\1", column.source)] = None
    return tuple(wanted)


@cache
def _columns() -> tuple[tuple[contract.Column, str, tuple[str, ...], int | None], ...]:
    """The columns that facts fill: with the attribute, the path below it, and the place among its values."""
    found = []
    for column in contract.table("series").columns:
        if column.source:
            indexed = _INDEXED.fullmatch(column.source)
            first, *path = column.source.split(".")
            nested = first in _NESTED
            name = indexed[1] if indexed else first if nested else column.source
            place = int(indexed[2]) if indexed else None
            found.append((column, name, tuple(path) if nested else (), place))
    return tuple(found)


def series_row(facts: Sequence[Facts]) -> Row:
    """The technical columns of one series from the facts of its instances, in slice order."""
    row: Row = {}
    for column, name, path, place in _columns():
        values = [_said(_value(value, path, place)) for value in _different(facts, name)]
        row[column.name] = _typed(_aggregate(column.aggregate, values), column.type)
    regular, spacing = volume_parts.regular([instance[GRID] for instance in facts])
    row["regular_volume"], row["slice_spacing_mm"] = regular, spacing
    return row


def _different(facts: Sequence[Facts], name: str) -> Sequence[Any]:
    """The values that instances have of one attribute, each object once: a series shares most of them."""
    every = [instance.get(name) for instance in facts]
    if every and every.count(every[0]) == len(every):
        return every[:1]
    return list({id(value): value for value in every}.values())


def contradictions(facts: Sequence[Facts]) -> list[str]:
    """The attributes on which the instances of a series must agree, and don't: no row could say what they say."""
    return [
        column.source
        for column, name, path, place in _columns()
        if column.aggregate == "agreed"
        and len({_said(_value(value, path, place)) for value in _different(facts, name)} - {None}) > 1
    ]


def _said(value: Any) -> Any:
    """A value, or None where it is the profile's dummy: an attribute of type 1 can't be empty."""
    if isinstance(value, list):
        return [entry for entry in value if entry != _DUMMY] or None
    return None if value == _DUMMY else value


def _value(value: Any, path: tuple[str, ...], place: int | None) -> Any:
    if place is not None:
        return value[place] if isinstance(value, list) and len(value) > place else None
    return list(_walk(value, path)) if path else value


def _walk(value: Any, path: Sequence[str]) -> Iterable[Any]:
    """All values of a path through all items of nested sequences."""
    if not path:
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item.get(path[0]) if isinstance(item, dict) else None, path[1:])


def _aggregate(how: str, values: Sequence[Any]) -> Any:
    if how == "first":
        return values[0] if values else None
    if how == "constant":
        first = values[0] if values else None
        return first if all(value == first for value in values) else None
    flat = [entry for entry in _flattened(values) if entry is not None]
    if how == "agreed":
        return flat[0] if len(set(flat)) == 1 else None
    if how == "count_distinct":
        return len(set(flat)) or None
    if not flat:
        return None
    if how == "distinct":
        return sorted(set(flat))
    return min(flat) if how == "min" else max(flat)


def _flattened(values: Iterable[Any]) -> Iterable[Any]:
    for value in values:
        if isinstance(value, list):
            yield from _flattened(value)
        else:
            yield value


def _typed(value: Any, kind: str) -> Any:
    """A value as its column has it; null where it does not fit, such as several values for one."""
    if value is None:
        return None
    if kind.startswith("list<"):
        return [_scalar(v, kind[5:-1]) for v in (value if isinstance(value, list) else [value]) if v is not None]
    return None if isinstance(value, list | dict) else _scalar(value, kind)


def _scalar(value: Any, kind: str) -> Any:
    try:
        if kind == "string":
            return str(value)
        number = float(value)
        if not math.isfinite(number):
            return None
        return number if kind == "float64" else int(number)
    except (TypeError, ValueError):  # a value of another kind is none: the column is nullable
        return None
