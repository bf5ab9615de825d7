"""Names of body parts, regions of interest and segments, from closed lists (PS3.16 Annex L, AAPM TG-263)."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from curate.deid.free_text.descriptions import fold, rebuild_text
from curate.deid.grammar import body_parts, code_strings, data, even
from curate.dicom.io.character_sets import decode_text

# Body parts that would state the sex become the region around them.
_SEXED = ("PROSTATE", "UTERUS", "CERVIX", "OVARY", "TESTIS", "TESTICLE", "PENIS", "VAGINA", "SCROTUM", "ENDOMETRIUM",
          "FETUS", "PLACENTA", "PENILE VESSELS", "VULVA", "SCROTAL", "R OVARY", "L OVARY", "R TESTIS", "L TESTIS",
          "FETAL HEART", "FETAL POLE", "UTERINE FUNDUS")  # fmt: skip
_WIDER = dict.fromkeys(_SEXED, "PELVIS")
_SIDES = {"L": "L", "LEFT": "L", "LT": "L", "IZQ": "L", "IZQUIERDO": "L", "IZQUIERDA": "L", "ESQ": "L",
          "R": "R", "RIGHT": "R", "RT": "R", "DER": "R", "DERECHO": "R", "DERECHA": "R", "DRET": "R",
          "DRETA": "R"}  # fmt: skip
_SEGMENT = re.compile(r"Segment( \d{1,5})?")
_MOST_GY = 90
_YEARS = frozenset(range(1900, 2040)) - {1900, 2000}
_TARGET = re.compile(r"(GTV|CTV|PTV|ITV|IGTV)([PN]?)[ _]?(\d{0,2})(?:[ _](\d{2,4}))?")


def body_part(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A body part of the standard's list; one that states the sex becomes its region."""
    value = " ".join(raw.decode("ascii", "replace").strip(" \0").upper().split())
    if not value:
        return b""
    terms = body_parts() | code_strings()
    known = value if value in terms else value.replace(" ", "")
    known = _WIDER.get(known, known)
    return even(known.encode(), b" ") if known in terms and not known.isdigit() else None


@cache
def _names() -> dict[str, str]:
    table: dict[str, str] = data("anatomy.json")["names"]
    return table | {name.upper(): name for name in table.values()}


@lru_cache(maxsize=4096)
def structure(text: str) -> str:
    """The TG-263 name of a structure as people write it; empty where it is not known."""
    bare = " ".join(re.sub(r"[^A-Z0-9]+", " ", fold(text[:64])).split())
    names, synonyms = _names(), data_synonyms()
    if text in names.values():
        return text
    if bare in names:
        return names[bare]
    if match := _TARGET.fullmatch(bare.replace(" ", "_")):
        dose = match[4] if match[4] and _is_dose(int(match[4])) else ""
        return match[1] + match[2].lower() + match[3] + (f"_{dose}" if dose else "")
    words = bare.split()
    sides = {_SIDES[word] for word in words if word in _SIDES}
    rest = " ".join(word for word in words if word not in _SIDES)
    base = synonyms.get(rest) or names.get(rest, "")
    if not base or len(sides) > 1:
        return ""
    return f"{base}_{sides.pop()}" if sides and base in _lateral() else base


def _is_dose(number: int) -> bool:
    """Whether a target's number is a dose as plans state them, in Gy or cGy; a year is none."""
    return number <= _MOST_GY or (number <= 100 * _MOST_GY and number % 5 == 0 and number not in _YEARS)


@cache
def data_synonyms() -> dict[str, str]:
    """English, Spanish and Catalan words for structures."""
    table: dict[str, str] = data("anatomy.json")["synonyms"]
    return table


@cache
def _lateral() -> frozenset[str]:
    return frozenset(data("anatomy.json")["lateral"].split())


def roi_name(raw: bytes, encodings: tuple[str, ...]) -> bytes:
    """A TG-263 name, or `ROI`, to which `finish_item` adds the ROI's number."""
    known = structure(decode_text(raw, encodings).strip())
    return even((known or "ROI").encode(), b" ")


def segment_label(raw: bytes, encodings: tuple[str, ...]) -> bytes:
    """A known structure, terms of the vocabulary, or `Segment`, to which `finish_item` adds the number."""
    text = decode_text(raw, encodings).strip()
    known = "" if _SEGMENT.fullmatch(text) else structure(text) or rebuild_text(text, 64, frozenset(), frozenset())
    return even((known or "Segment").encode(), b" ")
