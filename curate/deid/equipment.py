"""Vendor, model, software and kernel: what harmonisation needs, from closed vocabularies."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from curate.deid.grammar import data, even

_PUNCTUATION = re.compile(r"[^A-Z0-9+./_ -]+")
# behind one number only the patch letters that vendors use: an F would stand beside somebody's year of birth, too
_VERSION = re.compile(r"([A-Z]{0,3})(\d{1,2}(?:\.\d{1,2}){0,2})((?<=\.\d)[A-Z]|(?<=\.\d\d)[A-Z]|[A-E]|)")
_STRENGTH = re.compile("[1-7]")
_LATEST_DOTTED = 31  # what a part of a version may reach: higher ones are met in years of birth
_MOST_DIGITS = 8


@cache
def _vendors() -> dict[str, str]:
    return {alias: name for name, aliases in data("equipment.json")["vendors"].items() for alias in aliases} | {
        name.upper(): name for name in data("equipment.json")["vendors"]
    }


@cache
def _words(kind: str) -> frozenset[str]:
    return frozenset(data("equipment.json")[kind].split())


def _values(raw: bytes) -> list[str]:
    return raw.decode("ascii", "replace").strip(" \0").split("\\")


def _written(values: list[str], raw: bytes, limit: int = 64) -> bytes | None:
    """Values joined again; None where nothing of what was there is known."""
    kept = [value[:limit].strip() for value in values if value]
    if not kept:
        return None if raw.strip(b" \0") else b""
    return even("\\".join(kept).encode(), b" ")


def _plain(text: str) -> str:
    return " ".join(_PUNCTUATION.sub(" ", text.upper()).split())


def vendor(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A known vendor's canonical name."""
    return _written([_vendor(value) for value in _values(raw)], raw)


@lru_cache(maxsize=4096)
def _vendor(text: str) -> str:
    bare = " ".join(text.upper().replace("_", " ").split()).rstrip(". ")
    known = _vendors()
    for form in (bare, bare.replace(" ", "_"), _plain(text).rstrip(". ")):
        if form in known:
            return known[form]
    words = bare.replace(",", " ").split()
    return next((known[" ".join(words[:length])] for length in (3, 2, 1) if " ".join(words[:length]) in known), "")


def model(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """The words of a model's name that are known."""
    return _written([_model(value) for value in _values(raw)], raw)


@lru_cache(maxsize=4096)
def _model(text: str) -> str:
    known = _words("models")
    words = [word for word in _plain(text).replace("_", " ").split() if word in known or word.rstrip(".") in known]
    return " ".join(words) if any(any(c.isalpha() for c in word) for word in words) else ""


def software(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """Known words and short version numbers; six digits at most, so that no identifier fits."""
    left = _MOST_DIGITS
    values = []
    for value in _values(raw):
        kept = []
        for word in re.split(r"[^A-Z0-9./]+", value.upper()):
            word = word.strip(".")
            digits = sum(map(str.isdigit, word))
            if word in _words("software"):
                kept.append(word)
            elif digits <= left and _is_version(word) and (not word.isdigit() or word == value.strip()):
                kept.append(word)
                left -= digits
        values.append(" ".join(kept))
    return _written(values, raw)


@lru_cache(maxsize=4096)
def _is_version(word: str) -> bool:
    """Whether a word is a version as vendors write them: `VB17A`, `5.1.7`; a prefix has the numbers that exist."""
    match = _VERSION.fullmatch(word)
    if match is None or (match[1] and match[1] not in _prefixes()):
        return False
    first, *rest = [int(part) for part in match[2].split(".")]
    low, high = _prefixes().get(match[1], (0, _LATEST_DOTTED))
    return low <= first <= high and all(part <= _LATEST_DOTTED for part in rest)


@cache
def _prefixes() -> dict[str, tuple[int, int]]:
    """The least and the largest number after each prefix of a version."""
    return {prefix: (low, high) for prefix, (low, high) in data("equipment.json")["versions"].items()}


def kernel(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A reconstruction kernel that a vendor has, such as B30f, FC08 or STANDARD; its strength beside it."""
    name, *strength = [value.strip() for value in _values(raw)][:2]
    kept = [_kernel(name), *(value for value in strength if _STRENGTH.fullmatch(value))]
    return _written(kept if kept[0] else [], raw, 16)


@cache
def _kernels() -> frozenset[str]:
    """Every kernel that a vendor has, in upper case."""
    vendors = data("equipment.json")["kernels"]["numbers"].values()
    return frozenset(
        prefix + number + suffix
        for known in vendors
        for prefix, numbers in known["prefixes"].items()
        for number in numbers.split()
        for suffix in ("", *known["suffixes"].split())
    )


@lru_cache(maxsize=4096)
def _kernel(text: str) -> str:
    upper = " ".join(text.upper().split())
    named = frozenset(data("equipment.json")["kernels"]["words"].split())
    bare, strength = re.fullmatch(r"(.*?)((?:[ /_][1-7])?)", upper, re.DOTALL).groups()  # type: ignore[union-attr]
    if upper in named or upper in _kernels() or (strength and bare in _kernels()):
        return text if text.isascii() and upper == text.upper() else upper
    words = upper.split(" ")
    known = all(word in named or (word[:1].isalpha() and word in _kernels()) for word in words)
    return upper if known and len(words) <= 3 else ""
