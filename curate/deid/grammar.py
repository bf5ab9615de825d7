"""Grammars of values that stay: numbers in range, terms, UIDs of the standard, bulk numbers.

Each takes (argument, vr, raw) and gives the canonical raw value, or None where the value does not pass. A value
that passes comes from a closed vocabulary or from a bounded range, so that nothing can hide in it.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

import numpy as np

from curate.core import resources
from curate.dicom.io.long_values import MOST_NAMED, all_within, each

TEXT_NUMBERS = ("DS", "IS")
_BULK = frozenset(("LT", "OB", "OD", "OF", "OL", "OV", "OW", "ST", "UN", "UR", "UT"))
BINARY = {
    "US": "H",
    "SS": "h",
    "UL": "L",
    "SL": "l",
    "FL": "f",
    "FD": "d",
    "SV": "q",
    "UV": "Q",
    "OF": "f",
    "OD": "d",
    "OL": "L",
    "OW": "H",
}
_DIGITS = 6
_NO_VALUE = "\ufffd"  # what no grammar has
_NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,3})?")
_TEXTUAL = re.compile(rb"[A-Za-z0-9 .,:;/^_=+*&()@'\\\\!?#%-]{4,}\x00{0,7}")
_LETTERS = 4  # numbers such as 36.4 repeat a printable byte; text has more different ones
_TEXT_RUN = re.compile(rb"[\x20-\x7e]{12,}")
_RUN = re.compile(rb"[\x20-\x7e]{6,}")
_AROUND = 8  # bytes of a table on each side of a printable run that must go on as it does


def data(name: str) -> Any:
    """The entries of a data file of this room."""
    return json.loads(resources.vocabulary_path(f"deid/data/{name}").read_text(encoding="utf-8"))["entries"]


def parse_grammar(text: str) -> tuple[str, str]:
    """`num(0,5)` as its name and its argument."""
    name, _, argument = text.partition("(")
    return name, argument[:-1]


@cache
def code_strings() -> frozenset[str]:
    """The closed vocabulary of code strings."""
    return frozenset(data("cs.json")["any"])


@cache
def body_parts() -> frozenset[str]:
    """Names of body parts: code strings too, but of Body Part Examined alone."""
    return frozenset(data("cs.json")["body"])


@cache
def standard_uids() -> dict[str, str]:
    """Registered UIDs and their kinds (PS3.6 Annex A)."""
    table: dict[str, str] = data("uids.json")
    return table


def even(value: bytes, pad: bytes) -> bytes:
    """Padded to even length."""
    return value + pad if len(value) % 2 else value


def split(raw: bytes) -> list[str]:
    """The values of a multi-valued ASCII element, trimmed; text beyond ASCII becomes what no grammar has."""
    if len(raw) > MOST_NAMED and raw.count(b"\\") > MOST_NAMED:
        return [_NO_VALUE]
    return [part.strip(" \0") for part in raw.decode("ascii", "replace").split("\\")]


def count(vr: str, raw: bytes) -> int:
    """How many values a raw value has, bulk data as one."""
    if vr in BINARY and not vr.startswith("O"):
        return len(raw) // struct.calcsize("<" + BINARY[vr])
    return 1 if vr in _BULK else raw.count(b"\\") + 1


@lru_cache(maxsize=512)
def bounds(argument: str) -> tuple[float, float]:
    """The range that an argument such as `0,100` states."""
    low, high = argument.split(",")
    return float(low), float(high)


_INTEGERS = {"US": 4, "SS": 4, "UL": 4, "SL": 4, "UV": 8, "SV": 8}
"""Integer VRs, and the bytes up to which their values are too short to spell anything."""


def number(argument: str, vr: str, raw: bytes) -> bytes | None:
    """Numbers within bounds, in canonical form, to six significant digits: longer identifiers do not fit."""
    return _number(argument, vr, raw, _DIGITS)


def exact(argument: str, vr: str, raw: bytes) -> bytes | None:
    """Numbers within bounds with all their digits: positions, and what turns stored values into physical ones."""
    return _number(argument, vr, raw, 0)


def _number(argument: str, vr: str, raw: bytes, digits: int) -> bytes | None:
    low, high = bounds(argument)
    if vr in TEXT_NUMBERS:
        return _decimal(low, high, vr, raw, digits)
    kind = BINARY.get(vr)
    if kind is None or (vr in _INTEGERS and _RUN.search(raw) and len(raw) > _INTEGERS[vr]):
        return None  # several integers whose bytes spell something
    return _binary(low, high, kind, raw)


def big(argument: str, vr: str, raw: bytes) -> bytes | None:
    """Numbers of many digits, rounded to six significant ones, from 10^7 to four, so that no identifier fits."""
    return _coarser(argument, vr, raw, _rounded_text, _rounded)


def measured(argument: str, vr: str, raw: bytes) -> bytes | None:
    """Numbers in any unit: below 10^6 with six decimals, below 1 with six significant digits, else as `big` ones.

    So an identifier of more digits does not fit, not behind the point either.
    """
    return _coarser(argument, vr, raw, _measured_text, lambda value: value if abs(value) < 1e6 else _rounded(value))


def _coarser(
    argument: str,
    vr: str,
    raw: bytes,
    text: Callable[[str, str], str],
    number: Callable[[float], float],
) -> bytes | None:
    """Numbers in range, each made coarser: as `text` writes it, or the binary ones as `number` gives them."""
    checked = exact(argument, vr, raw)
    if not checked:
        return checked
    if vr in TEXT_NUMBERS:
        return even(each(checked, lambda part: text(part, vr)), b" ")
    kind = BINARY[vr]
    values = struct.unpack(f"<{len(checked) // struct.calcsize('<' + kind)}{kind}", checked)
    coarse = map(number, values)
    return struct.pack(f"<{len(values)}{kind}", *(coarse if kind in "fd" else map(int, coarse)))


_LARGEST = {
    "f": struct.unpack("<f", b"\xff\xff\x7f\x7f")[0],
    "d": struct.unpack("<d", b"\xff" * 6 + b"\xef\x7f")[0],
}
_NO_VALUES = {
    vr: tuple(struct.pack("<" + kind, value) for value in (np.nan, np.inf, -np.inf, _LARGEST[kind], -_LARGEST[kind]))
    for vr, kind in (("FL", "f"), ("FD", "d"))
}


def padding(argument: str, vr: str, raw: bytes) -> bytes | None:
    """What floating-point pixels hold where there are none: no number, the largest, or any that is measured."""
    return raw if raw in _NO_VALUES.get(vr, ()) else measured(argument, vr, raw)


def _measured_text(text: str, vr: str) -> str:
    """One measured number as text; what is exact to six decimals already stays as it is written."""
    if not text or not 1 <= abs(value := float(text)) < 1e6:
        return _rounded_text(text, vr)
    rounded = round(value, _DIGITS)
    if rounded == value:
        return text
    return str(int(rounded)) if rounded == int(rounded) else decimal_string(rounded)


def _rounded(value: float) -> float:
    return float(f"{value:.6g}") if abs(value) < 1e7 else float(f"{value:.4g}")


def _rounded_text(text: str, vr: str) -> str:
    """One number rounded; a decimal string from 10^7 keeps six digits, since it is written with its exponent."""
    if not text:
        return ""
    value = float(text)
    if vr == "DS" and abs(value) >= 1e7:
        return f"{value:.5e}"
    value = _rounded(value)
    return str(int(value)) if value == int(value) else decimal_string(value)


def _decimal(low: float, high: float, vr: str, raw: bytes, digits: int) -> bytes | None:
    if not raw.strip(b" \0"):
        return b""
    try:
        return even(each(raw, lambda part: _number_or_fail(part, low, high, vr, digits)), b" ")
    except ValueError:  # one of them is none
        return None


def _number_or_fail(text: str, low: float, high: float, vr: str, digits: int) -> str:
    found = _canonical(text, low, high, vr, digits)
    if found is None:
        raise ValueError
    return found


@lru_cache(maxsize=65536)
def _canonical(text: str, low: float, high: float, vr: str, digits: int) -> str | None:
    """One number of DS or IS, rounded to so many significant digits (0: none lost); empty stays empty."""
    if not text:
        return ""
    if vr == "DS" and "," in text:  # a decimal comma: nothing else can be meant (PS3.5 6.2)
        text = text.replace(",", ".")
    if len(text) > 40 or not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if not low <= value <= high or (value and abs(value) < 1e-30):
        return None
    if vr == "IS" and value != int(value):
        return None
    if digits and vr == "DS":
        value = float(f"{value:.{digits}g}")
    if value == int(value) and abs(value) < 1e12:
        return str(int(value))
    return decimal_string(value, max(16, len(text)))


def decimal_string(value: float, limit: int = 16) -> str:
    """The shortest decimal string that is nearest to a number.

    At most 16 characters (PS3.5 6.2), or as many as the file itself used: a position is not made less exact.
    """
    text = repr(value)
    for digits in range(17, 0, -1):
        if len(text) <= limit:
            return text
        text = f"{value:.{digits}g}"
    return text


def _binary(low: float, high: float, kind: str, raw: bytes) -> bytes | None:
    size = struct.calcsize("<" + kind)
    if not raw:
        return b""
    if len(raw) % size:
        return None
    if not all_within(low, high, kind, raw):
        return None
    several = len(raw) > size or (size == 8 and high > 5e5)
    return None if several and reads_as_text(raw) else raw


def reads_as_text(raw: bytes) -> bool:
    """Whether bytes that should be numbers are letters, digits and usual signs throughout."""
    return _TEXTUAL.fullmatch(raw) is not None and len(set(raw) - {0, 32}) >= (
        _LETTERS if len(raw) < 8 else _LETTERS + 1
    )


def floats(argument: str, vr: str, raw: bytes) -> bytes | None:
    """Bulk floating-point numbers: finite, within bounds, nowhere a run of text."""
    if not raw:
        return b""
    kind = {"OF": "<f4", "FL": "<f4", "OD": "<f8", "FD": "<f8"}.get(vr)
    if kind is None or len(raw) % int(kind[2]):
        return None
    low, high = bounds(argument)
    values = np.frombuffer(raw, kind)
    if not (np.isfinite(values).all() and (values >= low).all() and (values <= high).all()):
        return None
    texts = (len(set(run.group())) >= 2 * _LETTERS for run in _TEXT_RUN.finditer(raw))
    return None if reads_as_text(raw) or any(texts) else raw


def indices(_argument: str, vr: str, raw: bytes) -> bytes | None:
    """Bulk indices: below 2^28, so that four characters of text are out of range."""
    if len(raw) % 4 or vr not in ("OL", "UL") or reads_as_text(raw):
        return None
    return raw if not raw or int(np.frombuffer(raw, "<u4").max()) < 1 << 28 else None


def lut(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """A lookup table: steps, ramps and curves, but no run of bytes that reads as text."""
    if reads_as_text(raw):
        return None
    return raw if all(_is_curve(raw, *run.span()) for run in _RUN.finditer(raw)) else None


def _is_curve(raw: bytes, start: int, stop: int) -> bool:
    """Whether a table goes by small steps through a printable run and what is around it; text jumps there."""
    low, high = max(0, start - _AROUND) & ~1, min(len(raw), stop + _AROUND) & ~1
    around = raw[low:high]
    return _is_smooth(np.frombuffer(around, "u1"), 12) or _is_smooth(np.frombuffer(around, "<u2"), 16 * 257)


def _is_smooth(entries: np.ndarray, largest: int) -> bool:
    """Whether entries turn at most once in a dozen, by steps of no more than `largest`, plateaus and jitter apart."""
    steps = np.diff(entries.astype("i4"))
    level = steps == 0
    stairs = np.zeros(len(steps), bool)  # from one plateau of three entries to the next
    stairs[2:-2] = level[:-4] & level[1:-3] & level[3:-1] & level[4:]
    (places,) = np.nonzero(~level & ~stairs)
    steps = steps[places]
    if (np.abs(steps) > largest).any():
        return False
    before, after = steps[:-1], steps[1:]
    turns = (np.sign(before) != np.sign(after)) & (np.maximum(np.abs(before), np.abs(after)) > largest // 6)
    return bool((np.diff(places[1:][turns]) >= 12).all())


def terms(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """Code strings of the closed vocabulary; one that is not in it becomes empty where others stay."""
    if not raw.strip(b" \0"):
        return b""
    known = code_strings()
    values = [part.upper() for part in split(raw)]
    kept = [value if value in known else "" for value in values]
    if not any(kept):
        return None
    return even("\\".join(kept).encode(), b" ")


def standard_uid(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """UIDs that the standard registers."""
    values = split(raw)
    known = standard_uids()
    return even("\\".join(values).encode(), b"\0") if all(value in known for value in values) else None


def attribute_tags(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """Attribute tags: standard ones that the dictionary has."""
    from pydicom.datadict import dictionary_has_tag

    if not raw or len(raw) % 4:
        return b"" if not raw else None
    words = struct.unpack(f"<{len(raw) // 2}H", raw)
    tags = [group << 16 | element for group, element in zip(words[::2], words[1::2], strict=True)]
    return raw if all(not tag & 0x10000 and dictionary_has_tag(tag) for tag in tags) else None


def constant(argument: str, _vr: str, raw: bytes) -> bytes | None:
    """Always the same value."""
    return even(argument.encode(), b" ")


_NUCLEI = ("1H", "H", "3HE", "7LI", "13C", "19F", "23NA", "31P", "129XE", "17O", "2H", "H1")
_RESCALE = ("HU", "OD", "US", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT", "OD REL", "PVAL", "NORMALIZED")


def _one_of(choices: tuple[str, ...]) -> Callable[[str, str, bytes], bytes | None]:
    def grammar(_argument: str, _vr: str, raw: bytes) -> bytes | None:
        value = raw.decode("ascii", "replace").strip(" \0").upper()
        return b"" if not value else even(value.encode(), b" ") if value in choices else None

    return grammar


nucleus = _one_of(_NUCLEI)
rescale = _one_of(_RESCALE)


def words(argument: str, _vr: str, raw: bytes) -> bytes | None:
    """One of the words of the argument."""
    value = raw.decode("ascii", "replace").strip(" \0").upper()
    return b"" if not value else even(value.encode(), b" ") if value in argument.split(",") else None
