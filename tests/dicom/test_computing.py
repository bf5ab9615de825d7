"""A value that research computes from stays, or its instance has a finding."""

from __future__ import annotations

import io
import struct
from dataclasses import replace
from typing import Any

import pydicom
import pytest
from pydicom.datadict import dictionary_VR, keyword_dict
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from curate.deid import analysis_critical_attributes, grammar, private_attributes, profile
from curate.deid.records import Rewritten
from curate.deid.rewrite import rewrite
from curate.dicom.model import MalformedError
from tests import synth
from tests.corpus import ROOT
from tests.planter.system import POLICY, context_of

MAX_FLOAT = struct.pack("<f", -3.4028234663852886e38)


def made(keyword: str, raw: bytes, *, modality: str = "CT", inside: str = "") -> Rewritten:
    """An instance with one raw value, at the top or in an item of a sequence."""
    dataset = synth.load_instance(modality=modality, rows=16, columns=16)
    holder = dataset
    if inside:
        holder = Dataset()
        setattr(dataset, inside, [holder])
    tag, vr = keyword_dict[keyword], dictionary_VR(keyword_dict[keyword]).split(" or ")[0]
    holder[tag] = RawDataElement(Tag(tag), vr, len(raw), raw, 0, False, True)
    data = synth.to_bytes(dataset)
    return rewrite(data, context_of(data), POLICY)


def kept(rewritten: Rewritten, keyword: str) -> Any:
    return pydicom.dcmread(io.BytesIO(b"".join(rewritten.chunks))).get(keyword)


def losses(rewritten: Rewritten) -> list[tuple[str, str, int]]:
    return [(f.rule, f.tag, f.count) for f in rewritten.findings if f.rule.startswith("VALUE_LOST")]


def refusal(keyword: str, raw: bytes, **place: str) -> tuple[str, str]:
    """By which rule, and for which attribute, an instance is refused."""
    with pytest.raises(MalformedError) as told:
        made(keyword, raw, **place)
    return told.value.rule, told.value.tag


@pytest.mark.parametrize(
    ("keyword", "raw", "rule"),
    [
        ("PixelSpacing", b"0.7\\0.7 ", ""),
        ("PixelSpacing", b"0,703\\0,703 ", ""),
        ("PixelSpacing", b"0.7\\banana", "VALUE_LOST"),  # no reader could read it before
        ("PixelSpacing", b"9999999\\1 ", "VALUE_LOST_IMAGE"),
        ("RescaleSlope", b"83920471", "VALUE_LOST_IMAGE"),
        ("RescaleSlope", b"0.00024420024420024", ""),
        ("RescaleIntercept", b"-1024 ", ""),
        ("ImagePositionPatient", b"1e9\\0\\0 ", "VALUE_LOST_IMAGE"),
        ("WindowCenter", b"250000", ""),
        ("WindowWidth", b"250000", ""),  # with its centre
        ("WindowWidth", b"NORMAL", "VALUE_LOST"),
        ("EchoTime", b"1.23456789", ""),  # rounded, not lost
        ("EchoTime", b"SHORT ", "VALUE_LOST"),
        ("FrameTime", b"40", ""),
        ("StudyDescription", b"nobody knows", ""),  # nothing is computed from it
        ("KVP", b"banana", ""),
        ("RescaleIntercept", b"83920471 ", "VALUE_LOST_IMAGE"),
        ("DoseGridScaling", b"83920471", "VALUE_LOST_IMAGE"),
        ("NumberOfFrames", b"9999999999", "VALUE_LOST_IMAGE"),
        ("FrameIncrementPointer", struct.pack("<2H", 0x0019, 0x100C), "VALUE_LOST"),  # of a private attribute
        ("PatientPosition", b"HFS\\BANANA", "VALUE_LOST"),  # one of two values stays
        ("RadiopharmaceuticalStartTime", b"091500", ""),  # it moves
    ],
)
def test_a_value_that_is_not_kept_is_told(keyword: str, raw: bytes, rule: str) -> None:
    """An error where the image would be read otherwise than before, else a warning; nothing where it stays."""
    if rule == "VALUE_LOST_IMAGE":
        assert refusal(keyword, raw) == (rule, keyword)
    else:
        assert losses(made(keyword, raw)) == ([(rule, keyword, 1)] if rule else [])


