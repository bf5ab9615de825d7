"""Sex: DICOM, HL7, ISO 5218 and words in Catalan, Spanish and English, to M, F or O.

PS3.3 C.7.1.1 (0010,0040); HL7 table 0001; ISO/IEC 5218.
"""

from __future__ import annotations

from curate.metadata.coded import Coded, fold, is_missing

_WORDS = {
    "M": "m 1 male man boy masc masculine home noi nen masculi baro hombre varon nino masculino",
    "F": "f 2 female woman girl fem feminine dona noia nena femeni femella mujer nina femenino hembra",
    "O": "o a other ambiguous intersex altre altres otro otra intersexual ambigu ambiguo hermaphrodite",
}
_CODES = {word: code for code, words in _WORDS.items() for word in words.split()} | {"1.0": "M", "2.0": "F"}
_MEANINGS = {"M": "male", "F": "female", "O": "other"}
_PLACEHOLDERS = frozenset({"u", "un", "n", "0", "9", "00", "000", "0000", "?", "x", "unk", "0.0", "9.0"})
_SPANISH_INITIALS = {"h": "M", "v": "M", "d": "F"}  # hombre or home, varón, dona


def code(raw: str | None, *, spanish_initials: bool = False) -> Coded:
    """The sex of a raw value.

    `spanish_initials` says that the same column also uses H or V (hombre, varón), so that M may be mujer.
    """
    text = fold(raw or "").strip("*'\"")
    if is_missing(raw) or not text or text in _PLACEHOLDERS:
        return Coded(None, "unknown", "a placeholder for an unknown sex", "SEX_UNKNOWN")
    if text == "m" and spanish_initials:
        reason = "the column also uses H or V, so M may be male or mujer; write male and female in words"
        return Coded(None, "", reason, "SEX_AMBIGUOUS")
    found = _CODES.get(text) or _SPANISH_INITIALS.get(text)
    if found is None:
        return Coded(None, "", "not a sex; write M, F or O", "SEX_UNREADABLE")
    return Coded(found, _MEANINGS[found])


def uses_spanish_initials(values: set[str]) -> bool:
    """Whether a column's distinct values hold H or V, for hombre and varón."""
    return bool({"h", "v"} & {fold(value) for value in values})


def disagree(table: Coded, header: Coded) -> bool:
    """Whether table and header name different sexes (SEX_DISAGREES); unknown ones do not disagree."""
    return table.code is not None and header.code is not None and table.code != header.code
