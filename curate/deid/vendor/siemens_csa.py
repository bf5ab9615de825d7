"""Siemens' CSA headers rebuilt: of the fields that are known, in the form that they came in (`curate.dicom.csa`)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache, lru_cache

from curate.deid import grammar
from curate.deid.vendor import forms, numbers, siemens_protocol
from curate.dicom import csa

_VERSION = b"\4\3\2\1"
_MINIMUM = 6  # items of a field, the empty ones among them, as the vendor writes it
_UNUSED = 205
_CODES = {"IS": 6, "DS": 3, "FD": 4, "FL": 5, "US": 10, "UL": 9, "SL": 7, "CS": 16, "SH": 22, "LO": 19, "UN": 0}
_ITEM = struct.Struct("<4i")


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
        kept = [
            (name, values) for name, found in csa.fields(raw, fields()) if (values := _clean(fields()[name], found))
        ]
    except csa.NotCsaError:  # its caller says so
        return None
    return _written(kept, marked=raw.startswith(csa.MARK)) if kept else b""


def _clean(known: Field, items: list[bytes]) -> list[bytes]:
    """The clean values of one field; none where one does not pass."""
    values = csa.values(items)
    if not values or len(values) > known.most or (known.vr != "UN" and any(b"\\" in value for value in values)):
        return []
    name, argument = grammar.parse_grammar(known.grammar)
    if name == "protocol":
        text = siemens_protocol.rebuild(items[0])
        return [text] if text else []
    if name == "times":
        return _times(values)
    vr = "DS" if known.vr in ("DS", "IS", "FD", "FL", "US", "UL", "SL") else known.vr
    cleaned = _GRAMMARS[name](argument, vr, b"\\".join(values))
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
    head = csa.MARK + _VERSION if marked else b""
    chunks = [head, csa.LENGTH.pack(len(kept), csa.USED)]
    first = max(_MINIMUM, len(kept[0][1]))
    for name, values in kept:
        known = fields()[name]
        number = max(_MINIMUM, len(values))
        vr = known.vr.encode()
        chunks.append(csa.FIELD.pack(name, known.most, vr, _CODES[known.vr], number, csa.USED))
        for place in range(number):
            value = values[place] + b"\0" if place < len(values) and values[place] else b""
            length = len(value) if marked else len(value) + first
            chunks.append(_ITEM.pack(length, len(value), csa.USED if value else _UNUSED, len(value)))
            chunks.append(value + bytes(-len(value) % 4))
    return b"".join(chunks) + bytes(4)
