"""What is admitted, refused and held; which pixels ask for a look; who is named."""

from __future__ import annotations

import re

import pytest
from pydicom.uid import UID_dictionary

from curate.core import findings
from curate.core.findings import Finding, Severity
from curate.deid import sop_classes
from curate.deid.direct_identifiers import direct_identifiers
from curate.dicom.model import Item
from curate.policies import Policy

CLASS = "1.2.840.10008.5.1.4.1.1."


def instance(sop_class: str = CLASS + "2", **values: str) -> Item:
    tags = {"modality": 0x00080060, "part": 0x00180015, "kind": 0x00080008, "burned": 0x00280301, "study": 0x00081030,
            "weight": 0x00101030, "units": 0x00541001}  # fmt: skip
    item = Item({}, ("utf-8",))
    item.put(0x00080016, "UI", sop_class.encode())
    item.put(0x00280010, "US", b"\x10\0")
    for name, value in values.items():
        item.put(tags[name], "CS", value.encode())
    return item


@pytest.mark.parametrize(
    ("item", "rule"),
    [
        (instance(modality="CT"), ""),
        (instance("1.2.3"), "SOP_CLASS_UNKNOWN"),
        (instance(CLASS + "104.1"), "SOP_CLASS_ENCAPSULATED"),
        (instance(CLASS + "104.3"), "SOP_CLASS_ENCAPSULATED"),
        (instance(CLASS + "9.1.1"), "SOP_CLASS_WAVEFORM"),
        (instance(CLASS + "66"), "SOP_CLASS_RAW_DATA"),
        (instance(CLASS + "7"), "SOP_CLASS_SECONDARY_CAPTURE"),
        (instance(CLASS + "77.1.5.1"), "SOP_CLASS_OPHTHALMIC"),
        (instance(CLASS + "77.1.4"), "SOP_CLASS_PHOTOGRAPH"),
        (instance(CLASS + "88.11"), "SOP_CLASS_FREE_TEXT"),
        (instance(CLASS + "88.34"), ""),
        (instance(CLASS + "6"), ""),
        (instance(CLASS + "3"), ""),
        (instance(CLASS + "5"), ""),
        (instance(CLASS + "12.3"), ""),
        (instance("1.2.840.10008.5.1.1.29"), "SOP_CLASS_SECONDARY_CAPTURE"),
        (instance(CLASS + "77.1.6", kind="ORIGINAL\\PRIMARY\\LABEL\\NONE"), "SLIDE_LABEL"),
        (instance(CLASS + "77.1.6", kind="ORIGINAL\\PRIMARY\\VOLUME\\NONE"), ""),
        (instance(CLASS + "1.3"), "HELD_DENTAL"),
        (instance(CLASS + "6.1", study="ECO FETAL"), "HELD_FETAL"),
        (instance(CLASS + "128", modality="PT", weight="150"), "HELD_WEIGHT"),
        (instance(CLASS + "128", modality="PT", weight="75.4"), ""),
        (instance(CLASS + "2", modality="CT", weight="150"), ""),
    ],
)  # fmt: skip
def test_objects_are_admitted_refused_or_held(item: Item, rule: str) -> None:
    """Each kind of object that is not worth the risk has its own rule; held ones are warnings."""
    found = sop_classes.admit_sop_class(Policy(), item)
    assert (found.rule if found else "") == rule
    if found:
        assert (found.severity is Severity.WARNING) == rule.startswith("HELD_")


def test_the_policy_decides_about_secondary_captures_and_pixels() -> None:
    """Secondary captures, burned-in text and heads are refused, held or admitted as the policy says."""
    capture, burned = instance(CLASS + "7"), instance(modality="CT", burned="YES")
    head = instance(modality="MR", part="BRAIN ")
    assert sop_classes.admit_sop_class(Policy(secondary_capture="allow"), capture) is None
    assert sop_classes.admit_sop_class(Policy(burned_in="refuse"), burned) == Finding("PIXELS_TEXT_REFUSED")
    assert sop_classes.admit_sop_class(Policy(head="refuse"), head) == Finding("PIXELS_FACE_REFUSED")
    assert sop_classes.admit_sop_class(Policy(), head) is None


