"""Direct identifiers: what makes an intake that does not de-identify quarantine a study."""

from __future__ import annotations

import re
from functools import cache, lru_cache, partial

from pydicom.datadict import keyword_dict

from curate.core.findings import Finding, merge
from curate.deid.free_text.descriptions import words_of
from curate.deid.grammar import decimal_string, even
from curate.dicom import tags
from curate.dicom.dictionary import TEXT
from curate.dicom.io.character_sets import decode_text
from curate.dicom.io.long_values import each
from curate.dicom.model import Element, Item

PATIENT = ("PatientID", "PatientName")
_ALWAYS = [
    "PatientBirthDate",
    "PatientBirthTime",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientMotherBirthName",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "PatientTelecomInformation",
    "MilitaryRank",
    "MedicalRecordLocator",
    "CountryOfResidence",
    "RegionOfResidence",
    "PatientInsurancePlanCodeSequence",
    "InsurancePlanIdentification",
    "PatientReligiousPreference",
    "AccessionNumber",
    "ReferringPhysicianName",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "PerformingPhysicianName",
    "OperatorsName",
    "NameOfPhysiciansReadingStudy",
    "PhysiciansOfRecord",
    "RequestingPhysician",
    "ScheduledPerformingPhysicianName",
    "ConsultingPhysicianName",
    "InstitutionAddress",
    "AdmissionID",
    "IssuerOfPatientID",
    "PatientComments",
    "AdditionalPatientHistory",
    "FillerOrderNumberImagingServiceRequest",
    "PlacerOrderNumberImagingServiceRequest",
    "ResponsiblePerson",
    "VerifyingObserverName",
    "PersonName",
    "PersonAddress",
    "PersonTelephoneNumbers",
    "ContentCreatorName",
    "ReviewerName",
    "DigitalSignaturesSequence",
    "CurrentPatientLocation",
    "PatientInstitutionResidence",
    "StudyComments",
    "VisitComments",
]
_LONG = 6  # digits
_BLANK = re.compile(
    r"(anonym(i[sz]ed?|ous)?|anon|none|unknown|removed( by ctp)?|deidentified|de-identified|xxx*|[-^=\s.]*|"
    r"no ?name|n/?a|0+)",
    re.IGNORECASE,
)


@cache
def _tags() -> dict[int, str]:
    return {keyword_dict[keyword]: keyword for keyword in _ALWAYS if keyword in keyword_dict}


@cache
def _patient() -> dict[int, str]:
    return {keyword_dict[keyword]: keyword for keyword in PATIENT}


def direct_identifiers(item: Item) -> list[Finding]:
    """Every direct identifier, by keyword path; a pseudonym of what says it is de-identified is none."""
    removed = item.text(tags.PatientIdentityRemoved) == "YES"
    return list(merge(_found(item, "", removed)))


def _found(item: Item, path: str, removed: bool) -> list[Finding]:
    found = []
    for tag, element in item.items():
        name = _tags().get(tag) or ("" if removed else _patient().get(tag, ""))
        if isinstance(element.value, list):
            for index, inner in enumerate(element.value):
                found += _found(inner, f"{path}{_step(tag)}[{index}].", removed)
        elif name and not _BLANK.fullmatch(decode_text(item.raw(tag), item.encodings).strip()):
            found.append(Finding("DIRECT_IDENTIFIER", tag=path + name))
    return found


def _step(tag: int) -> str:
    from pydicom.datadict import keyword_for_tag

    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def identifying_words(item: Item) -> frozenset[str]:
    """The words of all names and numbers of persons in a data set, for `StudyContext.names`."""
    return words_of(_texts(item))


def words_in(item: Item) -> frozenset[str]:
    """The words of all texts of a data set, at every depth."""
    found: frozenset[str] = frozenset()
    for tag, element in item.items():
        if isinstance(element.value, list):
            found = found.union(*map(words_in, element.value))
        elif element.vr in TEXT:
            found |= words_of([decode_text(item.raw(tag), item.encodings)])
    return found


def _texts(item: Item) -> list[str]:
    texts = []
    for tag, element in item.items():
        if isinstance(element.value, list):
            for inner in element.value:
                texts += _texts(inner)
        elif element.vr == "PN" or tag in _tags() or tag in _patient():
            texts.append(decode_text(item.raw(tag), item.encodings))
    return texts


@lru_cache(maxsize=256)
def own_numbers(names: frozenset[str]) -> tuple[bytes, ...]:
    """The numbers of six digits or more in a person's identifiers; shorter ones are met by chance."""
    runs = {run.lstrip("0") for name in names for run in re.findall(r"\d+", name)}
    return tuple(sorted(run.encode() for run in runs if len(run) >= _LONG))


def without_numbers(item: Item, numbers: tuple[bytes, ...]) -> Item:
    """The item with each number that repeats one of these made coarse; itself where none does."""
    changed: dict[int, Element] = {}
    for tag, element in item.items():
        if element.vr in ("DS", "IS") and any(number in item.raw(tag) for number in numbers):
            made = each(item.raw(tag), partial(_coarse, vr=element.vr, numbers=numbers))
            changed[tag] = Element(tag, element.vr, even(made, b" "))
        elif element.items:
            inner = [without_numbers(one, numbers) for one in element.items]
            if any(new is not old for new, old in zip(inner, element.items, strict=True)):
                changed[tag] = Element(tag, element.vr, inner)
    return Item(item | changed, item.encodings) if changed else item


def _coarse(text: str, vr: str, numbers: tuple[bytes, ...]) -> str:
    """A decimal to four significant digits, no integer at all, where it holds one of the numbers."""
    if not any(number in text.encode() for number in numbers):
        return text
    if vr == "IS":
        return ""
    value = float(f"{float(text):.4g}")
    return str(int(value)) if value == int(value) else decimal_string(value)
