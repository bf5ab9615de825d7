"""Numbers in descriptions and sequence names stay where the instance's own attributes state them."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from tests.dicom.test_labels import released
from tests.planter import bases
from tests.planter.bases import item


def magnetic(**more: object) -> Dataset:
    """A classic MR image."""
    data = bases._ct()
    for name in ("KVP", "ConvolutionKernel", "XRayTubeCurrent", "CTDIvol", "ExposureTime"):
        delattr(data, name)
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    data.Modality = "MR"
    data.update(item(EchoTime="30", RepetitionTime="2000", FlipAngle="90", MagneticFieldStrength="3"))
    data.update(item(**more))
    return data


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("TE 1958 TR 1231 b12319", "TE TR"),
        ("TE 30 TR 2000", "TE 30 TR 2000"),
        ("TE 30 TR 1958", "TE 30 TR"),
        ("T2 TSE SAG 1.5mm", "T2 TSE SAG 1.5mm"),
        ("T2 TSE SAG 2mm", "T2 TSE SAG 2mm"),  # rounded as it is written
        ("T2 TSE SAG 58mm", "T2 TSE SAG"),
        ("AXIAL FA 90 3T", "AXIAL FA 90 3T"),
        ("AXIAL FA 58", "AXIAL FA"),
        ("AXIAL 19mm 58mm 2mm 3mm", "AXIAL 2mm"),
    ],
)
def test_a_number_in_a_description_is_one_that_the_instance_states(text: str, kept: str) -> None:
    """Echo, repetition, flip angle, thickness, field: what nothing states goes."""
    assert released(magnetic(SeriesDescription=text)).text(0x0008103E) == kept


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("tfl3d1231", "tfl3d1"), ("*tfl3d1_16ns", "*tfl3d1_16ns"), ("*tse2d1_9", "*tse2d1_9"),
        ("*tse2d1_58", "*tse2d1"), ("*ep_b1000#4", "*ep"), ("*fl2d1", "*fl2d1"), ("AQ58", ""),
    ],
)  # fmt: skip
def test_a_number_in_a_sequences_name_is_one_that_the_instance_states(name: str, kept: str) -> None:
    """Echo train, b-value, direction."""
    data = magnetic(SequenceName=name, EchoTrainLength="9")
    assert released(data).text(0x00180024) == kept


def test_a_bvalue_is_stated_by_the_vendors_own_attribute() -> None:
    """In a Siemens image the name of the sequence and the description may say the private b-value."""
    data = magnetic(SequenceName="*ep_b1000#4", SeriesDescription="DTI b1000 b1958", InstanceNumber="5")
    data.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "1000")
    found = released(data)
    assert found.text(0x00180024) == "*ep_b1000#4"
    assert found.text(0x0008103E) == "DTI b1000"


def test_within_a_sequence_no_number_stays() -> None:
    """Nothing beside it states it there."""
    data = bases._enhanced()
    shared = data.SharedFunctionalGroupsSequence[0]
    shared.FrameVOILUTSequence = [item(WindowCenter="40", WindowWidth="400", WindowCenterWidthExplanation="LUNG 58mm")]
    found = released(data).items_of(0x52009229)[0].items_of(0x00289132)
    assert [one.text(0x00281055) for one in found] == ["LUNG"]
