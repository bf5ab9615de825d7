"""Text in DICOM's character sets (PS3.5 6.1): decoded only to be compared with what is allowed."""

from __future__ import annotations

from functools import lru_cache

from pydicom.charset import decode_bytes, python_encoding

DEFAULT = ("iso8859",)
_DELIMITERS = {0x0D, 0x0A, 0x0C, 0x09}


@lru_cache(maxsize=256)
def encodings_of(raw: bytes) -> tuple[str, ...]:
    """The Python codecs that a raw Specific Character Set (0008,0005) names; unknown terms as Latin-1."""
    terms = [term.strip() for term in raw.decode("ascii", "replace").strip(" \0").split("\\")]
    codecs = tuple(python_encoding.get(term, "iso8859") for term in terms)
    return codecs or DEFAULT


def decode_text(raw: bytes, encodings: tuple[str, ...]) -> str:
    """The text of a raw value, code extensions (ISO 2022) included; what can't be decoded is replaced."""
    if b"\x1b" not in raw and len(encodings) > 0:
        return raw.decode(encodings[0], "replace").rstrip(" \0")
    try:
        return decode_bytes(raw, list(encodings or DEFAULT), set(_DELIMITERS)).rstrip(" \0")
    except (LookupError, UnicodeError, ValueError):
        return raw.decode("latin-1").rstrip(" \0")
