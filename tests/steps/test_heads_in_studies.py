"""Studies with a head in several series: each is cut with no brain lost and no face left, or it stays out."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

pytest.importorskip("SimpleITK", reason="the extra `pixels` is not installed")

from curate.dicom.io.reader import parse
from curate.donation import head_judgement as judging
from curate.donation.deface_plan import DefacePlan
from curate.pixels.head.template import turn
from curate.policies import Policy
from tests import synth
from tests.pixels import heads
from tests.pixels.mr_heads import Head, Volume, from_ct
from tests.pixels.test_face import truth
from tests.pixels.test_magnetic import places

pytestmark = heads.needs_head
_POLICY = Policy(head="deface")
_SERIES = dict(enumerate(("CT", "MR", "PT", "CT", "MR", "MR")))


@cache
def ct() -> Head:
    """The head in HU, slices of 3 mm."""
    part = np.s_[::2]
    affine = heads.matrix(2 * heads.STEP_MM)
    brain, features = truth()
    return Head(heads.cranium()[part], affine, brain[part], features[part])


@cache
def mr() -> Head:
    """The same head as MR would show it, slices of 3 mm."""
    return from_ct().thick(2)


@cache
def pet() -> Head:
    """The same head as PET would show it: what is soft, blurred."""
    head = ct()
    values = ndimage.gaussian_filter(np.where(head.values > -300, 60.0, 0.0) + 140 * head.brain, 1.5)
    return replace(head, values=np.asarray(values, np.float32))


def sagittal(head: Head) -> Head:
    """A reformat of it in sagittal slices of 4 mm, feet at the bottom."""
    order = (2, 0, 1)
    values = np.transpose(head.values, order)[::2, ::-1]
    brain, features = (np.transpose(one, order)[::2, ::-1] for one in (head.brain, head.features))
    affine = np.array(head.affine)
    affine[:3, 3] += (len(head.values) - 1) * head.affine[:3, 0]
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (
        2 * head.affine[:3, 2],
        -head.affine[:3, 0],
        head.affine[:3, 1],
    )
    return Head(values, affine, brain, features)


def moved(head: Head, *mm: float) -> Head:
    """Elsewhere in the same coordinates."""
    affine = np.array(head.affine)
    affine[:3, 3] += mm
    return replace(head, affine=affine)


def sent(head: Head, series: int, reference: object = "frame", **attributes: object) -> list[bytes]:
    """A volume as slices of a series of that number, whose headers name no head."""
    kind, affine = _SERIES[series], head.affine
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    low, factor = (-1024, 1) if kind == "CT" else (0, 8)
    found = []
    for number, values in enumerate(head.values):
        rows, columns = values.shape
        ds = synth.load_instance(0, 0, series, number, modality=kind, rows=rows, columns=columns)
        ds.BodyPartExamined = "CHEST"
        ds.StudyDescription = ds.SeriesDescription = ds.ProtocolName = "THORAX"
        ds.FrameOfReferenceUID = synth.uid(0, 0, str(reference))
        ds.ImagePositionPatient = [f"{v:.5f}" for v in affine[:3, 3] + number * affine[:3, 0]]
        ds.ImageOrientationPatient = [f"{v:.6f}" for k in (2, 1) for v in affine[:3, k] / steps[k]]
        ds.PixelSpacing = [f"{steps[1]:.6f}", f"{steps[2]:.6f}"]
        ds.RescaleSlope, ds.RescaleIntercept = 1 / factor, low
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 0, 12, 11
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.PixelData = np.clip((values - low) * factor, 0, 4095).astype("<u2").tobytes()
        for name, value in attributes.items():
            setattr(ds, name, value)
        found.append(synth.to_bytes(ds))
    return found


def judged(*files: bytes) -> DefacePlan:
    """What follows for a study of these files."""
    return judging.plan(map(parse, files), _POLICY)


def fate(plan: DefacePlan, head: Head, series: int) -> str:
    """What becomes of a series; it fails where a cut leaves face or takes brain, or a head is taken for none."""
    uid = parse(synth.instance_bytes(0, 0, series, 0, modality=_SERIES[series])).dataset.text(0x0020000E)
    assert uid not in plan.clear
    if plan.held:
        return "held"
    if uid not in plan.planes:
        assert not plan.leaves(uid)
        return "refused"
    beyond = plan.planes[uid].beyond(places(head))
    assert not (beyond & head.brain).any()
    assert (beyond & head.features).sum() >= 0.97 * head.features.sum()
    return "cut"


@pytest.mark.parametrize(
    ("missing", "result"),
    [
        ([0], "cut"),
        ([30], "held"),
        ([10, 11, 12], "held"),
        pytest.param(range(0, 54, 2), "cut", marks=pytest.mark.long),
    ],
    ids=["first", "one", "three", "every second"],
)
def test_mr_with_slices_missing(missing: list[int], result: str) -> None:
    """At an end, or every second one, so that the steps stay even: cut; within: held."""
    files = sent(mr(), 1)
    plan = judged(*(data for number, data in enumerate(files) if number not in missing))
    assert fate(plan, mr(), 1) == result


@pytest.mark.parametrize(
    ("other", "shift", "follows"),
    [
        ("frame", (0, 0, 0), True),
        pytest.param("frame", (0, 14, 0), False, marks=pytest.mark.long),
        ("another", (0, 0, 0), False),
    ],
    ids=["same place", "moved", "other frame"],
)
def test_ct_and_mr_of_one_head(other: str, shift: tuple[int, int, int], follows: bool) -> None:
    """MR beside CT gets the plane of the CT where it lies in the same place, else one of its own, or stays out."""
    second = moved(mr(), *shift)
    plan = judged(*sent(ct(), 0), *sent(second, 1, other))
    assert fate(plan, second, 1) in ("cut", "refused", "held")
    if not plan.held:
        assert fate(plan, ct(), 0) == "cut"
    if follows:
        assert fate(plan, second, 1) == "cut"


@pytest.mark.parametrize(
    ("other", "shift", "result"),
    [("frame", (0, 0, 0), "cut"), ("frame", (0, 40, 0), "refused"), ("another", (0, 0, 0), "held")],
    ids=["same place", "moved", "other frame"],
)
def test_pet_beside_ct(other: str, shift: tuple[int, int, int], result: str) -> None:
    """PET gets the plane of the CT in whose body it lies; it has none of its own."""
    second = moved(pet(), *shift)
    plan = judged(*sent(ct(), 0), *sent(second, 2, other))
    assert fate(plan, second, 2) == result
    if result != "held":
        assert fate(plan, ct(), 0) == "cut"


def test_pet_alone_and_beside_a_ct_that_does_not_reach_it() -> None:
    """PET of a head is held where no CT shows it: none is there, or one of the trunk below."""
    assert fate(judged(*sent(pet(), 2)), pet(), 2) == "held"
    y, x = np.mgrid[:128, :128]
    trunk = np.where(((x - 64) / 60) ** 2 + ((y - 64) / 42) ** 2 < 1, 40, -1000).astype(np.float32)
    affine = np.diag([3.0, 3.0, 3.0, 1.0])[[2, 1, 0, 3]]
    affine[2, 3] = -120
    nothing = np.zeros((40, 128, 128), bool)
    chest = Head(np.stack([trunk] * 40), affine, nothing, nothing)
    plan = judged(*sent(chest, 0), *sent(pet(), 2))
    assert len(plan.clear) == 1
    assert fate(plan, pet(), 2) == "held"


@pytest.mark.parametrize("tilt", [0, pytest.param(15, marks=pytest.mark.long), 30])
def test_reformats_of_a_head(tilt: float) -> None:
    """A sagittal reformat of the CT, upright or oblique, is cut by the same plane, or stays out."""
    oblique = resliced(sagittal(ct()), tilt, 0, tilt / 2)
    plan = judged(*sent(ct(), 0), *sent(oblique, 3))
    assert fate(plan, ct(), 0) == "cut"
    assert fate(plan, oblique, 3) in ("cut", "refused")


def resliced(head: Head, *degrees: float) -> Head:
    """The same head, where it is, in slices that are turned about the volume's middle."""
    turned = np.eye(4)
    turned[:3, :3] = turn(*degrees)
    middle = head.affine @ (*((n - 1) / 2 for n in head.values.shape), 1)
    affine = turned @ head.affine
    affine[:3, 3] += (middle - turned @ middle)[:3]
    index = np.linalg.inv(head.affine) @ affine

    def taken(values: Volume, order: int, outside: float) -> Volume:
        options = {"output_shape": values.shape, "order": order, "cval": outside}
        return np.asarray(ndimage.affine_transform(values, index[:3, :3], index[:3, 3], **options), np.float32)

    brain, features = (taken(one.astype(np.float32), 0, 0) > 0.5 for one in (head.brain, head.features))
    return Head(taken(head.values, 1, float(head.values.min())), affine, brain, features)


def test_localizers_of_a_head_stay_out() -> None:
    """Three slices each way of the head that is cut beside them, whatever they call themselves."""
    scout = replace(sagittal(mr()), values=sagittal(mr()).values[30:33])
    named = sent(scout, 4, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    plan = judged(*sent(mr(), 1), *named, *sent(scout, 5))
    assert [fate(plan, mr(), 1), fate(plan, scout, 4), fate(plan, scout, 5)] == ["cut", "refused", "refused"]
