"""Alarms for `curate inspect`: what in anybody's text looks like a person's identifier. They decide nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

from pydicom.datadict import keyword_for_tag

from curate.core.findings import Finding, merge
from curate.deid.free_text.descriptions import fold, vocabulary
from curate.deid.grammar import body_parts, code_strings, data
from curate.dicom.io.character_sets import decode_text
from curate.dicom.model import Item

_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_DNI = re.compile(r"(?<![A-Z0-9])([XYZ]?)(\d{7,8})[- ]?([A-Z])(?![A-Z0-9])")
_CIP = re.compile(r"(?<![A-Z0-9])([A-Z]{4})[ -]?([01])[ -]?(\d{6})[ -]?(\d{2,3})(?!\d)")
_NASS = re.compile(r"(?<!\d)(\d{2})[ /-]?(\d{7,8})[ /-]?(\d{2})(?!\d)")
_PHONE = re.compile(
    r"(?<![\d.])(?:\+|00)\d{1,3}[ .-]?(?:\d[ .-]?){8,11}(?!\d)|(?<![\d.])[6789]\d{2}[ .-]?\d{3}[ .-]?\d{3}(?!\d)|"
    r"(?<![\d.])[6789]\d{1,2}(?:[ .-]\d{2,3}){3}(?!\d)|(?<!\d)\(\d{3}\) ?\d{3}-\d{4}(?!\d)|"
    r"(?<![\d.])\d{3}-\d{3}-\d{4}(?!\d)"
)
_EMAIL = re.compile(r"[A-Z0-9._%+-]+@[A-Z0-9.-]+\.[A-Z]{2,}")
_URL = re.compile(r"(?:HTTPS?|FTP|FILE)://\S+|\bWWW\.[A-Z0-9-]+\.")
_PATH = re.compile(r"\b[A-Z]:\\{1,2}\w+|\\\\\\\\\w+|/(?:HOME|USERS)/\w+")
_ADDRESS = re.compile(
    r"(?<![A-Z])(?:C/|CALLE|CARRER|CRTA|CARRETERA|AVDA?\.?|AVENIDA|AVINGUDA|PLAZA|PLACA|PASEO|PASSEIG|RAMBLA|RONDA|"
    r"TRAVESSERA|STREET|ROAD|AVENUE|BOULEVARD)(?![A-Z])[ .]?[A-Z ]{2,30},? ?(?:N[O.]{0,2} ?)?\d{1,4}\b|"
    r"\b\d{1,5} [A-Z ]{2,30} (?:ST|STREET|RD|ROAD|AVE|AVENUE|DRIVE|DR|LANE|BLVD)\b|"
    r"\b(?:0[1-9]|[1-4]\d|5[0-2])\d{3} [A-Z]{4,}"
)
_MONTHS = "JAN|ENE|GEN|FEB|MAR|APR|ABR|MAY|MAI|JUN|JUL|AUG|AGO|SEP|SET|OCT|NOV|DEC|DIC|DES"
_DATE = re.compile(
    r"(?<!\d)(?:(?:19|20)\d{2}([-/.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])|"
    r"(?:0?[1-9]|[12]\d|3[01])([-/.])(?:0?[1-9]|1[0-2])\2(?:19|20)?\d{2})(?!\d)|"
    rf"\b\d{{1,2}}[- ](?:DE )?(?:{_MONTHS})[A-Z]*[- ](?:DE |DEL )?\d{{2,4}}\b"
)
_RECORD = re.compile(
    r"\b(?:MRN|NHC|NHS|HC|HISTORIA|HISTORY|EXP|SSN|PATIENT ?ID|ID|ACC)[ .:#-]{1,4}[A-Z]?\d{4,}|"
    r"(?<![\d.])\d{6,12}(?![\d.])"
)
_SSN = re.compile(r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)")
_WORD = re.compile(r"[A-Z]{3,}")
_TITLE = re.compile(r"\b(?:DR|DRA|SR|SRA|MR|MRS|MS|PROF|DON|DONA)\.? +[A-Z]{3,}")
# Names that stand in clinical texts as words.
_CLINICAL = frozenset(("CORONAL", "SALA", "PI", "LI", "LEE", "MAR", "PAZ", "LUZ", "SOL", "CRUZ", "VERA", "COLL",
                       "BLANCO", "CAMPO", "PENA", "PLAZA", "MAS", "COSTA", "COSTAS", "FRANCO", "KING"))  # fmt: skip

_TEXT_VRS = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "UN", "OB"))


@cache
def given_names() -> frozenset[str]:
    """Frequent given names, folded."""
    return frozenset(data("names.json")["given"].split())


@cache
def _known_words() -> frozenset[str]:
    """Words of the clinical vocabulary and of code strings: no names."""
    terms = code_strings() | body_parts()
    return vocabulary() | {word for term in terms for word in term.replace("_", " ").split()}


@cache
def surnames() -> frozenset[str]:
    """Frequent surnames, folded."""
    return frozenset(data("names.json")["surnames"].split())


def is_dni(letter: str, digits: str, check: str) -> bool:
    """Whether a number has the check letter of a Spanish DNI or NIE."""
    number = int((str("XYZ".index(letter)) if letter else "") + digits)
    return (len(digits) == 7) == bool(letter) and _DNI_LETTERS[number % 23] == check


def is_nass(province: str, number: str, check: str) -> bool:
    """Whether a number has the check digits of a Spanish social security number."""
    value = int(number)
    whole = value + int(province) * 10_000_000 if value < 10_000_000 else int(province + number)
    return 1 <= int(province) <= 66 and whole % 97 == int(check)


def _dni(text: str) -> bool:
    return any(is_dni(*match.groups()) for match in _DNI.finditer(text))


def _nass(text: str) -> bool:
    return any(is_nass(*match.groups()) for match in _NASS.finditer(text))


def _cip(text: str) -> bool:
    return any(_is_birth(match[3]) for match in _CIP.finditer(text))


def _is_birth(digits: str) -> bool:
    """YYMMDD; women's day has 40 added (Catalan CIP)."""
    month, day = int(digits[2:4]), int(digits[4:6])
    return 1 <= month <= 12 and (1 <= day <= 31 or 41 <= day <= 71)