def test_what_is_lost_in_items_is_told_and_counted_for_every_instance() -> None:
    """Equal elements are judged once, and told each time."""
    for _ in range(3):
        found = made("DiffusionBValue", struct.pack("<d", 1e12), modality="MR", inside="MRDiffusionSequence")
        assert losses(found) == [("VALUE_LOST", "DiffusionBValue", 1)]
        assert not any(" " in label for label in found.applied)
        slope = struct.pack("<d", 1e12)
        place = "RealWorldValueMappingSequence"
        assert refusal("RealWorldValueSlope", slope, inside=place) == (
            "VALUE_LOST_IMAGE",
            "RealWorldValueSlope",
        )
    assert losses(made("KVP", b"120 ")) == []


@pytest.mark.parametrize(
    ("keyword", "raw", "inside", "modality"),
    [
        (
            "DiffusionGradientOrientation",
            struct.pack("<3d", 1e9, 0, 0),
            "DiffusionGradientDirectionSequence",
            "MR",
        ),
        ("RadionuclideTotalDose", b"MUCH", "RadiopharmaceuticalInformationSequence", "PT"),
    ],
)
def test_a_direction_or_a_dose_that_is_not_kept_is_told(keyword: str, raw: bytes, inside: str, modality: str) -> None:
    """What diffusion and uptake are computed from stands in items."""
    assert losses(made(keyword, raw, inside=inside, modality=modality)) == [("VALUE_LOST", keyword, 1)]


def test_an_attribute_of_another_vr_is_a_loss_too() -> None:
    """A spacing that stands as another VR than the standard gives it is not kept."""
    dataset = synth.load_instance(rows=16, columns=16)
    dataset.add_new(0x00180088, "FD", 2.5)
    data = synth.to_bytes(dataset)
    with pytest.raises(MalformedError) as told:
        rewrite(data, context_of(data), POLICY)
    assert (told.value.rule, told.value.tag) == ("VALUE_LOST_IMAGE", "SpacingBetweenSlices")


def test_a_private_b_value_that_is_not_kept_is_told() -> None:
    """By its creator and its element, as it stands in the block."""
    dataset = synth.load_instance(modality="MR", private=False, rows=16, columns=16)
    block = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", "2000000")
    data = synth.to_bytes(dataset)
    assert losses(rewrite(data, context_of(data), POLICY)) == [("VALUE_LOST", "(0019,xx0C)", 1)]


def test_dates_that_the_policy_removes_are_no_loss() -> None:
    """What a policy takes away is known; only what it would keep can be lost."""
    dataset = synth.load_instance(modality="PT", rows=16, columns=16)
    agent = Dataset()
    agent.RadiopharmaceuticalStartDateTime = "20190304071500"
    dataset.RadiopharmaceuticalInformationSequence = [agent]
    data = synth.to_bytes(dataset)
    policy = replace(POLICY, dates="remove")
    assert losses(rewrite(data, context_of(data, policy), policy)) == []


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        (b"0.7\\0.7 ", b"0.70\\.7 ", ""),
        (b"0.70000001\\1", b"0.7\\1 ", ""),  # rounded
        (b"0.7\\0.7 ", b"0.7\\0.8 ", "VALUE_LOST_IMAGE"),
        (b"0.7\\0.7 ", b"0.7 ", "VALUE_LOST_IMAGE"),
        (b"0.7\\0.7 ", b"0.7\\ ", "VALUE_LOST_IMAGE"),
        (b"0.7\\wide", b"0.7\\ ", "VALUE_LOST"),
    ],
)
def test_a_value_that_says_something_else_is_lost(before: bytes, after: bytes, rule: str) -> None:
    """Another number, one less, or an empty place; a spelling and a last digit are none of these."""
    assert (
        analysis_critical_attributes.lost(
            analysis_critical_attributes.standard()[keyword_dict["PixelSpacing"]], "DS", before, after
        )
        == rule
    )


