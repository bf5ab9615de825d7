"""Short texts of private elements, each of a closed form: words of a list, and numbers of few digits."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from curate.deid import sequence_names
from curate.deid.grammar import data, even, split
from curate.dicom import tags
from curate.dicom.model import Element

_LONGEST = 100
_PLANE = r"(?:Sag|Cor|Tra)"
_SIDE = r"(?:HF|FH|AP|PA|RL|LR|[HFAPRL])"
_NUMBER = r"-?\d{1,3}(?:\.\d{1,4})?"
_FORMS = {
    "acceleration": r"(?:p\d{1,2}(?:\.\d)?)?(?:s\d{1,2})?",  # `p2s3`: in plane, slices
    "matrix": r"\d{1,4}p?s?\*\d{1,4}p?s?(?:\*\d{1,4}p?s?)?i?I?",  # `64p*64`
    "orientation": rf"{_PLANE}(?:>{_PLANE}(?:\(-?\d{{1,2}}\.\d\))?){{0,2}}",  # `Tra>Cor(-6.2)`
    "directions": r"[+-][LRAPHF]{3}",
    "displayed": rf"{_SIDE}\s?(?:->|>>|>)\s?{_SIDE}",  # `A->P`
    "factor": r"(?:[A-Z]{1,2}:)?\d{1,2}(?:\.\d{1,2})?[A-Z]?",  # `F:2S`
    "prescan": r"(?:(?:TG|RN|RG|AS|CF|AM)/[a-z]\d{1,2},?){0,6}",
    "position": r"-?\d{1,4}(?:\.\d{1,4})?",
    "number": rf"(?:{_NUMBER})?",
    "strength": r"0?\.\d{1,2}|Low|Medium|High",
    "history": r"ChannelMixing:ND=(?:true|false)_CMM=\d_CDM=\d|ACC\d|ACCAlgo:\d{1,2}|NormalizeAlgo:PreScan"
    r"|CC:ComplexAdd",
    "comment": r"None|Unaliased MB\d{1,2}(?:/PE\d{1,2})?(?: SENSE\d?| LB)?"
    rf"|b=\d{{1,5}}(?:\.\d{{1,3}})?(?:\({_NUMBER},{_NUMBER},{_NUMBER}\))?",
}


@lru_cache(maxsize=64)
def _form(name: str) -> re.Pattern[str]:
    return re.compile(_FORMS[name])


@lru_cache(maxsize=16)
def _listed(name: str) -> frozenset[str]:
    return frozenset(data("vendor_fields.json")["words"][name])


def is_of(name: str, text: str) -> bool:
    """Whether a text is of a form, or a word of a vendor's list."""
    return bool(_form(name).fullmatch(text)) if name in _FORMS else text in _listed(name)


def is_comment(element: Element) -> bool:
    """Whether an element is a comment on an image that states diffusion or multiband in its vendor's form."""
    if element.tag != tags.ImageComments or not isinstance(element.value, bytes) or len(element.value) > _LONGEST:
        return False
    return is_of("comment", element.value.decode("ascii", "replace").strip(" \0"))


def text(argument: str, _vr: str, raw: bytes) -> bytes | None:
    """Values that are each of the form that the argument names; others are emptied, and None where none is."""
    return _each(raw, lambda value: is_of(argument, value))


def coil(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """Names of coils and of their elements that vendors have, in the case they are written in."""
    return _each(raw, is_coil)


@lru_cache(maxsize=4096)
def is_coil(name: str) -> bool:
    """Whether a coil's name, or a list of its elements (`HE1-4;NE1,2`), is of words and counts that vendors have."""
    if _elements().fullmatch(name):
        return True
    known = sequence_names.coil("", "LO", name.encode("ascii", "replace"))
    return known is not None and known.strip() == name.upper().encode("ascii", "replace")


@lru_cache(maxsize=1)
def _elements() -> re.Pattern[str]:
    codes = "|".join(sorted(data("equipment.json")["coils"]["elements"].split(), key=len, reverse=True))
    element = rf"(?:{codes}|[ABCHNS])(?:\d{{1,2}}(?:-\d{{1,2}})?(?:,\d{{1,2}}(?:-\d{{1,2}})?)*)?"
    return re.compile(rf"(?:[TCtc]:)?{element}(?:;{element})*")


def _each(raw: bytes, passes: Callable[[str], bool]) -> bytes | None:
    values = [value if not value or passes(value) else "" for value in split(raw)]
    if not any(values):
        return None if raw.strip(b" \0\\") else b""
    return even("\\".join(values).encode(), b" ")


def ice_dimensions(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """Siemens' ICE dimensions: coil (X: combined), echo, and the count of frames (21st); the others become 1."""
    parts = raw.decode("ascii", "replace").strip(" \0").split("_")
    if not re.fullmatch(r"X|\d{1,3}", parts[0]) or not 2 <= len(parts) <= 40:
        return None
    if not all(re.fullmatch(r"\d{1,5}|X", part) for part in parts[1:]):
        return None
    kept = {0, 1, 20}
    return even("_".join(part if place in kept else "1" for place, part in enumerate(parts)).encode(), b" ")
