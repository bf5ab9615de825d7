"""Heads as MR shows them, moved and cut as scans are: defaced with no brain lost and no face left, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

pytest.importorskip("SimpleITK", reason="the extra `pixels` is not installed")

from curate.pixels.head import mr_head
from curate.pixels.head.ct_head import SAME, SAME_MM
from curate.pixels.head.grid import Floats, Outline, agree
from curate.pixels.head.plane import Verdict
from tests.pixels import heads, mr_heads
from tests.pixels.mr_heads import Head, colin, from_ct

pytestmark = [heads.needs_head, mr_heads.needs_colin]
HEADS = {"colin": colin, "ct": from_ct}


def outcome(head: Head) -> str:
    """What became of a volume; it fails where a cut leaves face or takes brain, or a head is taken for none."""
    verdict = mr_head.judge(head.values, head.affine)
    assert not verdict.clear
    if verdict.plane is None:
        return "refused"
    beyond = verdict.plane.beyond(places(head))
    assert not (beyond & head.brain).any()
    assert (beyond & head.features).sum() >= 0.97 * head.features.sum()
    return "defaced"


def places(head: Head) -> Floats:
    """Where each voxel lies, mm."""
    index = np.moveaxis(np.indices(head.values.shape), 0, -1)
    return np.asarray(index @ head.affine[:3, :3].T + head.affine[:3, 3])


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("name", "turn"),
    [("ct", (0, 0, 0)), ("ct", (10, 15, -20)), ("colin", (20, 0, 0)), ("colin", (0, -15, 15))],
    ids=str,
)
def test_turned_heads_are_defaced(name: str, turn: tuple[int, int, int]) -> None:
    """As it was scanned, nodding, leaning and looking aside: the face goes, no brain does."""
    assert outcome(HEADS[name]().turned(*turn)) == "defaced"


@pytest.mark.sampled(20)
@pytest.mark.long
@pytest.mark.parametrize("degrees", [-20, -10, 10, 20])
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("crop", ["whole", "low", "high", "slab"])
@pytest.mark.parametrize("name", HEADS)
def test_turned_and_cropped_heads(name: str, crop: str, axis: int, degrees: int) -> None:
    """Turned: defaced, or refused; without crown, chin, or both: refused, for the brain is not seen whole."""
    head = HEADS[name]().turned(*(degrees if k == axis else 0 for k in range(3)))
    assert outcome(cropped(head, crop)) in (("defaced", "refused") if crop == "whole" else ("refused",))


def cropped(head: Head, crop: str) -> Head:
    """A part of its slices: without a quarter below or above, or the half in the middle."""
    tall = len(head.values)
    parts = {
        "whole": (0, tall),
        "low": (tall // 4, tall),
        "high": (0, tall * 3 // 4),
        "slab": (tall // 4, tall * 3 // 4),
    }
    return head.cut(*parts[crop])


@pytest.mark.parametrize("crop", ["low", "high"])
def test_cropped_heads(crop: str) -> None:
    """Without crown, or chin: refused."""
    assert outcome(cropped(from_ct(), crop)) == "refused"


def test_thick_noisy_shaded_and_other_contrast() -> None:
    """Slices of 6 mm, noise, a coil's shading, and a brain as in T2: defaced, or refused."""
    outcome(from_ct().thick(4).noisy(0.1))
    outcome(colin().inverted().shaded())


def test_a_head_beside_much_noise_is_never_taken_for_none() -> None:
    """Noise that fills the field of view, or a field that a trunk would need, clears no head."""
    for share in (0.3, 0.6, 1.0):
        head = from_ct().noisy(share)
        wide = np.pad(head.values, ((0, 0), (30, 30), (40, 40)), mode="reflect")
        for values in (head.values, wide):
            grid = mr_head._scaled(values, head.affine)
            assert not mr_head.is_trunk(grid)


def test_parts_of_a_head_are_never_taken_for_none() -> None:
    """A slab through the eyes, through the mouth, a sagittal slab, a small field round one orbit: all of them wait."""
    head = from_ct()
    for part in (
        head.cut(20, 40),
        head.cut(0, 16),
        head.cut(50, 75, axis=2),
        head.cut(8, 60, axis=1).cut(20, 45).cut(30, 70, axis=2),
    ):
        assert not mr_head.is_trunk(mr_head._scaled(part.values, part.affine))