def _name(text: str) -> bool:
    """A given name beside a surname, two names with a caret between them, or a title before a word."""
    words = [word for word in _WORD.findall(text) if word not in _CLINICAL]
    persons = [word for word in words if word in given_names() or word in surnames()]
    persons = [word for word in persons if word not in _known_words()]
    if "^" in text and persons:
        return True
    if any(word in given_names() for word in persons) and len(set(persons)) > 1:
        return True
    return any(match.group().split()[-1] not in _known_words() for match in _TITLE.finditer(text))


def _found(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.search(text) is not None


ALARMS: tuple[tuple[str, Callable[[str], bool]], ...] = (
    ("ALARM_DNI", _dni),
    ("ALARM_CIP", _cip),
    ("ALARM_NASS", _nass),
    ("ALARM_SSN", _found(_SSN)),
    ("ALARM_EMAIL", _found(_EMAIL)),
    ("ALARM_URL", _found(_URL)),
    ("ALARM_PATH", _found(_PATH)),
    ("ALARM_PHONE", _found(_PHONE)),
    ("ALARM_ADDRESS", _found(_ADDRESS)),
    ("ALARM_DATE", _found(_DATE)),
    ("ALARM_RECORD_NUMBER", _found(_RECORD)),
    ("ALARM_NAME", _name),
)


def text_alarms(text: str) -> tuple[str, ...]:
    """The codes of the alarms that a text raises, the more certain ones first."""
    folded = fold(text)
    return tuple(code for code, raised in ALARMS if raised(folded))


def item_alarms(item: Item, path: str = "") -> tuple[Finding, ...]:
    """The alarms of all texts of a data set, private and nested ones too, by keyword path."""
    return merge(_item_alarms(item, path))


def _item_alarms(item: Item, path: str) -> Iterable[Finding]:
    for tag, element in item.items():
        place = path + (keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})")
        if isinstance(element.value, list):
            for index, inner in enumerate(element.value):
                yield from _item_alarms(inner, f"{place}[{index}].")
        elif element.vr in _TEXT_VRS and len(raw := item.raw(tag)) <= 1 << 16:
            for code in text_alarms(decode_text(raw, item.encodings)):
                yield Finding(code, tag=place)
