"""Siemens' protocol as text (`### ASCCONV BEGIN`): lines of known keys with numbers, or with words of closed lists.

It stands in the series' CSA header, and alone in the private groups of the XA versions. What is around it (the
protocol as XML-like text, with names of persons and of sites) is never read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from curate.deid import grammar
from curate.deid.vendor import forms, numbers

_BEGIN, _END = b"### ASCCONV BEGIN", b"### ASCCONV END"
_HEAD, _TAIL = b"### ASCCONV BEGIN ###\n", b"### ASCCONV END ###\n"
_LARGEST = 4 << 20  # bytes; those of scanners have some hundred thousand
_MOST_LINES = 2000
_LINE = re.compile(rb"^([A-Za-z_][A-Za-z0-9_.\[\]]{0,120})[ \t]*=[ \t]*([^\r\n]{1,200}?)[ \t\r]*$", re.M)
_INDEX = re.compile(r"\[(\d{1,2}|1[01]\d|12[0-7])\]")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,4}")
_TEXT = re.compile(r'("{1,2})([^"]{1,100})\1')


@dataclass(frozen=True, slots=True)
class Key:
    """One known key, its indices left out: the grammar of its value, and what it says."""

    grammar: str
    why: str


@cache
def keys() -> dict[str, Key]:
    """The known keys, `[]` for each index."""
    return {e["key"]: Key(e["grammar"], e["why"]) for e in grammar.data("vendor_fields.json")["protocol"]}


@lru_cache(maxsize=64)
def rebuild(raw: bytes) -> bytes | None:
    """The protocol of the lines that are known, in their order, each key once; empty where none is.

    None where there is no protocol, or one too large.
    """
    if len(raw) > _LARGEST:
        return None
    start = raw.find(_BEGIN)
    stop = raw.find(_END, start)
    if start < 0 or stop < 0:
        return None
    start = raw.find(b"\n", start, stop)
    kept: dict[bytes, bytes] = {}
    for match in _LINE.finditer(raw, start, stop) if start >= 0 else ():
        key = match[1].decode("ascii")
        if match[1] in kept or len(kept) == _MOST_LINES:
            continue
        known = keys().get(_INDEX.sub("[]", key))
        value = _value(known, match[2]) if known else ""
        if value:
            kept[match[1]] = value.encode("ascii")
    return _HEAD + b"".join(b"%s\t = \t%s\n" % line for line in kept.items()) + _TAIL if kept else b""


def element(_argument: str, vr: str, raw: bytes) -> bytes | None:
    """The protocol as a private element of its own."""
    made = rebuild(raw) if vr in ("OB", "UN", "UT", "LT") else None
    return None if made is None else grammar.even(made, b"\0")


def _value(known: Key, raw: bytes) -> str:
    text = raw.decode("ascii", "replace")
    name, argument = grammar.parse_grammar(known.grammar)
    if name in ("num", "rounded"):
        return _number(name, argument, text)
    quoted = _TEXT.fullmatch(text)
    if quoted is None:
        return ""
    if name == "coils":
        return text if forms.is_coil(quoted[2]) else ""
    found = _sequence(quoted[2], argument)
    return f"{quoted[1]}{found}{quoted[1]}" if found else ""


def _sequence(text: str, words: str) -> str:
    """A pulse sequence's file; of one that a site has made, the known sequence that its name ends with."""
    folder, _, name = text.rpartition("\\")
    parts = name.split("_")
    names = (f"{folder}\\{'_'.join(parts[first:])}" for first in range(len(parts)))
    return next((one for one in names if forms.is_of(words, one)), "")


def _number(name: str, argument: str, text: str) -> str:
    if name == "num" and _HEX.fullmatch(text):
        low, high = grammar.bounds(argument)
        return text.lower() if low <= int(text, 16) <= high else ""
    made = (numbers.rounded if name == "rounded" else grammar.number)(argument, "DS", text.encode())
    return made.decode().strip() if made else ""
