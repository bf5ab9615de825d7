"""Coded concepts: a code of a known scheme with the meaning that this project's table has for it (PS3.3 8.8)."""

from __future__ import annotations

import re
from functools import cache, lru_cache

from curate.deid.grammar import data, even
from curate.dicom import tags
from curate.dicom.model import Item

CODE_VALUE, LONG_VALUE, URN_VALUE = tags.CodeValue, tags.LongCodeValue, tags.URNCodeValue
SCHEME, VERSION, MEANING = tags.CodingSchemeDesignator, tags.CodingSchemeVersion, tags.CodeMeaning
CODE_TAGS = (CODE_VALUE, LONG_VALUE, URN_VALUE, SCHEME, MEANING)

_SAME_SCHEME = {
    "SNM3": "SRT",
    "99SDM": "SRT",
    "SNOMED-RT": "SRT",
    "SNOMED": "SRT",
    "UCUM ": "UCUM",
    "LOINC": "LN",
}
_DIAGNOSES = frozenset(("I9", "I9C", "I10", "I10C", "I10P", "I11", "ICDO3", "BARI", "NDC"))
_VERSION = re.compile(r"\d{1,2}(\.\d{1,2})?")
_LAST_PART = 31

# What stands where a code is required and the file's own is of a scheme that nobody else can read.
SUBSTITUTES = {
    tags.SegmentedPropertyCategoryCodeSequence: (
        "SCT",
        "309825002",
    ),  # segmented property category: spatial and relational concept
    tags.SegmentedPropertyTypeCodeSequence: ("SCT", "85756007"),  # segmented property type: tissue
    tags.AnnotationPropertyCategoryCodeSequence: ("SCT", "309825002"),
    tags.AnnotationPropertyTypeCodeSequence: ("SCT", "85756007"),
    tags.MeasurementUnitsCodeSequence: ("UCUM", "1"),  # measurement units: no units
    tags.AlgorithmFamilyCodeSequence: ("DCM", "123110"),  # algorithm family: artificial intelligence
}


@cache
def known() -> dict[str, dict[str, str]]:
    """Meanings by scheme and value."""
    return {scheme: values for scheme, values in data("codes.json").items() if scheme not in _DIAGNOSES}


@lru_cache(maxsize=8192)
def meaning(scheme: str, value: str) -> str | None:
    """The meaning of a code; the code itself where only its form is known; None: not a known code."""
    if (found := known().get(scheme, {}).get(value)) is not None:
        return found
    if scheme == "SCT" and is_snomed(value):
        return f"SCT {value}"
    if scheme == "SRT" and re.fullmatch(r"[A-Z]-[0-9A-F]{5}", value):
        return f"SRT {value}"
    if scheme == "LN" and is_loinc(value):
        return f"LN {value}"
    if scheme == "UCUM" and is_unit(value):
        return value
    return None


_D = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
    (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
    (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
    (9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
)  # fmt: skip
_F0 = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)


@cache
def _permutations() -> tuple[tuple[int, ...], ...]:
    rows = [tuple(range(10)), _F0]
    while len(rows) < 8:
        rows.append(tuple(_F0[digit] for digit in rows[-1]))
    return tuple(rows)


def is_snomed(value: str) -> bool:
    """Whether a value is a SNOMED CT core concept id: partition 00 and a right check digit (Verhoeff)."""
    if not re.fullmatch(r"[1-9]\d{5,9}", value) or value[-3:-1] != "00":
        return False
    check = 0
    for position, digit in enumerate(reversed(value)):
        check = _D[check][_permutations()[position % 8][int(digit)]]
    return check == 0


def is_loinc(value: str) -> bool:
    """Whether a value is a LOINC number with a right check digit (mod 10)."""
    match = re.fullmatch(r"([1-9]\d{2,4})-(\d)", value)
    if not match:
        return False
    doubled = "".join(reversed(match[1]))[::2]
    digits = str(int("".join(reversed(doubled))) * 2) + "".join(reversed(match[1]))[1::2]
    return (10 - sum(map(int, digits)) % 10) % 10 == int(match[2])


_ATOM = re.compile(
    r"(?:[numkcdMGh]|da)?(?:m|g|s|l|L|Pa|Hz|Bq|Gy|Sv|V|A|J|W|T|N|K|eV|mol|Ci|u)|%|deg|rad|min|h|d|a|wk|mo|Cel|"
    r"mm\[Hg\]|\[hnsf'U\]|\[ppm\]|\[arb'U\]|1|10\*-?\d{1,2}|bpm"
)
_ANNOTATION = re.compile(r"\{(SUVbw|SUVlbm|SUVbsa|SUVibw|counts|pixels|pixel|ratio|arbitrary|no units|frames|cm3)\}")


@lru_cache(maxsize=1024)
def is_unit(value: str) -> bool:
    """Whether a value is a unit of UCUM made of common atoms."""
    bare = _ANNOTATION.sub("", value)
    if not value or len(value) > 16 or (not bare and not value):
        return False
    parts = re.split(r"[./]", bare)
    return all(part == "" or _ATOM.fullmatch(re.sub(r"(?<=[A-Za-z\]])-?\d$", "", part)) for part in parts)


def is_code(item: Item) -> bool:
    """Whether an item is a coded concept, whole or in part."""
    return any(tag in item for tag in CODE_TAGS)


def strip(item: Item) -> None:
    """Take the attributes of a code out of an item that is not one."""
    for tag in (*CODE_TAGS, VERSION):
        item.pop(tag, None)


def clean(parent: int, item: Item) -> Item | None:
    """A coded concept with the known meaning; a substitute, or None, where the code isn't known."""
    scheme, value = _scheme(item), _value(item)
    text = meaning(scheme, value) if scheme and value else None
    if text is None:
        if parent not in SUBSTITUTES:
            return None
        scheme, value = SUBSTITUTES[parent]
        text = meaning(scheme, value) or value
        item = Item(encodings=item.encodings)
    return _written(item, scheme, value, text)


def _scheme(item: Item) -> str:
    scheme = item.text(SCHEME)
    return _SAME_SCHEME.get(scheme, scheme)


def _value(item: Item) -> str:
    return item.text(CODE_VALUE) or item.text(LONG_VALUE)


def _written(item: Item, scheme: str, value: str, text: str) -> Item:
    for tag in (LONG_VALUE, URN_VALUE, CODE_VALUE):
        item.pop(tag, None)
    long = len(value) > 16
    item.put(LONG_VALUE if long else CODE_VALUE, "UC" if long else "SH", value.encode())
    item.put(SCHEME, "SH", scheme.encode())
    item.put(MEANING, "LO", text.encode())
    return item


def code_text(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A code value in itself; whether it is known shows beside its scheme."""
    value = raw.decode("ascii", "replace").strip(" \0")
    return even(value.encode(), b" ") if re.fullmatch(r"[!-~ ]{1,64}", value) and "\\" not in value else None


def scheme_name(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """The name of a known coding scheme."""
    value = raw.decode("ascii", "replace").strip(" \0")
    return even(value.encode(), b" ") if _SAME_SCHEME.get(value, value) in known() else None


def scheme_version(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A short version number, no part of which is a year of birth."""
    value = raw.decode("ascii", "replace").strip(" \0")
    known = _VERSION.fullmatch(value) and all(int(part) <= _LAST_PART for part in value.split("."))
    return even(value.encode(), b" ") if known else None
