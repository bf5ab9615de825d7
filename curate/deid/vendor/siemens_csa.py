"""Siemens' CSA headers (0029,xx10) and (0029,xx20): of the form SV10 and of the older one without that mark.

A header is a list of named fields, each with items of text; nothing in it but these is read. What is known of the
form is from nibabel's documentation (https://nipy.org/nibabel/dicom/siemens_csa.html). Numbers are little endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from curate.deid import grammar
from curate.deid.vendor import forms, numbers, siemens_protocol

_MARK, _VERSION = b"SV10", b"\4\3\2\1"
_LARGEST = 4 << 20  # bytes of a block; those of scanners have some hundred thousand
_MOST_FIELDS, _MOST_ITEMS = 512, 4096
_MINIMUM = 6  # items of a field, the empty ones among them, as the vendor writes it
_USED, _UNUSED = 77, 205
_CODES = {"IS": 6, "DS": 3, "FD": 4, "FL": 5, "US": 10, "UL": 9, "SL": 7, "CS": 16, "SH": 22, "LO": 19, "UN": 0}
_FIELD = struct.Struct("<64si4siii")
_LENGTH = struct.Struct("<ii")
_ITEM = struct.Struct("<4i")


class _NotOfTheFormError(ValueError):
    """The block is no CSA header."""


@dataclass(frozen=True, slots=True)
class Field:
    """One known field: its VR, how many values it has at most, and their grammar."""

    vr: str
    most: int
    grammar: str
    why: str


@cache
def fields() -> dict[bytes, Field]:
    """The known fields by name."""
    return {
        entry["name"].encode(): Field(entry["vr"], entry["most"], entry["grammar"], entry["why"])
        for entry in grammar.data("vendor_fields.json")["csa"]
    }


@lru_cache(maxsize=64)  # the series' header is the same in all its instances
def rebuild(_argument: str, vr: str, raw: bytes) -> bytes | None:
    """The header of the fields that are known, each with clean values; empty where none is, None: no such header."""
    if vr != "OB" or not raw:
        return None if raw else b""
    try:
        kept = [(name, values) for name, found in _read(raw) if (values := _clean(fields()[name], found))]
    except _NotOfTheFormError:  # its caller says so
        return None
    return _written(kept, marked=raw.startswith(_MARK)) if kept else b""


def _read(raw: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    """Name and items of each known field, once; all others are passed over, with their lengths checked.

    Raises:
        _NotOfTheFormError: a count or a length that no header has.
    """
    marked = raw.startswith(_MARK)
    start = 8 if marked else 0
    if len(raw) > _LARGEST or len(raw) < start + 8:
        raise _NotOfTheFormError
    count, sign = _LENGTH.unpack_from(raw, start)
    if sign != _USED or not 0 < count <= _MOST_FIELDS:
        raise _NotOfTheFormError
    place, first, known, seen = start + 8, None, fields(), set[bytes]()
    for _ in range(count):
        if place + _FIELD.size > len(raw):
            raise _NotOfTheFormError
        name, _vm, _vr, _code, number, _sign = _FIELD.unpack_from(raw, place)
        name = name[: name.find(b"\0")] if b"\0" in name else name
        place += _FIELD.size
        if not 0 <= number <= _MOST_ITEMS:
            raise _NotOfTheFormError
        first = number if first is None else first
        items = []
        wanted = name in known and name not in seen
        for _ in range(number):
            if place + 16 > len(raw):
                raise _NotOfTheFormError
            shifted, length = _LENGTH.unpack_from(raw, place)
            length = length if marked else shifted - first
            place += 16
            if length < 0 or place + length > len(raw):
                raise _NotOfTheFormError
            if length and wanted:
                items.append(raw[place : place + length])
            place += length + 3 & ~3
        if wanted:
            seen.add(name)
            yield name, items


def _clean(known: Field, items: list[bytes]) -> list[bytes]:
    """The clean values of one field; none where one does not pass."""
    values = [item.split(b"\0", 1)[0].strip(b" ") for item in items]
    while values and not values[-1]:
        values.pop()
    if not values or len(values) > known.most or (known.vr != "UN" and any(b"\\" in value for value in values)):
        return []
    name, _, argument = known.grammar.partition("(")
    if name == "protocol":
        text = siemens_protocol.rebuild(items[0])
        return [text] if text else []
    if name == "times":
        return _times(values)
    vr = "DS" if known.vr in ("DS", "IS", "FD", "FL", "US", "UL", "SL") else known.vr
    cleaned = _GRAMMARS[name](argument[:-1], vr, b"\\".join(values))
    return [part.strip(b" ") for part in cleaned.split(b"\\")] if cleaned and cleaned.strip(b" \\") else []


_GRAMMARS = {
    "num": grammar.number,
    "exact": grammar.exact,
    "words": grammar.words,
    "form": forms.text,
    "coils": forms.coil,
    "ice": forms.ice_dimensions,
}


def _times(values: list[bytes]) -> list[bytes]:
    checked = grammar.exact("-86400000,86400000", "DS", b"\\".join(values))
    if not checked:
        return []
    found = numbers.relative([float(part or "nan") for part in grammar.split(checked)])
    return [f"{value:.4f}".encode() for value in found] if found else []


def _written(kept: list[tuple[bytes, list[bytes]]], *, marked: bool) -> bytes:
    """A header of these fields, in the form that it came in."""
    head = _MARK + _VERSION if marked else b""
    chunks = [head, _LENGTH.pack(len(kept), _USED)]
    first = max(_MINIMUM, len(kept[0][1]))
    for name, values in kept:
        known = fields()[name]
        number = max(_MINIMUM, len(values))
        vr = known.vr.encode()
        chunks.append(_FIELD.pack(name, known.most, vr, _CODES[known.vr], number, _USED))
        for place in range(number):
            value = values[place] + b"\0" if place < len(values) and values[place] else b""
            length = len(value) if marked else len(value) + first
            chunks.append(_ITEM.pack(length, len(value), _USED if value else _UNUSED, len(value)))
            chunks.append(value + bytes(-len(value) % 4))
    return b"".join(chunks) + bytes(4)
