"""Labels that only refer are named by their order, the same in all places; rewriting again changes nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydicom.dataset import Dataset

from curate.core.findings import has_errors
from curate.deid.verify import verify
from curate.dicom.io.reader import parse
from curate.dicom.model import Item
from tests.planter import bases, system
from tests.planter.bases import item
from tests.planter.places.place import reach
from tests.planter.raw import put, read, text, write

PERSONS = ("AQ58", "QZ5802", "58", "1958", "Q58", "AQ-58", "0203")


def released(data: Dataset) -> Item:
    """The clean data set of a file, which the verifier passes and the rewriter leaves alone."""
    done = system.attack(bases.written(data))
    assert done.released is not None, done.refusal
    assert not has_errors(verify(done.released, system.POLICY))
    assert system.unchanged(done.released)
    return parse(done.released).dataset


def values(found: Item, tag: int) -> list[str]:
    """The values of an attribute at every level, in their order."""
    here = [found.text(tag)] if tag in found else []
    return here + [value for element in found.values() for inner in element.items for value in values(inner, tag)]


def presentation(*layers: str) -> Dataset:
    """A presentation state with these layers, each drawn on, the last one first."""
    data = bases._presentation()
    data.GraphicLayerSequence = [
        item(GraphicLayer=layer, GraphicLayerOrder=str(place)) for place, layer in enumerate(layers, 1)
    ]
    drawn = [
        item(
            GraphicAnnotationUnits="PIXEL",
            GraphicLayer=layer,
            GraphicObjectSequence=[
                item(
                    GraphicAnnotationUnits="PIXEL",
                    GraphicDimensions=2,
                    NumberOfGraphicPoints=1,
                    GraphicData=[1.0, 2.0],
                    GraphicType="POINT",
                )
            ],
        )
        for layer in reversed(layers)
    ]
    data.GraphicAnnotationSequence = drawn
    return data


def test_layers_are_named_by_their_order_wherever_they_are_named() -> None:
    """The layer of each annotation is the one that it was before, under its new name."""
    found = released(presentation("AQ58", "JANE", "58"))
    layers = [one.text(0x00700002) for one in found.items_of(0x00700060)]
    drawn = [one.text(0x00700002) for one in found.items_of(0x00700001)]
    assert drawn == ["L1", "L2", "L3"]  # they come first in a data set
    assert layers == ["L3", "L2", "L1"]


@pytest.mark.parametrize("layers", [("1", "2"), ("2", "1"), ("3", "7"), ("L1", "L2"), ("L2", "L1")])
def test_labels_that_are_an_order_already_stay(layers: tuple[str, ...]) -> None:
    """Single digits, and numbers from 1 without a gap, tell nothing."""
    found = released(presentation(*layers))
    assert [one.text(0x00700002) for one in found.items_of(0x00700060)] == list(layers)


def enhanced(*stacks: str, **more: Any) -> Dataset:
    """An enhanced MR whose frames lie in these stacks."""
    data = bases._enhanced()
    frames = data.PerFrameFunctionalGroupsSequence
    for frame, stack in zip(frames, stacks, strict=True):
        frame.FrameContentSequence[0].StackID = stack
    data.update(item(**more))
    return data


def test_stacks_are_named_by_their_order() -> None:
    """Frames of one stack stay in one, and their places in it with them."""
    assert values(released(enhanced("AQ58", "AQ58")), 0x00209056) == ["S1", "S1"]
    assert values(released(enhanced("JANE", "AQ58")), 0x00209056) == ["S1", "S2"]
    assert values(released(enhanced("1", "1")), 0x00209056) == ["1", "1"]


def test_stacks_of_a_concatenation_are_the_same_in_each_of_its_instances() -> None:
    """Where several instances are one image, an order within each would say otherwise."""
    first = values(released(enhanced("A", "B", ConcatenationUID=bases.ROOT + ".8")), 0x00209056)
    second = values(released(enhanced("B", "B", ConcatenationUID=bases.ROOT + ".8")), 0x00209056)
    assert second == [first[1], first[1]] != [first[0], first[0]]
    assert not {"A", "B"} & {*first, *second}


def test_a_label_that_other_instances_refer_to_is_the_same_in_all_of_them() -> None:
    """A stack at the top and an optical path are keyed, and a single digit stays."""
    data = bases._ct()
    data.StackID = "AQ58"
    other = bases._mg()
    other.StackID = "AQ58"
    names = {values(released(one), 0x00209056)[0] for one in (data, other)}
    assert len(names) == 1
    assert not names & {"AQ58", "S1"}
    data.StackID = "2"
    assert values(released(data), 0x00209056) == ["2"]


def plan(label: str) -> Dataset:
    """A plan that names its devices so."""
    data = bases._structures()
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.481.5"
    data.Modality = "RTPLAN"
    del data.StructureSetROISequence, data.ROIContourSequence, data.RTROIObservationsSequence
    wedge = item(WedgeNumber="1", WedgeID=label, WedgeAngle="15")
    beam = item(
        BeamNumber="1",
        WedgeSequence=[wedge, item(WedgeNumber="2", WedgeID=label + "Z")],
        ApplicatorSequence=[item(ApplicatorID=label)],
        BlockSequence=[item(BlockTrayID=label, BlockNumber="1")],
        CompensatorSequence=[item(CompensatorID=label, CompensatorNumber="1")],
        PatientSupportID=label,
    )
    tables = [item(ToleranceTableNumber="1", ToleranceTableLabel=label)]
    data.update(item(RTPlanLabel="PLAN", BeamSequence=[beam], ToleranceTableSequence=tables))
    return data


@pytest.mark.parametrize("label", PERSONS)
def test_devices_of_a_plan_bear_no_persons_digits(label: str) -> None:
    """Wedge, applicator, tray, compensator, support and tolerance table."""
    found = released(plan(label))
    assert values(found, 0x300A00D4) == ["W1", "W2"]
    for tag, name in ((0x300A0108, "A1"), (0x300A00F5, "B1"), (0x300A00E5, "C1"), (0x300A0043, "T1")):
        assert values(found, tag) == [name]


@pytest.mark.parametrize(
    ("label", "kept"), [("AQ58", "L1"), ("HOT_IRON", "HOT_IRON"), ("PET", "PET"), ("58", "L1"), ("", "")]
)
def test_a_content_label_says_what_kind_of_content_it_is_or_nothing(label: str, kept: str) -> None:
    """Palettes and kinds of objects are a closed list."""
    data = bases._presentation()
    data.ContentLabel = label
    assert released(data).text(0x00700080) == kept


@pytest.mark.parametrize("label", PERSONS)
def test_a_fiducial_keeps_its_correspondence_alone(label: str) -> None:
    """The same fiducial in two sets has one new name."""
    data = bases._presentation()
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.2"
    data.Modality = "FID"
    sets = [[label, "Z" + label], ["Z" + label]]
    data.FiducialSetSequence = [
        item(FiducialSequence=[item(FiducialIdentifier=name, ShapeType="POINT") for name in names]) for names in sets
    ]
    assert values(released(data), 0x00700310) == ["F1", "F2", "F2"]


def test_what_is_tracked_is_named_by_its_uid() -> None:
    """One Tracking ID for one Tracking UID, in any instance, and nothing of what it was."""
    first, second = (bases._presentation() for _ in range(2))
    for data, name in ((first, "AQ58"), (second, "Jane's node")):
        tracked = item(TrackingID=name, TrackingUID=bases.ROOT + ".5", SegmentNumber=1, SegmentLabel="Lung")
        data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.66.4"
        data.SegmentSequence = [tracked]
    names = {values(released(one), 0x00620020)[0] for one in (first, second)}
    assert len(names) == 1
    assert names.pop().startswith("T")


@pytest.mark.parametrize("label", ["AQ58", "S58", "58", "S2", "Q1"])
def test_the_verifier_tells_a_label_that_was_put_into_a_clean_file(label: str) -> None:
    """Without keys, by its form or its order."""
    data = system.attack(bases.written(enhanced("1", "1"))).released
    raw = b"\x20\x00\x56\x90SH\x02\x001 "
    assert data is not None
    assert raw in data
    planted = label.encode() + b" " * (len(label) % 2)
    header = raw[:6] + len(planted).to_bytes(2, "little")
    changed = read(data, "clean")
    for frame in reach(changed.items, ((0x52009230, 0),)), reach(changed.items, ((0x52009230, 1),)):
        content = next(elem for elem in frame or [] if elem.tag == 0x00209111)
        put(content.items[0], text(0x00209056, "SH", label))
    bad = write(changed)
    assert header + planted in bad
    assert system.noticed(bad)
