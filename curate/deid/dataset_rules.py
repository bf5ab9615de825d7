"""Rules across the elements of an item and of the data set; and what the verifier asks beside them."""

from __future__ import annotations

from functools import cache, lru_cache

from curate.core.findings import Finding
from curate.deid import coded_concepts, dates, labels, pseudonyms, sr_content
from curate.deid.free_text import stated_numbers as stated
from curate.deid.grammar import data
from curate.deid.pixeldata import lookup_tables
from curate.deid.records import Report, StudyContext
from curate.deid.sop_classes import WEIGHT, needs_weight
from curate.dicom import tags
from curate.dicom.model import Element, Item
from curate.policies import Policy

EDITION = "2026d"
_METHOD = f"DICOM PS3.15 Table E.1-1 {EDITION}"
_EMPTY = (
    (tags.StudyDate, "DA"),
    (tags.StudyTime, "TM"),
    (tags.AccessionNumber, "SH"),
    (tags.ReferringPhysicianName, "PN"),
    (tags.PatientName, "PN"),
    (tags.PatientBirthDate, "DA"),
    (tags.PatientSex, "CS"),
    (tags.StudyID, "SH"),
)
_UIDS = (
    (tags.StudyInstanceUID, "StudyInstanceUID"),
    (tags.SeriesInstanceUID, "SeriesInstanceUID"),
    (tags.SOPInstanceUID, "SOPInstanceUID"),
)
_STUDY_DATE, _STUDY_TIME, _METHODS, _FEATURES = (
    tags.StudyDate,
    tags.StudyTime,
    tags.DeidentificationMethodCodeSequence,
    tags.RecognizableVisualFeatures,
)
_OF_PIXELS = (
    ("113101", "Clean Pixel Data Option"),
    ("113102", "Clean Recognizable Visual Features Option"),
)
_REMOVED = b"REMOVED "
_SEGMENT_NUMBER = tags.SegmentNumber
_NUMBERED = (
    (tags.StructureSetROISequence, tags.ROIName, tags.ROINumber, "ROI"),
    (tags.SegmentSequence, tags.SegmentLabel, _SEGMENT_NUMBER, "Segment"),
)
_STRUCTURED = (tags.ContentSequence, tags.AcquisitionContextSequence, tags.SpecimenPreparationSequence)


def finish_item(policy: Policy, context: StudyContext, parent: int, item: Item) -> Item | None:
    """An item of a sequence after its values are clean; None: the item goes."""
    if sr_content.VALUE_TYPE in item and parent:
        coded_concepts.strip(item)
        return sr_content.finish(item)
    if coded_concepts.is_code(item):
        return coded_concepts.clean(parent, item)
    if labels.TRACKING_ID in item:
        labels.tracking(item)
    if not lookup_tables.stays(parent, item):
        return None
    for owner, name, number, word in _NUMBERED:
        if parent == owner and item.text(name) == word:
            item.put(name, item[name].vr, f"{word} {_number(item, number)}".strip().encode())
    return item


def _number(item: Item, tag: int) -> str:
    """The number by which a structure or segment goes where its name does not stay."""
    raw = item.raw(tag)
    text = str(int.from_bytes(raw, "little")) if tag == _SEGMENT_NUMBER else item.text(tag)
    return text if text.isdigit() and len(text) <= 5 else ""


def finish_dataset(policy: Policy, context: StudyContext, item: Item, report: Report) -> Item:
    """The data set with what PS3.15 E.1.1 asks for, and empty where the standard asks for a value of type 2."""
    coded_concepts.strip(item)
    labels.number(context, item)
    for tag, raw in stated.described(item):
        _put_instead(item, tag, raw)
    for tag, vr in _EMPTY:
        if tag not in item:
            item.put(tag, vr, b"")
    if context.shift_us is not None:
        _state_first_day(item, context.study_date)
    if WEIGHT in item and not needs_weight(item):
        del item[WEIGHT]
    donor = context.donor_id if pseudonyms.is_donor_id(context.donor_id) else ""
    item.put(tags.PatientID, "LO", donor.encode())
    item.put(tags.PatientIdentityRemoved, "CS", b"YES ")
    item.put(tags.DeidentificationMethod, "LO", _METHOD.encode())
    moved = context.shift_us is not None
    item[_METHODS] = _method_codes(tuple(_methods(policy, moved, item)))
    item.put(tags.LongitudinalTemporalInformationModified, "CS", b"MODIFIED" if moved else b"REMOVED ")
    return item


