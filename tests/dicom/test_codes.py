"""Coded concepts and coded content: known meanings stay, everything else goes."""

from __future__ import annotations

import pytest

from curate.deid import coded_concepts, dataset_rules, sr_content
from curate.deid.records import StudyContext
from curate.dicom.model import Item
from curate.policies import Policy

CONTEXT = StudyContext(None, "", 0, "20000101")


def code(value: str, scheme: str, meaning: str = "Maria Garcia") -> Item:
    item = Item()
    item.put(coded_concepts.CODE_VALUE, "SH", value.encode())
    item.put(coded_concepts.SCHEME, "SH", scheme.encode())
    item.put(coded_concepts.MEANING, "LO", meaning.encode())
    return item


@pytest.mark.parametrize(
    ("value", "scheme", "meaning"),
    [
        ("121233", "DCM", "Source image for segmentation"),
        ("10200004", "SCT", "Liver"),
        ("T-62000", "SRT", None),
        ("mm", "UCUM", "millimeter"),
        ("g/ml", "UCUM", None),
        ("29463-7", "LN", None),
    ],
)
def test_a_known_code_gets_the_known_meaning(value: str, scheme: str, meaning: str | None) -> None:
    """Whatever the file's own meaning says, the table's stands there afterwards."""
    cleaned = coded_concepts.clean(0, code(value, scheme))
    assert cleaned is not None
    assert "Garcia" not in cleaned.text(coded_concepts.MEANING)
    assert cleaned.text(coded_concepts.CODE_VALUE) == value
    if meaning:
        assert cleaned.text(coded_concepts.MEANING).lower() == meaning.lower()


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ("123", "99LOCAL"), ("Maria", "DCM"), ("83920471", "SCT"), ("612345678", "SCT"), ("121233", "L"), ("", "DCM"),
        ("MARIA", "UCUM"), ("{Garcia}", "UCUM"), ("12345-6", "LN"), ("C83920471", "NCIt"), ("C50.9", "I10"),
    ],
)  # fmt: skip
def test_an_unknown_code_goes(value: str, scheme: str) -> None:
    """Private schemes, unknown values, wrong check digits and diagnoses are no codes."""
    assert coded_concepts.clean(0, code(value, scheme)) is None


def test_a_required_code_has_a_substitute() -> None:
    """A segment of a private type is still a segment of some tissue."""
    cleaned = coded_concepts.clean(0x0062000F, code("Tumor of Maria", "99LOCAL"))
    assert cleaned is not None
    assert cleaned.text(coded_concepts.CODE_VALUE) == "85756007"
    assert coded_concepts.clean(0x0062000F, cleaned) == cleaned


def test_check_digits() -> None:
    """SNOMED CT and LOINC identifiers are known by their check digits."""
    wrong = [
        value for value in coded_concepts.known()["SCT"] if len(value) < 11 and not coded_concepts.is_snomed(value)
    ]
    assert len(wrong) < 40
    assert not coded_concepts.is_snomed("10200005")
    assert coded_concepts.is_loinc("8302-2")
    assert not coded_concepts.is_loinc("8302-3")


def content_item(kind: str, concept: Item | None, **values: bytes) -> Item:
    item = Item()
    item.put(sr_content.VALUE_TYPE, "CS", kind.encode())
    if concept is not None:
        item.put(sr_content.CONCEPT, "SQ", [concept])
    for name, value in values.items():
        item.put(int(name[1:], 16), "UT", value)
    return item


@pytest.mark.parametrize("kind", ["TEXT", "PNAME", "TABLE", "WAVEFORM", "", "SOMETHING"])
def test_free_content_goes(kind: str) -> None:
    """Text, names and what nobody knows are no coded content."""
    item = content_item(kind, code("121106", "DCM", "Comment"), x0040A160=b"Maria was here")
    assert dataset_rules.finish_item(Policy(), CONTEXT, 0x0040A730, item) is None


@pytest.mark.parametrize(
    ("value", "scheme"), [("121033", "DCM"), ("121032", "DCM"), ("29463-7", "LN"), ("27113001", "SCT")]
)
def test_characteristics_of_the_person_go(value: str, scheme: str) -> None:
    """Age, sex and weight are no content of a released report."""
    item = content_item("NUM", code(value, scheme, "Subject Age"))
    assert sr_content.finish(item) is None


def test_measurements_stay_and_hide_no_code() -> None:
    """A number with a known name stays; attributes of a code beside it go."""
    item = content_item("NUM", code("118565006", "SCT", "Volume"))
    item.put(0x0040A300, "SQ", [Item()])
    item.put(coded_concepts.CODE_VALUE, "SH", b"Maria ")
    finished = dataset_rules.finish_item(Policy(), CONTEXT, 0x0040A730, item)
    assert finished is not None
    assert coded_concepts.CODE_VALUE not in finished


def test_structures_and_segments_get_numbers() -> None:
    """What keeps no name is told apart by its number."""
    roi = Item()
    roi.put(0x30060022, "IS", b"7 ")
    roi.put(0x30060026, "LO", b"ROI ")
    assert dataset_rules.finish_item(Policy(), CONTEXT, 0x30060020, roi).text(0x30060026) == "ROI 7"  # type: ignore[union-attr]
    segment = Item()
    segment.put(0x00620004, "US", b"\x03\0")
    segment.put(0x00620005, "LO", b"Segment ")
    assert dataset_rules.finish_item(Policy(), CONTEXT, 0x00620002, segment).text(0x00620005) == "Segment 3"  # type: ignore[union-attr]