def test_two_arms_beside_a_head_make_no_trunk() -> None:
    """Arms that lie close to the head widen its slices, and do not clear it."""
    head = from_ct()
    values = np.pad(head.values, ((0, 0), (0, 0), (60, 60)))
    y, x = np.mgrid[: values.shape[1], : values.shape[2]]
    for middle in (values.shape[2] // 2 - 62, values.shape[2] // 2 + 62):
        values[:, (x - middle) ** 2 + (y - 70) ** 2 < 24**2] = 120
    assert not mr_head.is_trunk(mr_head._scaled(values, head.affine))


OTHERWISE: dict[str, Callable[[mr_heads.Volume], mr_heads.Volume]] = {
    "as it is": lambda values: values,
    "inverted": lambda values: values.max() - values,
    "on a pedestal": lambda values: values + 120,
    "field map": lambda values: np.where(values < 10, 2048, 2048 + 3 * (values - 100)),
    "air painted": lambda values: np.where(values < 10, 90, values),
    "shaded": lambda values: values * np.exp(np.linspace(-1.5, 1.5, values.shape[2])),
}


@pytest.mark.parametrize("change", OTHERWISE)
@pytest.mark.parametrize("name", HEADS)
def test_a_head_whose_air_is_not_dark_is_never_taken_for_none(name: str, change: str) -> None:
    """Inverted, on a pedestal, as a field map, shaded: whole in a wide field, a slab, or tight: never cleared."""
    head = HEADS[name]()
    for part in (head, head.cut(10, 40), head.cut(20, 70, axis=1).cut(30, 70, axis=2)):
        for room in (0, 25):
            wide = np.pad(part.values, ((0, 0), (room, room), (room, room)))
            values = np.asarray(OTHERWISE[change](wide), np.float32)
            assert not mr_head.is_trunk(mr_head._scaled(values, head.affine))


@pytest.mark.sampled(3)
@pytest.mark.long
@pytest.mark.parametrize("change", [name for name in OTHERWISE if name != "as it is"])
@pytest.mark.parametrize("name", HEADS)
def test_a_head_whose_air_is_not_dark(name: str, change: str) -> None:
    """Judged as a whole, turned or not: defaced, or refused, never taken for none."""
    for turn in ((0, 0, 0), (10, -10, 10)):
        head = HEADS[name]().turned(*turn)
        outcome(replace(head, values=np.asarray(OTHERWISE[change](head.values), np.float32)))


def body(wide_mm: float, deep_mm: float, field: int = 200) -> Head:
    """A trunk of tissue and fat in air, slices of 5 mm."""
    rng = np.random.default_rng(3)
    y, x = (np.mgrid[:field, :field] - field / 2) * 2.0
    inside = (x / wide_mm * 2) ** 2 + (y / deep_mm * 2) ** 2
    plane = np.where(inside < 0.8, 90.0, np.where(inside < 1, 220.0, 0.0))
    values = np.stack([plane] * 16) + rng.normal(0, 6, (16, field, field))
    affine = np.array([[0, 0, 2, 0], [0, 2, 0, 0], [5, 0, 0, 0], [0, 0, 0, 1]], np.float64)
    nothing = np.zeros(values.shape, bool)
    return Head(np.asarray(np.abs(values), np.float32), affine, nothing, nothing)


def test_a_trunk_is_clear_and_a_limb_waits() -> None:
    """A trunk in its air is clear; what is as thin as a head waits, and so does a small field full of tissue."""
    full = body(360, 240).cut(60, 140, axis=1).cut(60, 140, axis=2)
    for head, clear in ((body(360, 240), True), (full, False), (body(150, 140), False)):
        assert mr_head.is_trunk(mr_head._scaled(*_scan(head))) is clear


def _scan(head: Head) -> tuple[mr_heads.Volume, Floats]:
    return head.values, head.affine


@cache
def known() -> Verdict:
    """What is found of the whole head."""
    return mr_head.judge(*_scan(from_ct()))


def test_the_same_head_in_another_contrast_follows() -> None:
    """A plane of one series holds in another of the same place, and not where the head has moved."""
    first = known()
    assert first.outline is not None
    other = from_ct().inverted().noisy(0.05)
    assert mr_head.judge(other.values, other.affine, first.plane, first.outline).plane == first.plane
    moved = np.array(other.affine)
    moved[1, 3] += 12
    grid = mr_head._scaled(other.values, moved)
    mine = Outline(mr_head.body_of(grid), grid.known, grid.origin)
    assert not agree(mine, first.outline, SAME, SAME_MM)
    assert mr_head.lies_in(other.values**2, other.affine, first.outline)
    moved[1, 3] += 20
    assert not mr_head.lies_in(other.values, moved, first.outline)


def test_a_defaced_head_shows_no_face() -> None:
    """What is left of a defaced head is looked at again: before, a face is found; afterwards, none."""
    head, plane = from_ct(), known().plane
    assert plane is not None
    assert mr_head.shown(*_scan(head)) is True
    cut = np.where(plane.beyond(places(head)), 0, head.values).astype(np.float32)
    assert mr_head.shown(cut, head.affine) is False
