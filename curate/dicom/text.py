"""Text in DICOM's character sets (PS3.5 6.1): decoded only to be compared with what is allowed."""

from __future__ import annotations

from functools import lru_cache

from pydicom.charset import CODES_TO_ENCODINGS, python_encoding

DEFAULT = ("iso8859",)


@lru_cache(maxsize=256)
def encodings_of(raw: bytes) -> tuple[str, ...]:
    """The Python codecs that a raw Specific Character Set (0008,0005) names; unknown terms as Latin-1."""
    terms = [term.strip() for term in raw.decode("ascii", "replace").strip(" \0").split("\\")]
    codecs = tuple(python_encoding.get(term, "iso8859") for term in terms)
    return codecs or DEFAULT


def decode_text(raw: bytes, encodings: tuple[str, ...]) -> str:
    """The text of a raw value, code extensions (ISO 2022) included; what can't be decoded is replaced."""
    first, *escaped = raw.split(b"\x1b")
    default = encodings[0] if encodings else DEFAULT[0]
    parts = [first.decode(default, "replace"), *(_extended(part) for part in escaped)]
    return "".join(parts).rstrip(" \0")


def _extended(part: bytes) -> str:
    """What follows an escape sequence, in the codec that it names (PS3.3 C.12.1.1.2); else as Latin-1."""
    for length in (3, 2):
        codec = CODES_TO_ENCODINGS.get(b"\x1b" + part[:length])
        if codec is None:
            continue
        if codec.startswith("iso2022"):
            return (b"\x1b" + part).decode(codec, "replace")
        return part[length:].decode(codec, "replace")
    return part.decode("latin-1")