def rests_on_others(element: Element) -> bool:
    """Whether `finish_dataset` looks at what an element holds beside others; asked of what changes in a series."""
    return labels.holds(element) if element.items else stated.concerns(element)


def _put_instead(item: Item, tag: int, raw: bytes) -> None:
    """A description as it is now; what its type asks for where nothing of it is left."""
    if raw:
        item.put(tag, item[tag].vr, raw)
    elif _type(tag) == "3":
        del item[tag]
    else:
        item.put(tag, item[tag].vr, _REMOVED if _type(tag) in ("1", "1C") else b"")


@cache
def _types() -> dict[int, str]:
    return {int(entry["tag"], 16): entry["type"] for entry in data("allow.json")}


def _type(tag: int) -> str:
    return _types().get(tag, "3")


def _state_first_day(item: Item, study_date: str) -> None:
    """StudyDate is the study's first day, by which `days_from_first` counts and other dates are held against.

    A StudyTime of another day (a study that was opened before it was scanned, or filed after) says nothing then.
    """
    known = dates.within_era(study_date)
    day = dates.date_text(known).encode() if known else b""
    stated = item.raw(_STUDY_DATE)
    if stated == day:
        return
    if stated.strip():
        item.put(_STUDY_TIME, "TM", b"")
    item.put(_STUDY_DATE, "DA", day)


def _methods(policy: Policy, moved: bool, item: Item) -> list[tuple[str, str]]:
    """The profile and the options really applied (PS3.16 CID 7050)."""
    applied = [("113100", "Basic Application Confidentiality Profile")]
    applied += [option for option in _OF_PIXELS if _states(item, option[0])]
    if any(tag in item for tag in _STRUCTURED):
        applied.append(("113104", "Clean Structured Content Option"))
    if policy.clean_descriptors:
        applied.append(("113105", "Clean Descriptors Option"))
    if moved:
        applied.append(("113107", "Retain Longitudinal Temporal Information Modified Dates Option"))
    if item.raw(WEIGHT):
        applied.append(("113108", "Retain Patient Characteristics Option"))
    if policy.retain_safe_private and _has_private(tuple(item)):
        applied.append(("113111", "Retain Safe Private Option"))
    return applied


def _states(item: Item, code: str) -> bool:
    """Whether a data set says so already: whoever cleaned its pixels has said it."""
    stated = item.items_of(_METHODS)
    return any(i.text(coded_concepts.CODE_VALUE) == code and i.text(coded_concepts.SCHEME) == "DCM" for i in stated)


def state_pixels_clean(item: Item) -> None:
    """Say that the pixels were cleaned of text: what `finish_dataset` then keeps."""
    _state(item, *_OF_PIXELS[0])


def state_faceless(item: Item) -> None:
    """Say that a face was removed from the pixels (PS3.15 E.3.2)."""
    _state(item, *_OF_PIXELS[1])
    item.put(_FEATURES, "CS", b"NO")


def _state(item: Item, code: str, meaning: str) -> None:
    if not _states(item, code):
        item[_METHODS] = Element(_METHODS, "SQ", [*item.items_of(_METHODS), _code(code, meaning)])


@lru_cache(maxsize=64)
def _has_private(tags: tuple[int, ...]) -> bool:
    return any(tag & 0x10000 for tag in tags)


@lru_cache(maxsize=256)
def _method_codes(methods: tuple[tuple[str, str], ...]) -> Element:
    return Element(_METHODS, "SQ", [_code(*code) for code in methods])


def _code(value: str, meaning: str) -> Item:
    item = Item()
    item.put(coded_concepts.CODE_VALUE, "SH", value.encode())
    item.put(coded_concepts.SCHEME, "SH", b"DCM ")
    item.put(coded_concepts.MEANING, "LO", meaning.encode())
    return item


def check_dataset(policy: Policy, item: Item) -> tuple[Finding, ...]:
    """What a released data set must say of itself, beyond that rewriting it changes nothing."""
    found = []
    if not pseudonyms.is_donor_id(item.text(tags.PatientID)):
        found.append(Finding("DONOR_ID_MISSING", tag="PatientID"))
    found += [Finding("UID_NOT_KEYED", tag=name) for tag, name in _UIDS if not pseudonyms.is_new_uid(item.text(tag))]
    return tuple(found)