def test_the_list_names_what_the_profile_keeps() -> None:
    """An attribute that goes anyway is no loss; each entry is kept by a grammar, and is one of three effects."""
    for tag, on in analysis_critical_attributes.standard().items():
        assert keyword_dict[on.name] == tag
        assert tag in profile.allowed()
        assert on.effect in ("geometry", "pixels", "values") and on.why
    assert set(analysis_critical_attributes.private()) <= set(private_attributes.safe())
    wanted = "PixelSpacing RescaleSlope RescaleIntercept RedPaletteColorLookupTableData DoseGridScaling DiffusionBValue"
    wanted += " ImageOrientationPatient FrameIncrementPointer NumberOfFrames RadionuclideTotalDose SliceThickness"
    assert {keyword_dict[name] for name in wanted.split()} <= set(analysis_critical_attributes.standard())


@pytest.mark.parametrize(
    ("keyword", "raw", "expected"),
    [
        ("NumericValue", b"1234567.5 ", b"1234570 "),  # mm3: six digits from a million on
        ("NumericValue", b"123456.789", b"123456.789"),
        ("NumericValue", b"0.83920471", b"0.839205"),  # no more digits behind the point either
        ("NumericValue", b"-1.83920471 ", b"-1.839205 "),
        ("DecayFactor", b"0.0000083920471 ", b"8.39205e-06 "),
        ("DVHData", b"999999.9999999\\1.0000000001", b"1000000\\1 "),
        ("DVHData", b"0.25\\1234.56789012", b"0.25\\1234.56789 "),
        ("NumericValue", b"4.2e9 ", b"4.20000e+09 "),
        ("NumericValue", b"83920471", b"8.39205e+07 "),
        ("FloatingPointValue", struct.pack("<d", 2.5e6), struct.pack("<d", 2.5e6)),
        ("GraphicData", struct.pack("<2f", 120000.5, 98304.0), struct.pack("<2f", 120000.5, 98304.0)),
        ("NumberOfContourPoints", b"25000 ", b"25000 "),
        ("NumberOfAnnotations", struct.pack("<L", 2_400_000), struct.pack("<L", 2_400_000)),
        ("WindowWidth", b"65535 ", b"65535 "),
        ("FrameReferenceTime", b"14400000", b"1.44000e+07 "),
        ("DoseCalibrationFactor", b"2.4317e+007 ", b"2.43170e+07 "),
        ("FloatPixelPaddingValue", MAX_FLOAT, MAX_FLOAT),
        ("FloatPixelPaddingValue", struct.pack("<f", float("nan")), struct.pack("<f", float("nan"))),
        ("FloatPixelPaddingValue", struct.pack("<f", -9999.0), struct.pack("<f", -9999.0)),
        ("DisplayedAreaTopLeftHandCorner", struct.pack("<2l", -15, -20), struct.pack("<2l", -15, -20)),
        ("PixelComponentMask", struct.pack("<L", 0xFFFF), struct.pack("<L", 0xFFFF)),
        ("ExposureTime", b"250000", b"250000"),
        ("SliceThickness", b"2,5 ", b"2.5 "),
        ("RescaleSlope", b"1,5,2 ", None),
    ],
)
def test_what_is_plausible_for_any_device_stays(keyword: str, raw: bytes, expected: bytes | None) -> None:
    """Ranges come from physics or from what a module lets an attribute hold; long numbers are rounded, not dropped."""
    tag = keyword_dict[keyword]
    vr = dictionary_VR(tag).split(" or ")[0]
    name, argument = grammar.parse_grammar(profile.allowed()[tag].grammar)
    clean: Any = getattr(grammar, {"num": "number"}.get(name, name))
    found = clean(argument, vr, raw)
    assert found == expected
    assert found is None or clean(argument, vr, found) == found


def test_the_case_of_the_public_report() -> None:
    """A decimal comma: the scale stays."""
    path = ROOT.parent / "cases" / "decimal-comma" / "ct.dcm"
    if not path.exists():
        pytest.skip("needs the shared cases")
    data = path.read_bytes()
    rewritten = rewrite(data, context_of(data), POLICY)
    assert [float(value) for value in kept(rewritten, "PixelSpacing")] == [0.703, 0.703]
    assert (float(kept(rewritten, "SliceThickness")), losses(rewritten)) == (2.5, [])
