"""Vendor, model, software, kernel and pulse sequence: what harmonisation needs, from closed vocabularies."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from curate.dicom.grammar import data, even

_PUNCTUATION = re.compile(r"[^A-Z0-9+./_ -]+")
_VERSION = re.compile(r"(?:[A-Z]{1,3})?\d{1,2}(?:\.\d{1,2}){0,2}[A-Z]?|R\d{1,2}|M\d|SP\d{1,2}|P\d{1,2}")
_KERNEL = re.compile(
    r"(?:[ABCDHITUSQ][A-Z]?\d{2}[A-Z]?|FC\d{2}|\d{1,2})(?:[ /_]\d)?|[A-Z][A-Z]?\d{1,2}[FHSMU]?"
)
_MOST_DIGITS = 8


@cache
def _vendors() -> dict[str, str]:
    return {
        alias: name for name, aliases in data("equipment.json")["vendors"].items() for alias in aliases
    } | {name.upper(): name for name in data("equipment.json")["vendors"]}


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
    return next(
        (known[" ".join(words[:length])] for length in (3, 2, 1) if " ".join(words[:length]) in known), ""
    )


def model(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """The words of a model's name that are known."""
    return _written([_model(value) for value in _values(raw)], raw)


@lru_cache(maxsize=4096)
def _model(text: str) -> str:
    known = _words("models")
    words = [
        word for word in _plain(text).replace("_", " ").split() if word in known or word.rstrip(".") in known
    ]
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
            elif (
                _VERSION.fullmatch(word) and digits <= left and (not word.isdigit() or word == value.strip())
            ):
                kept.append(word)
                left -= digits
        values.append(" ".join(kept))
    return _written(values, raw)


def kernel(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A reconstruction kernel: a known name or a vendor's short code such as B30f or FC08."""
    values = [value.strip() for value in _values(raw)][:2]
    kept = [
        _kernel(value) for value in values if len(values) == 1 or not value[:2].isdigit() or len(value) == 1
    ]
    return _written(kept, raw, 16)


@lru_cache(maxsize=4096)
def _kernel(text: str) -> str:
    upper = " ".join(text.upper().split())
    if upper in _words("kernels") or _KERNEL.fullmatch(upper):
        return text if text.isascii() and upper == text.upper() else upper
    words = upper.split(" ")
    known = all(
        word in _words("kernels") or (word[:1].isalpha() and _KERNEL.fullmatch(word)) for word in words
    )
    return upper if known and len(words) <= 3 else ""


def sequence(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A pulse sequence's name in its vendor's terms, such as `*fl2d1` or `ep_b1000#4`."""
    return _written([_sequence(value.strip()) for value in _values(raw)], raw, 16)


@lru_cache(maxsize=4096)
def _sequence(text: str) -> str:
    match = re.fullmatch(
        r"(\*{0,2})([A-Za-z][A-Za-z0-9]*?)((?:_?[bB]?\d{1,4})?(?:[#tT]\d{0,3})?(?:_\d{1,3})?(?:ns|rs|r|R)?)",
        text,
    )
    if not match:
        return text.upper() if text.upper() in _words("sequences") else ""
    bare = re.sub(r"[_ ]$", "", match[2]).upper()
    whole = (match[2] + re.sub(r"\D.*$", "", match[3].lstrip("_"))).upper()
    known = _words("sequences")
    return text if bare in known or whole in known else ""
