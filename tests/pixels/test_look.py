"""Text and barcodes are found in every kind of frame, and clean frames are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the extra `pixels` is not installed")
zxingcpp = pytest.importorskip("zxingcpp", reason="the extra `pixels` is not installed")

from curate.pixels.image import Image, grey  # noqa: E402
from curate.pixels.mask import mask  # noqa: E402
from curate.pixels.text import stroke_screen  # noqa: E402
from curate.pixels.text.text_detection import Box, Found, Look, _everywhere, look  # noqa: E402
from tests.pixels import burned  # noqa: E402
from tests.pixels.bases import Base, bases  # noqa: E402


@pytest.fixture(scope="module")
def clean() -> list[Base]:
    return bases()


def grey_image(values: np.ndarray, **changes: object) -> Image:
    """An uncompressed image of these stored values: (rows, columns) or (frames, rows, columns)."""
    frames = values if values.ndim == 3 else values[None]
    bits = values.dtype.itemsize * 8
    image = Image(
        frames.shape[1], frames.shape[2], 1, frames.shape[0], bits, bits, bits - 1, values.dtype.kind == "i",
        "MONOCHROME2", 0, "1.2.840.10008.1.2.1", native=np.ascontiguousarray(values).tobytes(),
    )  # fmt: skip
    return replace(image, **changes)  # type: ignore[arg-type]


def share(line: burned.Line, boxes: list[Box]) -> float:
    inside = np.zeros(line.ink.shape, bool)
    for left, top, right, bottom in boxes:
        inside[top:bottom, left:right] = True
    return float(inside[line.ink].mean())


def written(
    frame: np.ndarray, text: str, ink: float, size: int = 14, at: tuple[int, int] = (10, 10)
) -> tuple[np.ndarray, burned.Line]:
    """A copy with a line in exact ink, and the line."""
    alpha = burned.stamp(text, "DejaVuSans.ttf", size, False) > 0.5
    mask = np.zeros(frame.shape, bool)
    mask[at[0] : at[0] + alpha.shape[0], at[1] : at[1] + alpha.shape[1]] = alpha
    out = frame.copy()
    out[mask] = ink
    return out, burned.Line(text, size, "high", mask)


def boxes_of(seen: Look, frame: int = 0) -> list[Box]:
    return [one.box for one in seen.found if one.frame == frame and one.kind != "mark"]


def test_lines_burned_into_real_frames_are_found(clean: list[Base]) -> None:
    """Of seeded lines of 8 to 32 px and three contrasts in CT and MR frames, nineteen of twenty are found at least."""
    rng = np.random.default_rng(7)
    ordinary = [base for base in clean if not base.thorough and base.frame.shape[0] >= 128]
    lines = found = reached = 0
    while lines < 60:
        base = ordinary[int(rng.integers(len(ordinary)))]
        frame, burnt = burned.burn(base.frame, rng, base.bounds)
        if not burnt:
            continue
        boxes = boxes_of(look(base.image(frame), thorough=False))
        regions = [region.box for region in stroke_screen.regions(grey(frame))]
        lines += len(burnt)
        found += sum(share(line, boxes) >= 0.5 for line in burnt)
        reached += sum(share(line, regions) >= 0.5 for line in burnt)
    assert reached >= 0.98 * lines, f"the screen reached {reached} of {lines}"
    assert found >= 0.95 * lines, f"the look found {found} of {lines}"


def test_clean_frames_are_not_flagged(clean: list[Base]) -> None:
    """In CT and MR frames without text nothing is found, and most of CT never reaches the network."""
    ordinary = [base for base in clean if not base.thorough][::5]
    seen = [(base, look(base.image(base.frame), thorough=False)) for base in ordinary]
    flagged = sum(bool(boxes_of(one)) for _, one in seen)
    assert flagged <= 0.03 * len(seen)
    ct = [one.read for base, one in seen if base.kind == "CT"]
    assert sum(ct) <= 0.5 * len(ct)


@pytest.mark.parametrize("step", [2, 40, 3000])
@pytest.mark.parametrize("kind", [np.int16, np.uint16])
def test_no_window_hides_text(kind: type, step: int) -> None:
    """Ink a few units above even ground is found beside values a thousand times larger, signed or not."""
    frame = np.zeros((256, 256), kind)
    yy, xx = np.mgrid[:256, :256]
    body = (yy - 170) ** 2 + (xx - 128) ** 2 < 60**2
    frame[body] = 9000 + (yy[body] * 7 + xx[body] * 3) % 900
    frame, line = written(frame, "SMITH JANE", step)
    assert share(line, boxes_of(look(grey_image(frame), thorough=False))) >= 0.9


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("ink", [0, 255])
def test_either_polarity_is_found(photometric: str, ink: int) -> None:
    """Dark and bright text of 8 bits is found whatever the photometric interpretation says."""
    rng = np.random.default_rng(3)
    frame = rng.normal(120, 6, (200, 300)).clip(0, 255).astype(np.uint8)
    frame, line = written(frame, "KOWALSKA ANNA", ink)
    seen = look(grey_image(frame, photometric=photometric), thorough=False)
    assert share(line, boxes_of(seen)) >= 0.9


def test_palette_colours_are_read() -> None:
    """Text whose index differs by one is found by the colour that the palette gives it."""
    frame, line = written(np.full((120, 260), 5, np.uint8), "DOE^JOHN 48291034", 6)
    palette = np.zeros((256, 3), np.uint8)
    palette[6] = (250, 240, 20)
    image = grey_image(frame, photometric="PALETTE COLOR", palette=palette)
    assert share(line, boxes_of(look(image, thorough=True))) >= 0.9


def test_text_in_one_frame_of_many_is_found_there_only() -> None:
    """A clip whose sixth frame alone bears a name is found in that frame, not in the others."""
    rng = np.random.default_rng(5)
    clip = rng.normal(90, 9, (9, 160, 240)).clip(0, 255).astype(np.uint8)
    clip[5], line = written(clip[5], "OKAFOR LUIS", 255)
    seen = look(grey_image(clip), thorough=True)
    assert share(line, boxes_of(seen, 5)) >= 0.9
    assert {one.frame for one in seen.found} == {5}


def test_what_stands_still_is_boxed_where_it_was_not_read() -> None:
    """Text that one frame's reading found is boxed in each frame that shows the same there, and in no other."""
    clip = np.full((4, 80, 160), 60, np.uint8)
    clip[3] = np.random.default_rng(8).integers(0, 255, (80, 160))
    for index in range(3):
        clip[index], line = written(clip[index], "OKAFOR", 255)
    box = line.box
    spread = _everywhere(grey_image(clip), [Found(1, "text", box)])
    assert spread == tuple(Found(index, "text", box) for index in range(3))


