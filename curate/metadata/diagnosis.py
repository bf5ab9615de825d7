"""Diagnosis: an ICD-10-CM code in any spelling to its three-character category, and what it rests on.

The tables are those of `data/icd10cm.json`; CIE-10-ES, the Spanish edition, shares its codes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from curate.core import resources
from curate.metadata.coded import Coded, fold, is_missing

NONE = "none"
NONE_MEANING = "no abnormality reported"
BASES = ("referral", "report", "discharge", "pathology")

_NONE_WORDS = frozenset({"none", "cap", "ninguno", "ninguna", "no abnormality reported", "no abnormality"})
_BASIS_WORDS = {
    "referral": "referral request order peticio volant derivacio peticion volante derivacion",
    "report": "report informe radiology",
    "discharge": "discharge alta",
    "pathology": "pathology histology patologia histologia biopsy biopsia",
}
_BASIS_OF = {word: basis for basis, words in _BASIS_WORDS.items() for word in words.split()}
_SYSTEM = re.compile(r"^(?:ICD|CIE|CIM)[- ]?10(?:[- ]?(?:CM|ES|MC))?\s*[:|/ ]\s*")
_LOOKUP = re.compile(r"[A-Z][0-9A-Z]{2}(?:[.,]?[0-9A-Z]{0,4})?(?:\.?-)?")
_SHAPE = re.compile(r"[A-Z]\d[0-9A-Z](?:[.,]?[0-9A-Z]{0,4})?(?:\.?-)?")
_ICD9 = re.compile(r"\d{3}(?:[.,]\d{1,2})?|E\d{3}[.,]\d|V\d{2}[.,]\d{1,2}")
_MANGLED = re.compile(
    r"#.*|\d{1,4}[-/]\w{2,4}(?:[-/]\d+)?(?:[ T].*)?|[A-Z]{3}-\d{2}"
    r"|\d+(?:[.,]\d+)?E[+-]?\d+|\d{4,}(?:[.,]0)?|\d{1,2}(?:[.,]\d+)?"
)
_SEVERAL = re.compile(r"[;|+/&\n]|,\s*[A-Z]| [A-Z]\d\d|[A-Z]\d\w(?:\.\w+)?\s*[-–]\s*[A-Z]\d\w")


@dataclass(frozen=True, slots=True, repr=False)
class CodedDiagnosis(Coded):
    """A diagnosis: `code` is the three-character category or `none`; it recodes to `block` and `chapter`."""

    block: str = ""
    block_title: str = ""
    chapter: str = ""
    chapter_title: str = ""
    basis: str | None = None


class Category(NamedTuple):
    """A three-character category of ICD-10-CM."""

    title: str
    block: str
    block_title: str
    chapter: str
    chapter_title: str


def code(raw: str | None, basis: str | None = None) -> CodedDiagnosis:
    """The category of a raw diagnosis code; `basis` is one of `BASES` or a word for it."""
    rests_on = code_basis(basis).code
    text = fold(raw or "").upper().strip("'\"")
    if text.casefold() in _NONE_WORDS:
        return CodedDiagnosis(NONE, NONE_MEANING, basis=rests_on)
    if is_missing(raw):
        return _refused("DIAGNOSIS_MISSING", "no diagnosis is given; write an ICD-10-CM code, or none")
    plain = _SYSTEM.sub("", text).rstrip("*+†‡ ")
    compact = plain.replace(" ", "")
    category = _category_of(compact) if _LOOKUP.fullmatch(compact) else None
    if category is None:
        return _explained(plain, compact)
    found = categories()[category]
    return CodedDiagnosis(category, found.title, "", "", *found[1:], basis=rests_on)


def code_basis(raw: str | None) -> Coded:
    """What a diagnosis rests on; a missing basis is no finding."""
    if is_missing(raw):
        return Coded(None, "not stated")
    found = _BASIS_OF.get(fold(raw or ""))
    if found is None:
        return Coded(None, "", "write one of: " + ", ".join(BASES), "DIAGNOSIS_BASIS_UNKNOWN")
    return Coded(found, found)


@cache
def categories() -> dict[str, Category]:
    """All categories by code."""
    raw = json.loads(resources.vocabulary_path("metadata/data/icd10cm.json").read_text(encoding="utf-8"))
    blocks, chapters = raw["blocks"], raw["chapters"]
    return {
        entry["code"]: Category(
            title=entry["title"],
            block=entry["block"],
            block_title=blocks[entry["block"]],
            chapter=entry["chapter"],
            chapter_title=chapters[entry["chapter"]],
        )
        for entry in raw["categories"]
    }


@cache
def _codes() -> dict[str, frozenset[str]]:
    """For each category, what may follow the dot."""
    text = resources.vocabulary_path("metadata/data/icd10cm_codes.txt").read_text(encoding="utf-8")
    rows = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return {row[0]: frozenset(row[1:]) for row in rows}


def _category_of(compact: str) -> str | None:
    """The category of a code that exists, None otherwise; `C50.-` is WHO's way to write the category."""
    head, rest = compact[:3], re.sub(r"[.,-]", "", compact[3:])
    known = _codes().get(head)
    return head if known is not None and (not rest or rest in known) else None


def _explained(plain: str, compact: str) -> CodedDiagnosis:
    """Why a text is no code: in the order in which a person would want to hear it."""
    if len(plain.split()) > 1 and all(_SHAPE.fullmatch(word) for word in plain.split()):
        return _several()
    if _SHAPE.fullmatch(compact):
        return _refused("DIAGNOSIS_NO_SUCH_CODE", "ICD-10-CM (April 2026) has no such code")
    if _ICD9.fullmatch(compact):
        return _refused("DIAGNOSIS_NO_SUCH_CODE", "looks like ICD-9 or a number; write the ICD-10-CM code")
    if _MANGLED.fullmatch(plain):
        return _refused("DIAGNOSIS_MANGLED", "a number or a date, as a spreadsheet makes of a code")
    if _SEVERAL.search(plain):
        return _several()
    return _refused("DIAGNOSIS_FREE_TEXT", "free text; write an ICD-10-CM code in this column, or none")


def _several() -> CodedDiagnosis:
    return _refused("DIAGNOSIS_SEVERAL", "several codes; write the one that led to the study")


def _refused(rule: str, reason: str) -> CodedDiagnosis:
    return CodedDiagnosis(None, "", reason, rule)
