"""Names of pulse sequences and coils: from closed lists by vendor, with numbers that exist.

A number that a sequence's name goes on with (`ep_b1000#4`, `epfid2d1_64`) passes here by its form; at the top of a
data set `stated` takes it out unless the instance's own attributes state it, and within a sequence it goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache

from curate.deid.grammar import data, even

_REST = re.compile(r"(?:[23]D\d?)?(?:RR|RS|NS|TLNS|VFL|_CE|R|T(?!\d)|_?B\d{1,5}T?|#\d{1,3}|_?[TR]?\d{1,3}|_(?=NS|\Z))*")
_DIMENSIONS = re.compile(r"[23][dD]\d?")
NUMBERED = re.compile(r"(#|_?[bB]|_?[tTrR]?)(\d{1,5})([tT]?)")
_SIGNS = frozenset(" -_/;:,.+&()#")
_PART = re.compile(r"[A-Z]+|\d+|[^A-Z\d]+")


@cache
def _known(kind: str, part: str) -> frozenset[str]:
    return frozenset(data("equipment.json")[kind][part].split())


def _values(raw: bytes) -> list[str]:
    return [value.strip(" \0") for value in raw.decode("ascii", "replace").strip(" \0").split("\\")]


def _written(kept: list[str], raw: bytes, limit: int) -> bytes | None:
    """Values joined again; None where nothing of what was there is known."""
    kept = [value[:limit].strip() for value in kept if value]
    if not kept:
        return None if raw.strip(b" \0") else b""
    return even("\\".join(kept).encode(), b" ")


def sequence(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A pulse sequence's name in its vendor's terms, such as `*fl2d1` or `ep_b1000#4`."""
    return _written([_sequence(value) for value in _values(raw)], raw, 16)


def bare_sequence(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """The same within a sequence of items, without the numbers that nothing beside it states."""
    return _written([without_numbers(_sequence(value), _none) for value in _values(raw)], raw, 16)


def _none(_kind: str, _number: int) -> bool:
    return False


@lru_cache(maxsize=4096)
def _sequence(text: str) -> str:
    upper = text.upper().lstrip("*")
    if len(text) - len(upper) > 2:
        return ""
    if upper in _known("sequences", "words") or upper in _known("sequences", "whole"):
        return text
    return text if _family(upper) else ""


@lru_cache(maxsize=4096)
def _family(upper: str) -> str:
    """The longest family of sequences that a name begins with, where the rest is of the vendor's form."""
    families = (upper[:length] for length in range(min(len(upper), 12), 0, -1))
    found = (name for name in families if name in _known("sequences", "families"))
    return next((name for name in found if _REST.fullmatch(upper, len(name))), "")


def without_numbers(text: str, stated: Callable[[str, int], bool]) -> str:
    """A sequence's name without the numbers that are not `stated`: of a b-value (`B`), a direction (`#`), or others."""
    upper = text.upper().lstrip("*")
    if upper in _known("sequences", "words") or upper in _known("sequences", "whole"):
        return text
    start = len(text) - len(upper) + len(_family(upper))
    dimensions = _DIMENSIONS.match(text, start)
    start = dimensions.end() if dimensions else start

    def kept(match: re.Match[str]) -> str:
        kind = match[1].strip("_").upper()
        return match[0] if stated(kind if kind in ("B", "#") else "", int(match[2])) else ""

    return (text[:start] + NUMBERED.sub(kept, text[start:])).rstrip("_")


def coil(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A coil's name: one that a vendor has as it is, else the words and counts of channels in it that are known."""
    return _written([_coil(value) for value in _values(raw)], raw, 64)


@lru_cache(maxsize=4096)
def _coil(text: str) -> str:
    upper = " ".join(text.upper().split())
    if upper in _known("coils", "whole") or upper == "REMOVED":
        return upper
    parts = _PART.findall(upper)
    if parts and all(_is_coils(parts, place) for place in range(len(parts))):
        return upper
    kept = [part for part in parts if part in _known("coils", "words")]
    return " ".join(kept) if any(len(part) > 2 for part in kept) else ""


def _is_coils(parts: list[str], place: int) -> bool:
    """Whether a part of a name is a coil's word, a sign, or a number beside a word: its channels or elements."""
    part = parts[place]
    if not part.isdigit():
        known = part in _known("coils", "words") or part in _known("coils", "elements")
        return known or _SIGNS.issuperset(part)
    return part in _known("coils", "counts") and len(parts) > 1 and sum(map(str.isdigit, parts)) <= 2
