"""Value representations and keywords: pydicom's dictionary, asked once a tag."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import NamedTuple

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword


class Vr(NamedTuple):
    """How a VR is laid out: its name, and whether its length has 4 bytes (PS3.5 7.1.2)."""

    name: str
    long: bool


_LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
_TEXT = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI", "UC", "UR", "UT")
_SHORT_BINARY = ("AT", "FD", "FL", "SL", "SS", "UL", "US")
_BYTES = frozenset(("OB", "OW", "UN"))
TEXT = frozenset(_TEXT)
LONG = frozenset(_LONG)
CHARSET_TEXT = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
UNIT = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), 2),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8),
}
VRS: dict[bytes, Vr] = {name.encode(): Vr(name, name in LONG) for name in sorted({*_LONG, *_TEXT, *_SHORT_BINARY})}


@lru_cache(maxsize=1 << 16)
def allowed_vrs(tag: int) -> tuple[str, ...]:
    """The VRs that the standard gives a tag, the preferred one first; none where it is not known."""
    try:
        name = dictionary_VR(tag)
    except KeyError:
        return ()
    if tag & 0x10000:
        return ()
    return tuple(name.split(" or ")) if name != "NONE" else ()


@lru_cache(maxsize=1 << 16)
def normal_vr(tag: int, vr: str) -> str:
    """The VR that a value is taken in: the standard's where the bytes mean the same in both.

    A text in another text VR, or bytes in another byte VR, are what the standard says of the tag; text in a
    numeric VR stays what it claims to be, and `rewrite` drops it.
    """
    allowed = allowed_vrs(tag)
    if not allowed or vr in allowed:
        return vr
    if vr == "UN" or (vr in TEXT and allowed[0] in TEXT) or (vr in _BYTES and allowed[0] in _BYTES):
        return allowed[0]
    return vr


def vr_fits(tag: int, vr: str) -> bool:
    """Whether the standard allows a tag this VR; any for a tag that it doesn't know."""
    allowed = allowed_vrs(tag)
    return not allowed or vr in allowed


@cache
def keyword(tag: int) -> str:
    """The keyword of a tag, or `(gggg,eeee)` where it has none."""
    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def known_keyword(tag: int) -> str:
    """The keyword of a tag, or nothing: where bytes are no element, an unknown tag may be text of a value."""
    return keyword_for_tag(tag)


def step(tag: int, index: int) -> str:
    """One step of a keyword path: a sequence and the number of its item."""
    return f"{keyword(tag)}[{index}]"


@lru_cache(maxsize=1024)
def tag_of(name: str) -> int:
    """The tag of a keyword.

    Raises:
        KeyError: no such keyword; a defect of the program, not of data.
    """
    tag = tag_for_keyword(name)
    if tag is None:
        raise KeyError(name)
    return int(tag)