def test_text_that_stands_still_is_found_in_every_frame() -> None:
    """A name that stands in all frames of a moving clip is boxed in all of them."""
    rng = np.random.default_rng(6)
    clip = rng.normal(90, 9, (5, 160, 240)).clip(0, 255).astype(np.uint8)
    for index in range(5):
        clip[index], line = written(clip[index], "OKAFOR LUIS", 255)
    seen = look(grey_image(clip), thorough=True)
    assert all(share(line, boxes_of(seen, index)) >= 0.9 for index in range(5))


@pytest.mark.parametrize("name", ["QRCode", "Code128", "DataMatrix", "EAN13", "PDF417"])
def test_barcodes_are_found_whole(name: str) -> None:
    """A planted code of one or two dimensions is boxed with all of its bars."""
    text = "4006381333931" if name == "EAN13" else "MRN48291034"
    code = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, name))
    drawn = np.array(code.to_image(scale=2))
    if name == "Code128":
        drawn = drawn[40:41].repeat(250, 0)  # tall bars, of which a decoder reads a few lines
    frame = np.full((400, 500), 200, np.uint8)
    frame[60 : 60 + drawn.shape[0], 40 : 40 + drawn.shape[1]] = drawn
    rows, columns = np.nonzero(frame == 0)
    seen = look(grey_image(frame), thorough=True)
    left, top, right, bottom = next(one.box for one in seen.found if one.kind == "barcode")
    inside = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    assert inside.mean() >= 0.98


@pytest.mark.parametrize("kind", ["<f4", "<f8"])
def test_text_in_floating_point_pixels_is_found_and_made_blank(clean: list[Base], kind: str) -> None:
    """Float and Double Float Pixel Data are looked at like other pixels, whatever one number far off would hide."""
    values = np.random.default_rng(6).normal(0.5, 0.02, (256, 384)).astype(kind)
    shown, line = written(values, "PUIG MONTSERRAT", 1.4, 20)
    shown[200, 300], shown[201, 300], shown[202, 300] = 1e30, np.nan, -np.inf
    image = grey_image(shown, floating=True, stored=8 * shown.itemsize)
    seen = look(image, thorough=False)
    assert share(line, boxes_of(seen)) > 0.95
    masked = np.frombuffer(mask(image, seen.found).native, kind).reshape(shown.shape)
    inside = np.zeros(shown.shape, bool)
    for left, top, right, bottom in boxes_of(seen):
        inside[top:bottom, left:right] = True
    assert masked[inside].max() < 0.6
    assert np.array_equal(masked[~inside], shown[~inside], equal_nan=True)


def test_a_very_large_frame_is_looked_at_in_tiles() -> None:
    """A name is found wherever it stands, across the edge of two tiles too; memory grows with the tile."""
    frame = np.full((4400, 4200), 200, np.uint8)
    lines = []
    for at in ((10, 10), (3830, 3700), (4300, 3600)):
        frame, line = written(frame, "PUIGDOMENECH MONTSERRAT", 20, size=24, at=at)
        lines.append(line)
    for image in (grey_image(frame), grey_image(np.asarray(frame, np.uint16) * 100)):
        seen = look(image, thorough=False)
        assert seen.read == 1
        for line in lines:
            assert share(line, boxes_of(seen)) > 0.9


def test_letters_larger_than_a_tile_are_found_in_the_whole() -> None:
    """Where each frame is read as a whole, so is a very large one, made small."""
    frame = np.full((4400, 4200), 200, np.uint8)
    frame, line = written(frame, "ROCA", 20, size=1200, at=(900, 200))
    seen = look(grey_image(frame), thorough=True)
    assert share(line, [one.box for one in seen.found]) > 0.9
