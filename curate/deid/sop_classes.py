"""Which objects are admitted, refused or held, and which pixels ask for a person's look."""

from __future__ import annotations

import re
from functools import cache

from curate.core.findings import Finding
from curate.deid.grammar import data
from curate.dicom import tags
from curate.dicom.model import Item
from curate.policies import Policy

SOP_CLASS, MODALITY, IMAGE_TYPE, BURNED_IN = tags.SOPClassUID, tags.Modality, tags.ImageType, tags.BurnedInAnnotation
BODY_PART, REGION, WEIGHT, UNITS = tags.BodyPartExamined, tags.AnatomicRegionSequence, tags.PatientWeight, tags.Units
LIGHTEST, HEAVIEST = 40, 120

_PT = ("1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.128.1", "1.2.840.10008.5.1.4.1.1.130")
_NM = "1.2.840.10008.5.1.4.1.1.20"
_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_PIXEL_MODALITIES = frozenset(("US", "IVUS", "SC", "OT", "ES", "XC", "RF", "XA", "DG", "SR", "DOC"))
_ULTRASOUND = tuple(f"1.2.840.10008.5.1.4.1.1.{number}" for number in ("3", "3.1", "6", "6.1"))  # 3 and 6: retired
_SCREEN = re.compile(r"SCREEN|SECONDARY CAPT|SAVE|REPORT|SUMMARY|DOSE_INFO|CAPTURE|3D_RENDER|VOLUME_RENDER")
_HEAD_PARTS = frozenset(
    [
        "HEAD",
        "HEADNECK",
        "BRAIN",
        "SKULL",
        "FACE",
        "ORBIT",
        "NECK",
        "SINUS",
        "MAXILLA",
        "MANDIBLE",
        "JAW",
        "IAC",
        "EAR",
        "EYE",
        "TMJ",
        "WHOLEBODY",
        "NOSE",
        "MOUTH",
        "HEADNECKCHEST",
        "CEREBELLUM",
        "CEREBRUM",
        "NECKCHESTABDPELV",
        "CSPINE",
        "TONGUE",
        "CHEEK",
        "PAROTID",
    ]
)
_HEAD_CODES = frozenset(
    [
        "69536005",
        "12738006",
        "774007",
        "89546000",
        "89545001",
        "371398005",
        "371399002",
        "113305005",
        "T-A0100",
        "T-D1100",
        "T-D1000",
        "38266002",
        "70925003",
        "91609006",
        "661005",
        "1101003",
        "39607008",
        "45048000",
        "T-D1600",
        "T-11100",
        "T-D0010",
    ]
)
_VOLUMES = frozenset(("CT", "MR", "PT", "NM"))
_HEAD_WORDS = re.compile(
    r"\b(HEAD|BRAIN|NEURO|CRAN[IE]\w*|CEREBR\w*|CERVELL|FACE|FACIAL|ORBIT\w*|SKULL|FLAIR|MPRAGE|MP2RAGE|SINUS|PENASCOS|HIPOFISIS)\b"
)
_DENTAL = frozenset(("IO", "PX"))
_DENTAL_PARTS = frozenset(("TOOTH", "TEETH", "DENTAL"))
_FETAL_PARTS = frozenset(
    ("FETUS", "FETAL HEART", "FETAL POLE", "FETAL ARMS", "FETAL LEGS", "PLACENTA", "AMNIOTIC FLUID")
)
_FETAL_WORDS = re.compile(r"\b(FETAL|FETUS|FETO|FETALE?S?|OBSTETRIC\w*|PREGNANCY|EMBARAZO|EMBARAS|OB)\b")


@cache
def classes() -> dict[str, str]:
    """What is decided of each storage SOP class: ADMIT, or a rule's code."""
    table: dict[str, str] = data("sopclasses.json")
    return table


def admit_sop_class(policy: Policy, item: Item) -> Finding | None:
    """The finding by which an instance is refused (an error) or held (a warning); None: admitted."""
    rule = _rule(policy, item)
    return Finding(rule, tag="SOPClassUID" if rule.startswith("SOP_") else "") if rule else None


