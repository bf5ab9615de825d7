"""Free text in Catalan, Spanish and English to regions: whole terms of a reviewed table, nothing by likeness.

Every word of a text must be a term, a laterality, or a listed word that says nothing of a region (a modality,
a view, an article); one that is none of these refuses the text. Terms that stand side by side without "and"
are refused too (cuello de fémur is neither neck nor femur), the great regions of the trunk apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from curate.core import resources
from curate.metadata.coded import fold

AND = "&"
_SIDE_BY_SIDE = ("NECK", "CHEST", "ABDOMEN", "PELVIS", "ABDOMENPELVIS", "CHESTABDOMEN")
_DICOM_SIDES = frozenset({"R", "L", "B"})


class Read(NamedTuple):
    """What a text says: SNOMED CT codes and lateralities, or the rule that refuses it and why."""

    codes: tuple[str, ...] = ()
    sides: frozenset[str] = frozenset()
    rule: str = ""
    reason: str = ""


_Term = tuple[tuple[str, ...], str | None, bool]  # codes, implied laterality, only alone


class _Lexicon(NamedTuple):
    terms: dict[str, _Term]
    sides: dict[str, str]
    noise: frozenset[str]
    posture: frozenset[str]
    ambiguous: dict[str, str]
    placeholders: frozenset[str]
    neighbours: frozenset[str]
    longest: int


def read(text: str) -> Read:
    """The regions and lateralities of a free text."""
    words = tokens(text)
    lexicon = _lexicon()
    if not words or fold(text) in lexicon.placeholders:
        return Read(rule="REGION_PLACEHOLDER", reason="a placeholder for an unknown region")
    doubt = ambiguity(text)
    if doubt:
        return Read(rule="REGION_AMBIGUOUS", reason=doubt)
    found = _standing(list(_pieces(words)))
    if any(kind == "unknown" for kind, _ in found):
        return Read(rule="REGION_UNKNOWN", reason="not in the reviewed table of terms")
    return _assembled(found)


def side(raw: str | None) -> str | None:
    """R, L or B for a laterality in DICOM's letters or in words; None for anything else."""
    if raw and raw.strip().upper() in _DICOM_SIDES:
        return raw.strip().upper()
    return _lexicon().sides.get(" ".join(tokens(raw or "")))


def ambiguity(text: str) -> str:
    """Why a text has more than one reading, or nothing; `CAP` is an English abbreviation in capitals only."""
    meaningful = " ".join(run for kind, run in _pieces(tokens(text)) if kind not in ("noise", "side"))
    if meaningful == "cap" and "CAP" not in text:
        return ""
    return _lexicon().ambiguous.get(meaningful, "")


def tokens(text: str) -> list[str]:
    """Folded words, without elided articles, each "and", comma, slash and plus as one sign."""
    plain = re.sub(r"\b(?:w\s*/\s*o)\b", "wo", fold(text.replace("_", " ")))
    plain = re.sub(r"\b[dls]['’´`]\s*", " ", plain)
    plain = re.sub(r"[,;/+&]", f" {AND} ", plain)
    words = re.sub(rf"[^a-z0-9{AND}]+", " ", plain).split()
    return [AND if word in {"i", "y", "e", "and", "plus"} else word for word in words]


def _pieces(words: list[str]) -> Iterator[tuple[str, str]]:
    """(kind, text) for each longest known run of words: term, side, noise, and, or, posture, unknown."""
    lexicon = _lexicon()
    at = 0
    while at < len(words):
        for length in range(min(lexicon.longest, len(words) - at), 0, -1):
            run = " ".join(words[at : at + length])
            kind = _kind(run, lexicon)
            if kind:
                break
        yield kind or "unknown", run
        at += length


def _kind(run: str, lexicon: _Lexicon) -> str:
    if run in (AND, "o", "or"):
        return "and" if run == AND else "or"
    if run in lexicon.posture:
        return "posture"
    if run in lexicon.terms:
        return "term"
    if run in lexicon.sides:
        return "side"
    return "noise" if run in lexicon.noise or re.fullmatch(r"\d|\d+mm", run) else ""