@pytest.mark.parametrize(
    ("item", "rules"),
    [
        (instance(CLASS + "6.1", modality="US"), {"PIXELS_TEXT_LIKELY"}),
        (instance(modality="CT", kind="DERIVED\\SECONDARY\\SCREEN SAVE"), {"PIXELS_TEXT_LIKELY"}),
        (instance(modality="CT", burned="YES"), {"PIXELS_TEXT_LIKELY"}),
        (instance(modality="CT", part="CHEST "), set()),
        (instance(modality="CT", part="HEAD"), {"PIXELS_FACE_LIKELY"}),
        (instance(modality="MR", study="RM CRANEO "), {"PIXELS_FACE_LIKELY"}),
    ],
)
def test_pixels_that_ask_for_a_look(item: Item, rules: set[str]) -> None:
    """Text in the pixels and faces are warned of where modality, flags, region or words make them likely."""
    assert {found.rule for found in sop_classes.pixel_risks(item)} == rules


@pytest.mark.parametrize(
    ("raw", "weight"),
    [
        (b"75.4", 75),
        (b"39.4", None),
        (b"40", 40),
        (b"120.4", 120),
        (b"121", None),
        (b"Maria", None),
        (b"nan", None),
        (b"1e9", None),
    ],
)
def test_the_weight_is_rounded_or_too_rare(raw: bytes, weight: int | None) -> None:
    """A weight within 40 to 120 kg is rounded to 1 kg; any other tells who it is."""
    assert sop_classes.rounded_weight(raw) == weight


def test_every_rule_exists() -> None:
    """Each rule that an object may be refused or held by is in the list of rules."""
    codes = set(sop_classes.classes().values()) - {"ADMIT", "SECONDARY_CAPTURE"}
    codes |= {"SOP_CLASS_UNKNOWN", "SOP_CLASS_SECONDARY_CAPTURE", "HELD_SECONDARY_CAPTURE", "SLIDE_LABEL", "HELD_FETAL",
              "HELD_WEIGHT", "SOP_CLASS_DENTAL", "SOP_CLASS_FETAL", "PIXELS_TEXT_REFUSED", "PIXELS_FACE_REFUSED"}  # fmt: skip  # noqa: E501 - one case a line
    assert codes <= set(findings.rules())


def person(**values: bytes) -> Item:
    tags = {"name": (0x00100010, "PN"), "id": (0x00100020, "LO"), "birth": (0x00100030, "DA"), "removed": (0x00120062, "CS"),  # noqa: E501 - one case a line
            "doctor": (0x00080090, "PN"), "accession": (0x00080050, "SH"), "age": (0x00101010, "AS")}  # fmt: skip
    item = Item({}, ("utf-8",))
    for key, value in values.items():
        item.put(*tags[key], value)
    return item


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (person(name=b"Garcia^Maria", id=b"123 "), {"PatientName", "PatientID"}),
        (person(name=b"pseudo-17", id=b"17", removed=b"YES "), set()),
        (person(name=b"", id=b"", age=b"064Y", birth=b""), set()),
        (
            person(removed=b"YES ", birth=b"19530712", doctor=b"Puig^Jordi"),
            {"PatientBirthDate", "ReferringPhysicianName"},
        ),
        (person(name=b"ANONYMOUS ", doctor=b"^^^^", accession=b"0 "), set()),
    ],
)
def test_direct_identifiers_are_found(item: Item, found: set[str]) -> None:
    """Names, birth dates, numbers are found by keyword; blanks and pseudonyms are none."""
    assert {finding.tag for finding in direct_identifiers(item)} == found


def test_identifiers_inside_sequences_are_found() -> None:
    """A name in an item has its path."""
    outer = Item({}, ("utf-8",))
    outer.put(0x00400275, "SQ", [person(doctor=b"Puig^Jordi")])
    assert [one.tag for one in direct_identifiers(outer)] == ["RequestAttributesSequence[0].ReferringPhysicianName"]


def test_every_image_class_of_the_standard_is_decided_whether_retired_or_not() -> None:
    """Archives are full of what PS3.6 has retired; no image is unknown for that."""
    images = {
        value: name
        for value, (name, kind, *_) in UID_dictionary.items()
        if kind == "SOP Class" and re.search(r"Image Storage|Hardcopy", name) and "DICOS" not in name
    }
    left = {"Eddy Current", "Enhanced Continuous RT", "Hardcopy Grayscale Image Storage SOP Class"}
    unknown = [name for value, name in images.items() if value not in sop_classes.classes()]
    assert [name for name in unknown if not name.startswith(tuple(left))] == []


def test_retired_ultrasound_may_have_text_as_the_present_class_has() -> None:
    """The look at pixels is asked of both."""
    assert sop_classes.text_likely(instance(CLASS + "6", burned="NO"))
    assert sop_classes.text_likely(instance(CLASS + "3", burned="NO"))
