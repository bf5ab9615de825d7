"""What a donor said: given or withdrawn, on which day, by whom, and whether clinical use has ended."""

from __future__ import annotations

import re
from datetime import date

from curate.metadata.coded import Coded, fold, is_missing

_SAID = {
    "given": "given granted donat donada donado otorgat otorgado acceptat acceptada aceptado aceptada yes y"
    " si true verdadero vertader cert",
    "withdrawn": "withdrawn revoked retirat retirada retirado revocat revocada revocado",
    "": "no n false falso fals refused declined denied denegat denegado rebutjat rechazado",
}
_GIVERS = {
    "self": "self donor patient pacient paciente donant donante jo yo ell ella mateix mateixa mismo misma",
    "guardian": "guardian parent mother father tutor tutora mare pare madre padre progenitor",
    "proxy": "proxy representative representant representante apoderat apoderado",
}
_ENDED = {
    "yes": "yes y si true verdadero vertader cert ended finished acabat finalitzat finalizado terminado",
    "no": "no n false falso fals ongoing",
}
_ISO = re.compile(r"(\d{4})-(\d{2})-(\d{2})(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?")
_DICOM = re.compile(r"(\d{4})(\d{2})(\d{2})")
# a spreadsheet shows empty cells as day 0 of 1900
_EARLIEST, _LATEST = date(1900, 1, 2), date(2099, 12, 31)


def code(raw: str | None) -> Coded:
    """`given` or `withdrawn`."""
    if is_missing(raw):
        return Coded(None, "", "no consent is recorded; write given or withdrawn", "CONSENT_MISSING")
    said = _listed(_SAID, raw)
    if said is None:
        return Coded(None, "", "write given or withdrawn", "CONSENT_UNREADABLE")
    if not said:
        return Coded(None, "", "the donor did not consent", "CONSENT_NOT_GIVEN")
    return Coded(said, f"consent {said}")


def given_by(raw: str | None) -> Coded:
    """`self`, `guardian` or `proxy`; a missing one is no finding."""
    if is_missing(raw):
        return Coded(None, "not stated")
    found = _listed(_GIVERS, raw)
    if found is None:
        return Coded(None, "", "write self, guardian or proxy", "GIVEN_BY_UNKNOWN")
    return Coded(found, found)


def clinical_use_ended(raw: str | None) -> Coded:
    """`yes` or `no`; a missing one is no finding, a day is when it ended."""
    if is_missing(raw):
        return Coded(None, "not stated")
    found = "yes" if day(raw) else _listed(_ENDED, raw)
    if found is None:
        return Coded(None, "", "write yes or no", "CLINICAL_USE_UNREADABLE")
    return Coded(found, "clinical use has ended" if found == "yes" else "clinical use has not ended")


def day(raw: str | None) -> date | None:
    """A day in ISO 8601 (a time behind it is ignored) or DICOM DA; None for anything else.

    Forms such as 05/04/2024 have two readings and are refused; so are a spreadsheet's serial numbers in
    text files, since two calendars count them. (In XLSX they are dates, and arrive here as ISO 8601.)
    """
    text = (raw or "").strip()
    found = _ISO.fullmatch(text) or _DICOM.fullmatch(text)
    if not found:
        return None
    try:
        read = date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return None
    return read if _EARLIEST < read <= _LATEST else None


def _listed(words_of: dict[str, str], raw: str | None) -> str | None:
    """The key whose closed list of words holds a raw value."""
    word = fold(raw or "")
    return next((key for key, words in words_of.items() if word in words.split()), None)
