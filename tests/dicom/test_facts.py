"""Typed values for the manifest, from the top, from sequences and from functional groups."""

from __future__ import annotations

import pydicom
import pytest
from pydicom.sequence import Sequence

from curate.dicom.attributes import facts
from tests import synth
from tests.dicom import real


def test_values_have_their_types() -> None:
    """Numbers are numbers, several values a list, text is text, and what is missing is left out."""
    found = facts(
        synth.instance_bytes(0, 0, 0, 3),
        ["Rows", "KVP", "PixelSpacing", "ImageType", "InstanceNumber", "CTDIvol", "EchoTime", "PatientName"],
    )
    assert found == {
        "Rows": 64,
        "KVP": 120.0,
        "PixelSpacing": [0.683594, 0.683594],
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "InstanceNumber": 4,
        "CTDIvol": 6.32,
        "PatientName": "Puigdomènech^Montserrat",
    }


def test_a_path_leads_into_sequences() -> None:
    """A path of keywords takes the first item of each sequence; a sequence itself gives its items."""
    ds = synth.load_instance(modality="PT")
    item = pydicom.Dataset()
    item.RadionuclideTotalDose, item.RadionuclideHalfLife = "370000000", "6586.2"
    ds.RadiopharmaceuticalInformationSequence = Sequence([item])
    path = "RadiopharmaceuticalInformationSequence.RadionuclideTotalDose"
    found = facts(synth.to_bytes(ds), [path, "AnatomicRegionSequence"])
    assert found[path] == 370_000_000.0
    assert found["AnatomicRegionSequence"] == [
        {"CodeValue": "51185008", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Chest"}
    ]


def test_functional_groups_are_searched() -> None:
    """What enhanced objects keep in their functional groups is found by its keyword alone."""
    for path in real.sample(20):
        ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        shared = ds.get("SharedFunctionalGroupsSequence")
        if shared and "PixelMeasuresSequence" in shared[0]:
            expected = [float(value) for value in shared[0].PixelMeasuresSequence[0].PixelSpacing]
            assert facts(path.read_bytes(), ["PixelSpacing"])["PixelSpacing"] == expected
            break
    else:
        pytest.fail("no enhanced object in the corpus")


def test_a_value_that_is_none_is_left_out() -> None:
    """A number that isn't one, or an empty value, is as if it were not there."""
    ds = synth.load_instance()
    with pydicom.config.disable_value_validation():
        ds.add_new("ExposureTime", "IS", "")
        ds["KVP"]._value = "many"
        assert facts(synth.to_bytes(ds), ["KVP", "ExposureTime"]) == {}


def test_an_unknown_keyword_is_a_defect() -> None:
    """A keyword that DICOM doesn't have raises at once."""
    with pytest.raises(KeyError):
        facts(synth.instance_bytes(), ["NoSuchKeyword"])
