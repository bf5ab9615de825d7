"""Siemens' CSA headers as they lie in (0029,xx10) and (0029,xx20): named fields, each with items of text.

There are two forms: one that begins with SV10, and an older one without that mark. What is known of them is from
nibabel's documentation (https://nipy.org/nibabel/dicom/siemens_csa.html). Numbers are little endian.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator

MARK = b"SV10"
FIELD = struct.Struct("<64si4siii")
LENGTH = struct.Struct("<ii")
USED = 77
_LARGEST = 4 << 20  # bytes of a block; those of scanners have some hundred thousand
_MOST_FIELDS, _MOST_ITEMS = 512, 4096


class NotCsaError(ValueError):
    """The block is no CSA header."""


def fields(raw: bytes, wanted: Container[bytes]) -> Iterator[tuple[bytes, list[bytes]]]:
    """Name and items (with what pads them) of each wanted field, once; the lengths of all others are checked.

    Raises:
        NotCsaError: a count or a length that no header has.
    """
    marked = raw.startswith(MARK)
    start = 8 if marked else 0
    if len(raw) > _LARGEST or len(raw) < start + LENGTH.size:
        raise NotCsaError
    count, sign = LENGTH.unpack_from(raw, start)
    if sign != USED or not 0 < count <= _MOST_FIELDS:
        raise NotCsaError
    place, first, seen = start + LENGTH.size, 0, set[bytes]()
    for number in range(count):
        if place + FIELD.size > len(raw):
            raise NotCsaError
        name, _vm, _vr, _code, length, _sign = FIELD.unpack_from(raw, place)
        name = name.partition(b"\0")[0]
        first = first if number else length
        items, place = _items(raw, place + FIELD.size, length, None if marked else first)
        if name in wanted and name not in seen:
            seen.add(name)
            yield name, items


def _items(raw: bytes, place: int, number: int, shift: int | None) -> tuple[list[bytes], int]:
    """The items of a field that are not empty, and where the next field begins.

    The older form adds to each length how many items its first field has: `shift`.
    """
    if not 0 <= number <= _MOST_ITEMS:
        raise NotCsaError
    items = []
    for _ in range(number):
        if place + 16 > len(raw):
            raise NotCsaError
        shifted, length = LENGTH.unpack_from(raw, place)
        length = length if shift is None else shifted - shift
        place += 16
        if length < 0 or place + length > len(raw):
            raise NotCsaError
        if length:
            items.append(raw[place : place + length])
        place += length + 3 & ~3
    return items, place


def values(items: list[bytes]) -> list[bytes]:
    """The texts of items, each to its first zero, without the empty ones at the end."""
    found = [item.partition(b"\0")[0].strip(b" ") for item in items]
    while found and not found[-1]:
        found.pop()
    return found
