"""Text in DICOM's character sets (PS3.5 6.1): decoded only to be compared with what is allowed."""

from __future__ import annotations

import re
from functools import lru_cache

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

DEFAULT = ("iso8859",)
_ESCAPE = re.compile(rb"(?=\x1b)")
_STATEFUL = ("iso2022_jp", "iso2022_jp_2", "iso_ir_58")  # codecs that want the escape sequence itself


@lru_cache(maxsize=256)
def encodings_of(raw: bytes) -> tuple[str, ...]:
    """The Python codecs that a raw Specific Character Set (0008,0005) names; unknown terms as Latin-1."""
    terms = [term.strip() for term in raw.decode("ascii", "replace").strip(" \0").split("\\")]
    codecs = tuple(python_encoding.get(term, "iso8859") for term in terms)
    return codecs or DEFAULT


def decode_text(raw: bytes, encodings: tuple[str, ...]) -> str:
    """The text of a raw value, code extensions (ISO 2022) included; what can't be decoded is replaced."""
    first = (encodings or DEFAULT)[0]
    if b"\x1b" not in raw:
        return raw.decode(first, "replace").rstrip(" \0")
    return "".join(_fragment(part, first) for part in _ESCAPE.split(raw)).rstrip(" \0")


def _fragment(raw: bytes, first: str) -> str:
    """One run of text, from an escape sequence on; an unknown sequence is taken as text."""
    for length in (4, 3):
        codec = CODES_TO_ENCODINGS.get(raw[:length])
        if codec is not None:
            rest = raw if codec in _STATEFUL else raw[length:]
            return rest.decode(codec, "replace")
    return raw.decode(first, "replace")
