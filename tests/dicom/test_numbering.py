"""Numbers that order: kept where they are ordinary, in order where they tell, never emptied."""

from __future__ import annotations

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from curate.deid import private_attributes, renumbering
from curate.deid.direct_identifiers import identifying_words
from curate.deid.renumbering import Numbers, of_study, own_numbers_of
from curate.dicom.io.reader import parse
from curate.dicom.model import Item
from tests.planter import bases, system

NAMES = frozenset(("19580203", "87654321", "DOE", "4711"))


def test_a_birth_date_is_known_by_eight_six_four_and_two_digits() -> None:
    """And what any series counts to is not taken for it."""
    own = own_numbers_of(NAMES)
    assert {19580203, 580203, 30258, 1958, 58, 195802, 87654321, 4711} <= own
    assert not {2, 3, 19, 20, 203, 302} & own


def numbers(**changes: list[int]) -> list[Numbers]:
    """Instances of one series."""
    columns = {"series": [3] * 4, "acquisition": [1] * 4, "instance": [1, 2, 3, 4]} | changes
    rows = zip(columns["series"], columns["acquisition"], columns["instance"], strict=True)
    return [Numbers("1.2", *row) for row in rows]


def test_an_ordinary_study_keeps_its_numbers() -> None:
    """Also numbers up to 99,999 with gaps, and a count that passes a person's year."""
    assert of_study(numbers(instance=[7, 40, 99_999, 101]), NAMES) is None
    assert of_study(numbers(), frozenset()) is None
    counted = of_study((Numbers("1.2", 3, 1, number) for number in range(1, 2001)), NAMES)
    assert counted is not None
    assert all(old == new for old, new in counted.instance["1.2"].items())


@pytest.mark.parametrize("tells", [100_000, 19580203, 1958, 580203, 58, 4711, -40_000])
def test_what_is_large_or_the_persons_own_is_renumbered_in_order(tells: int) -> None:
    """The group that holds it, from 1; the others stay."""
    made = of_study(numbers(instance=[40, 30, tells, 50]), NAMES)
    assert made is not None
    assert [made.instance["1.2"][n] for n in sorted((40, 30, tells, 50))] == [1, 2, 3, 4]
    assert made.series == {3: 3}
    made = of_study(numbers(series=[2, 2, tells, tells]), NAMES)
    assert made is not None
    assert set(made.series.values()) == {1, 2}
    assert made.instance["1.2"] == {1: 1, 2: 2, 3: 3, 4: 4}


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.integers(-(1 << 31), 1 << 31), min_size=1, max_size=12))
def test_the_order_is_kept(group: list[int]) -> None:
    """Whatever the numbers are: none more, none less, none beyond 99,999."""
    made = of_study((Numbers("1.2", 1, 1, number) for number in group), NAMES)
    new = {n: n for n in group} if made is None else made.instance["1.2"]
    assert sorted(set(group)) == sorted(new, key=new.__getitem__)
    assert len(set(new.values())) == len(set(group))
    assert all(renumbering.LEAST <= number <= renumbering.MOST for number in new.values())


def rewritten(data: Dataset) -> Item:
    """The clean data set of a file, which the verifier passes."""
    done = system.attack(bases.written(data))
    assert done.released is not None, done.refusal
    assert not system.noticed(done.released)
    return parse(done.released).dataset


@pytest.mark.parametrize("number", [19610203, 1961, 61, 610203, 123_456, 2_147_483_647])
def test_a_number_that_tells_is_never_emptied(number: int) -> None:
    """SeriesNumber, AcquisitionNumber, InstanceNumber of a file alone; what refers, by keyed numbers."""
    data = bases._ct()
    for keyword in ("SeriesNumber", "AcquisitionNumber", "InstanceNumber"):
        setattr(data, keyword, str(number))
    found = rewritten(data)
    assert [found.text(tag) for tag in (0x00200011, 0x00200012, 0x00200013)] == ["1", "1", "1"]


def test_structures_still_refer_to_each_other() -> None:
    """A ROI's number is another one, the same in all places."""
    data = bases._structures()
    data.StructureSetROISequence[0].ROINumber = "1961"
    data.ROIContourSequence[0].ReferencedROINumber = "1961"
    data.RTROIObservationsSequence[0].ReferencedROINumber = "1961"
    found = rewritten(data)
    names = {
        found.items_of(0x30060020)[0].text(0x30060022),
        found.items_of(0x30060039)[0].text(0x30060084),
        found.items_of(0x30060080)[0].text(0x30060084),
    }
    assert len(names) == 1
    assert names.pop() not in ("", "1961")


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"1000\\8\\0\\0", b"1000\\8\\0\\0"), (b"1000\\1073741832\\0\\0 ", b"1000\\1073741832\\0\\0 "),
        (b"30000\\0\\0\\0 ", b"30000\\0\\0\\0 "), (b"1000001000\\8\\0\\0 ", b"1000\\8\\0\\0"),
        (b"0\\335544320\\0\\0 ", b"0\\335544320\\0\\0 "), (b"1000\\19580203\\0\\0", None), (b"1000\\58\\2\\3 ", None),
        (b"19580203\\0\\0\\0", None), (b"1000\\1958\\0\\0", None),
    ],
)  # fmt: skip
def test_a_bvalue_of_ge_stays_with_its_flags(raw: bytes, kept: bytes | None) -> None:
    """dcm2niix reads b = 1000 beside a flag in the high bits, and b = 30000; no date fits beside it."""
    result = private_attributes.ge_bvalue("", "IS", raw)
    assert (result or b"").strip() == (kept or b"").strip()
    if result:
        assert private_attributes.ge_bvalue("", "IS", result) == result


@pytest.mark.parametrize(("bvalue", "stays"), [(1961, False), (610203, False), (1000, True), (1965, True)])
def test_a_private_bvalue_is_not_the_persons_year(bvalue: int, stays: bool) -> None:
    """A likely one, in steps of five, stays, whoever was born in that year."""
    data = bases._ct()
    block = data.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    block.add_new(0x0C, "IS", str(bvalue))
    assert (0x0019100C in rewritten(data)) is stays
    assert 1961 in own_numbers_of(identifying_words(parse(bases.written(data)).dataset))
    data = bases._ct()
    data.private_block(0x2001, "Philips Imaging DD 001", create=True).add_new(0x03, "FL", float(bvalue))
    found = rewritten(data)
    assert (found.raw(0x20011003) == struct.pack("<f", bvalue)) is stays