def _rule(policy: Policy, item: Item) -> str:
    decided = classes().get(item.text(SOP_CLASS), "SOP_CLASS_UNKNOWN")
    if decided == "SECONDARY_CAPTURE":
        decided = {"refuse": "SOP_CLASS_SECONDARY_CAPTURE", "hold": "HELD_SECONDARY_CAPTURE"}.get(
            policy.secondary_capture, "ADMIT"
        )
    if decided not in ("ADMIT", "HELD_DENTAL"):
        return decided
    if item.text(SOP_CLASS) == _SLIDE and {"LABEL", "OVERVIEW"} & set(_values(item, IMAGE_TYPE)):
        return "SLIDE_LABEL"
    if text_likely(item) and policy.burned_in == "refuse":
        return "PIXELS_TEXT_REFUSED"
    if face_likely(item) and policy.head == "refuse":
        return "PIXELS_FACE_REFUSED"
    return _held(policy, item, decided)


def _held(policy: Policy, item: Item, decided: str) -> str:
    dental = decided == "HELD_DENTAL" or item.text(MODALITY) in _DENTAL or _part(item) in _DENTAL_PARTS
    fetal = _part(item) in _FETAL_PARTS or bool(_FETAL_WORDS.search(_words(item)))
    if (dental or fetal) and policy.dental_and_fetal != "allow":
        kind = "DENTAL" if dental else "FETAL"
        return f"SOP_CLASS_{kind}" if policy.dental_and_fetal == "refuse" else f"HELD_{kind}"
    if needs_weight(item) and _states_weight(item) and rounded_weight(item.raw(WEIGHT)) is None:
        return "HELD_WEIGHT"
    return ""


def pixel_risks(item: Item) -> tuple[Finding, ...]:
    """Warnings about what the pixels may show: burned-in text, a face."""
    found = []
    if text_likely(item):
        found.append(Finding("PIXELS_TEXT_LIKELY", tag="PixelData"))
    if face_likely(item):
        found.append(Finding("PIXELS_FACE_LIKELY", tag="PixelData"))
    return tuple(found)


def text_likely(item: Item) -> bool:
    """Whether modality, class or flags make text in the pixels likely."""
    if tags.PixelData not in item and not item.raw(tags.Rows):
        return False
    burned = item.text(BURNED_IN)
    if burned == "YES":
        return True
    if _SCREEN.search("\\".join(_values(item, IMAGE_TYPE))):
        return True
    decided = classes().get(item.text(SOP_CLASS))
    if decided == "SECONDARY_CAPTURE" or item.text(SOP_CLASS) in _ULTRASOUND:
        return True
    return item.text(MODALITY) in _PIXEL_MODALITIES and burned != "NO"


def face_likely(item: Item) -> bool:
    """Whether a volume may show a head, from which a face can be rendered."""
    if item.text(MODALITY) not in _VOLUMES or item.text(tags.RecognizableVisualFeatures) == "NO":
        return False
    codes = {code.text(tags.CodeValue) for code in item.items_of(REGION)}
    return bool(_part(item) in _HEAD_PARTS or codes & _HEAD_CODES or _HEAD_WORDS.search(_words(item)))


def _values(item: Item, tag: int) -> list[str]:
    return [part.strip() for part in item.text(tag).upper().split("\\")]


def _part(item: Item) -> str:
    return item.text(BODY_PART).upper().replace(" ", "")


def _words(item: Item) -> str:
    """The descriptions, only to look for words that ask for care."""
    texts = (
        item.text(tag).upper()
        for tag in (tags.StudyDescription, tags.SeriesDescription, tags.ProtocolName, tags.ProcedureCodeSequence)
    )
    return re.sub(r"[^A-Z0-9]+", " ", " ".join(texts))


def needs_weight(item: Item) -> bool:
    """Whether the object is a quantitative one whose uptake values need the weight: PT, and NM in such units."""
    sop_class = item.text(SOP_CLASS)
    if sop_class in _PT:
        return True
    return sop_class == _NM and (
        item.text(UNITS) in ("BQML", "GML") or bool(item.items_of(tags.RealWorldValueMappingSequence))
    )


def _states_weight(item: Item) -> bool:
    try:
        return float(item.text(WEIGHT) or 0) != 0
    except ValueError:  # what cannot be read may be one
        return True


def rounded_weight(raw: bytes) -> int | None:
    """The weight rounded to 1 kg; None where it is none, or so rare that it tells who (below 40, above 120)."""
    try:
        weight = round(float(raw.decode("ascii").strip(" \0")))
    except (ValueError, OverflowError):
        return None
    return weight if LIGHTEST <= weight <= HEAVIEST else None
