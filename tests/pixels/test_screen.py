"""The screen finds the ink that its definition names, whatever it worked on before."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage

pytest.importorskip("cv2", reason="the extra `pixels` is not installed")

from curate.pixels.text import stroke_screen
from tests.pixels import burned

Grey = npt.NDArray[np.int16]


def frame(seed: int) -> Grey:
    """Ground of some kind, of an uneven size, with a line of text."""
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(16, 150, 2))
    ground = (
        rng.normal(400, 30, shape),
        np.full(shape, -1000),
        rng.choice([-32768, 0, 32767], shape, p=(0.1, 0.8, 0.1)),
        ndimage.gaussian_filter(rng.normal(0, 4000, shape), 3),
    )[seed % 4]
    values = np.clip(ground, -32768, 32767).astype(np.int16)
    written, _ = burned.burn(values, rng, (-32768, 32767), sizes=(8, 10, 12))
    return np.asarray(written, np.int16)


def by_definition(grey: Grey, *, dark: bool) -> npt.NDArray[np.bool_]:
    """Ink as the screen's first lines define it, step by step, without any care for speed."""

    def highest(values: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.int64]:
        return np.asarray(ndimage.maximum_filter(values, side, mode="constant", cval=-40_000))

    def lowest(values: npt.NDArray[np.int64], side: int) -> npt.NDArray[np.int64]:
        return np.asarray(ndimage.minimum_filter(values, side, mode="constant", cval=40_000))

    values = np.asarray(grey, np.int64)
    upright = -values if dark else values
    height = np.minimum(upright - highest(lowest(upright, 9), 9), 32767)
    gradient = np.minimum(highest(values, 3) - lowest(values, 3), 32767)
    local = highest(height, 3)
    short = highest(upright, 15) - upright
    sharp, even = gradient >= local - local // 8, short <= height // 4
    return np.asarray((height > noise(grey, height)) & sharp & even)


def noise(grey: Grey, height: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Four times the median height of each tile of 32 by 32 (the last takes the rest), from each fourth pixel."""
    sampled = np.sort(grey[::4, ::4], axis=None).astype(int)
    least = int(0.05 * (sampled[-1 - len(sampled) // 100] - sampled[len(sampled) // 50]))
    found = np.empty_like(height)
    for top, left in itertools.product(*(range(0, 32 * max(-(-size // 4) // 8, 1), 32) for size in grey.shape)):
        tile = np.sort(height[top : top + 32 : 4, left : left + 32 : 4], axis=None)
        floor = max(4 * tile[len(tile) // 2], 1)
        found[top:, left:] = max(floor, least) if tile[len(tile) * 7 // 8] > 0 else floor
    return np.minimum(found, 32767)


@pytest.mark.parametrize("seed", range(24))
def test_ink_is_what_the_definition_says(seed: int) -> None:
    """In frames of uneven sizes and of the widest values, bright and dark ink are the definition's, pixel by pixel."""
    grey = frame(seed)
    for dark in (False, True):
        ink = stroke_screen._ink(grey, stroke_screen._prepared(grey), stroke_screen.least_height(grey), dark)
        np.testing.assert_array_equal(ink > 0, by_definition(grey, dark=dark))


def test_frames_do_not_leave_traces_in_each_other() -> None:
    """Frames screened by turns, and in threads at once, give what each gives alone; no two threads share memory."""
    frames = [frame(seed) for seed in (0, 3, 8, 11)] * 20
    alone = [stroke_screen.regions(one) for one in frames[:4]]
    assert [stroke_screen.regions(one) for one in frames] == alone * 20
    with ThreadPoolExecutor(4) as pool:
        other = pool.submit(stroke_screen._room, frames[0].shape).result()
        assert not np.shares_memory(other.height, stroke_screen._room(frames[0].shape).height)
        assert list(pool.map(stroke_screen.regions, [frames[0]] * 40 + frames)) == alone[:1] * 40 + alone * 20


def test_a_region_without_ink_is_shown_through_all_of_its_values() -> None:
    """A region around which, not in which, ink lies has the limits of its own pixels."""
    grey = np.arange(64 * 64, dtype=np.int16).reshape(64, 64)
    nothing = np.zeros((64, 64), np.uint8)
    assert stroke_screen._region(grey, grey, nothing, (8, 8, 24, 16), False) == stroke_screen.Region(
        (8, 8, 24, 16), 520, 983
    )