def _standing(found: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Read "de pie" as standing behind a region, as the foot where there is none; else as unknown."""
    if not any(kind == "term" for kind, _ in found):
        return [("term", "pie") if kind == "posture" else (kind, run) for kind, run in found]
    read: list[tuple[str, str]] = []
    for kind, run in found:
        apart = not read or read[-1][0] == "and"
        read.append(("unknown" if apart else "noise", run) if kind == "posture" else (kind, run))
    return read


def _assembled(found: list[tuple[str, str]]) -> Read:
    lexicon = _lexicon()
    sides = {lexicon.sides[run] for kind, run in found if kind == "side"}
    runs = [run for kind, run in found if kind == "term"]
    for run in runs:
        _, implied, alone = lexicon.terms[run]
        sides |= {implied} if implied else set()
        if alone and len(runs) > 1:
            return Read(rule="REGION_AMBIGUOUS", reason="a word with another meaning beside other regions")
    codes = tuple(code for run in runs for code in lexicon.terms[run][0])
    if not codes:
        return Read(rule="REGION_UNKNOWN", reason="names no region")
    if len(set(codes)) > 1 and any(kind == "or" for kind, _ in found):
        return Read(rule="REGION_AMBIGUOUS", reason="one region or another")
    if _side_by_side(found):
        return Read(rule="REGION_AMBIGUOUS", reason="two regions side by side; write and between them")
    return Read(codes, frozenset(sides))


def _side_by_side(found: list[tuple[str, str]]) -> bool:
    """Whether two terms that differ follow one another without "and", outside the trunk."""
    before: tuple[str, ...] = ()
    for kind, run in found:
        if kind == "and":
            before = ()
        if kind == "term":
            here = _lexicon().terms[run][0]
            if before and here != before and not {*here, *before} <= _lexicon().neighbours:
                return True
            before = here
    return False


def _data(name: str) -> dict[str, Any]:
    path = resources.vocabulary_path(f"metadata/data/{name}")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@cache
def _lexicon() -> _Lexicon:
    raw, regions = _data("region_terms.json"), _data("regions.json")
    code_of = {entry["term"]: entry["code"] for entry in regions["regions"]}
    terms = _terms(raw, regions, code_of)
    noise = frozenset(_key(word) for words in raw["noise"].values() for word in words)
    sides = {_key(word): side for side, words in raw["laterality"].items() for word in words}
    placeholders = frozenset(fold(word) for word in raw["placeholders"])
    ambiguous = {_key(text): why for text, why in raw["ambiguous"].items()}
    longest = max(len(text.split()) for text in (*terms, *noise))
    neighbours = frozenset(code_of[term] for term in _SIDE_BY_SIDE)
    posture = frozenset(_key(text) for text in raw["posture"])
    return _Lexicon(terms, sides, noise, posture, ambiguous, placeholders, neighbours, longest)


def _terms(raw: dict[str, Any], regions: dict[str, Any], code_of: dict[str, str]) -> dict[str, _Term]:
    """All terms: the reviewed ones, and the standard's meanings where they are none of these."""
    terms: dict[str, _Term] = {}
    for text, several in raw["several"].items():
        _add(terms, text, (tuple(code_of[term] for term in several), None, False))
    for region, lists in raw["terms"].items():
        for kind, texts in lists.items():
            meant = ((code_of.get(region, region),), "B" if kind == "both" else None, kind == "alone")
            for text in texts:
                _add(terms, text, meant)
    for entry in regions["regions"]:
        alone = entry["group"] == "not a region"
        terms.setdefault(_key(entry["meaning"]), ((entry["code"],), None, alone))
    return terms


def _add(terms: dict[str, _Term], text: str, meant: _Term) -> None:
    """Enter a term once.

    Raises:
        ValueError: the table gives one term two meanings; a defect of the table.
    """
    if terms.setdefault(_key(text), meant) != meant:
        raise ValueError(f"region_terms.json gives {text!r} two meanings")


def _key(text: str) -> str:
    return " ".join(tokens(text))
