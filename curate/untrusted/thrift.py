"""Thrift's compact protocol, as far as Parquet's page heads need it, read with distrust.

Every length is bounded by the data, nesting by a depth, and numbers by their 10 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_DEEPEST, _MOST_FIELDS, _LONGEST_TEXT = 6, 64, 1 << 16


@dataclass(frozen=True, slots=True)
class Fields:
    """A struct's numbers, texts and structs by their field, and the offset behind it."""

    values: dict[int, Any]
    end: int


def fields(data: Any, position: int, depth: int = 0) -> Fields:
    """The struct that begins at an offset.

    Raises:
        ValueError: it is none.
        IndexError: it goes beyond the data.
    """
    if depth > _DEEPEST:
        raise ValueError("nested too deeply")
    found: dict[int, Any] = {}
    field = 0
    while head := data[position]:
        if head >> 4:
            field, position = field + (head >> 4), position + 1
        else:
            step, position = varint(data, position + 1)
            field = zigzag(step)
        found[field], position = _value(data, position, head & 15, depth)
        if len(found) > _MOST_FIELDS:
            raise ValueError("too many fields")
    return Fields(found, position + 1)


def _value(data: Any, position: int, kind: int, depth: int) -> tuple[Any, int]:
    """A value and the offset behind it: booleans lie in the head, numbers are varints."""
    if kind in (1, 2):
        return kind == 1, position
    if kind == 3:
        return data[position], position + 1
    if kind in (4, 5, 6):
        number, position = varint(data, position)
        return zigzag(number), position
    if kind == 7:
        return None, position + 8
    if kind == 8:
        length, position = varint(data, position)
        if length > _LONGEST_TEXT:
            raise ValueError("a text too long")
        return bytes(data[position : position + length]), position + length
    if kind == 12:
        inner = fields(data, position, depth + 1)
        return inner.values, inner.end
    raise ValueError("an unknown kind of field")


def varint(data: Any, position: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and the offset behind it."""
    value = shift = 0
    while shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError("a number too long")


def zigzag(value: int) -> int:
    """A signed number of its unsigned form."""
    return (value >> 1) ^ -(value & 1)
