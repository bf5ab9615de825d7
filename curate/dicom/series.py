"""Rows of `series`: the facts of a series' clean instances, brought together as the contract says."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from curate import contract
from curate.records import Row

Facts = Mapping[str, Any]
_INDEXED = re.compile(r"(\w+)\[(\d)\]")
_GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns")
_NESTED = ("SegmentSequence", "StructureSetROISequence", "RTROIObservationsSequence")
_DUMMY = "REMOVED"
_TOLERANCE_MM = 0.01
_RELATIVE_TOLERANCE = 0.01


@cache
def keywords() -> tuple[str, ...]:
    """The attributes that the facts of an instance must hold."""
    wanted = dict.fromkeys(_GEOMETRY)
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
    regular, spacing = volume(facts)
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
        return [
            _scalar(v, kind[5:-1]) for v in (value if isinstance(value, list) else [value]) if v is not None
        ]
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


def volume(facts: Sequence[Facts]) -> tuple[bool | None, float | None]:
    """Whether the instances form a regular volume, and the distance between its slices in mm.

    Regular: one orientation with orthogonal unit vectors, one size and pixel spacing, the same in-plane
    origin, and slice positions along the normal that are distinct and equally far apart (within 1%).
    Null where an instance lacks position or orientation (PS3.3 C.7.6.2).
    """
    geometry = [_geometry(instance) for instance in facts]
    known = [g for g in geometry if g is not None]
    if not known or len(known) < len(geometry):
        return None, None
    first = known[0]
    normal = _cross(first[1], first[2])
    if abs(_dot(first[1], first[2])) > 1e-3 or abs(_dot(normal, normal) - 1) > 1e-2:
        return False, None
    for origin, row, column, shape in known:
        moved = [a - b for a, b in zip(origin, first[0], strict=True)]
        shifted = abs(_dot(moved, first[1])) > _TOLERANCE_MM or abs(_dot(moved, first[2])) > _TOLERANCE_MM
        turned = max(abs(a - b) for a, b in zip(row + column, first[1] + first[2], strict=True)) > 1e-4
        if shifted or turned or shape != first[3]:
            return False, None
    return _even([_dot(g[0], normal) for g in known])


def _even(positions: list[float]) -> tuple[bool | None, float | None]:
    if len(positions) < 2:
        return False, None
    gaps = [b - a for a, b in zip(sorted(positions), sorted(positions)[1:], strict=False)]
    mean = sum(gaps) / len(gaps)
    if mean < _TOLERANCE_MM or any(abs(gap - mean) > _RELATIVE_TOLERANCE * mean for gap in gaps):
        return False, None
    return True, round(mean, 6)


_Geometry = tuple[list[float], list[float], list[float], tuple[Any, ...]]


def _geometry(facts: Facts) -> _Geometry | None:
    position, orientation = facts.get("ImagePositionPatient"), facts.get("ImageOrientationPatient")
    if not (isinstance(position, list) and len(position) == 3):
        return None
    if not (isinstance(orientation, list) and len(orientation) == 6):
        return None
    if any(value is None for value in position + orientation):
        return None
    shape = (facts.get("Rows"), facts.get("Columns"), facts.get("PixelSpacing"))
    return position, orientation[:3], orientation[3:], shape


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def _cross(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
