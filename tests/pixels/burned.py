"""Seeded text burned into real frames, as vendors do it: names, numbers, dates; fonts, sizes, contrasts, corners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Frame = npt.NDArray[np.generic]
Mask = npt.NDArray[np.bool_]

SIZES = (8, 10, 12, 14, 16, 20, 24, 32)
CONTRASTS = {"high": 1.0, "medium": 0.5, "low": 0.25}
LAYOUTS = ("top left", "top right", "bottom left", "bottom right", "banner", "anywhere")
_FONT_FOLDERS = (Path("/usr/share/fonts/truetype/dejavu"), Path("/usr/share/fonts/opentype/urw-base35"))
_FONTS = (
    "DejaVuSans.ttf",
    "DejaVuSans-Bold.ttf",
    "DejaVuSansMono.ttf",
    "DejaVuSansCondensed.ttf",
    "DejaVuSerif.ttf",
    "NimbusSans-Regular.otf",
    "NimbusSans-Bold.otf",
    "NimbusMonoPS-Regular.otf",
    "NimbusSansNarrow-Regular.otf",
)
_FAMILY = (
    "GARCIA",
    "Lopez",
    "DOE",
    "Müller",
    "SERRA",
    "Nguyen",
    "Kowalska",
    "PUIG",
    "Smith",
    "VIDAL",
    "Okafor",
    "ROSSI",
)
_GIVEN = (
    "MARIA",
    "Joan",
    "JANE",
    "Peter",
    "Anna",
    "LUIS",
    "Fatima",
    "MARC",
    "Eva",
    "THOMAS",
    "Núria",
    "IVAN",
)
_PLACES = ("Hospital Clinic", "ST MARY HOSP", "Radiologie Nord", "UNIV. MED CENTER", "Dr. Soler")


@dataclass(frozen=True, slots=True)
class Line:
    """One burned-in line: what it says, how it was drawn, and which pixels it changed."""

    text: str
    size: int
    contrast: str
    ink: Mask

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the ink, the last two exclusive."""
        rows, columns = np.flatnonzero(self.ink.any(1)), np.flatnonzero(self.ink.any(0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def words(rng: np.random.Generator) -> str:
    """Something that tells who: a name, a number, a date, a place."""

    def pick(choices: Sequence[str]) -> str:
        return str(choices[int(rng.integers(len(choices)))])

    family, given = pick(_FAMILY), pick(_GIVEN)
    day, month, year = int(rng.integers(1, 29)), int(rng.integers(1, 13)), int(rng.integers(1930, 2020))
    number = int(rng.integers(10**6, 10**9))
    return pick(
        (
            f"{family}^{given}",
            f"{family}, {given}",
            f"{given} {family}",
            f"{day:02d}.{month:02d}.{year}",
            f"{year}-{month:02d}-{day:02d}",
            f"{month}/{day}/{year}",
            f"ID: {number}",
            f"{number}",
            f"MRN {number}",
            f"DOB {day:02d}/{month:02d}/{year}",
            pick(_PLACES),
            f"{family} {given[0]}. {year % 100:02d}Y",
        )
    )


@cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """A font of Debian's; Pillow's own where they are not installed."""
    for folder in _FONT_FOLDERS:
        if (folder / name).is_file():
            return ImageFont.truetype(str(folder / name), size)
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


def stamp(text: str, name: str, size: int, smooth: bool) -> npt.NDArray[np.float64]:
    """How much ink a line leaves in each pixel of its own box, from 0 to 1."""
    face = font(name, size)
    left, top, right, bottom = face.getbbox(text)
    image = Image.new("L" if smooth else "1", (int(right - left) + 2, int(bottom - top) + 2), 0)
    draw = ImageDraw.Draw(image)
    draw.text((1 - left, 1 - top), text, fill=255 if smooth else 1, font=face)
    return np.asarray(image.convert("L"), dtype=np.float64) / 255


def place(
    rng: np.random.Generator, layout: str, shape: tuple[int, int], size: tuple[int, int], row: int
) -> tuple[int, int] | None:
    """Top left corner of a line in a frame; None where it does not fit."""
    height, width = shape
    tall, wide = size
    if tall + 4 > height or wide + 4 > width:
        return None
    margin, step = int(rng.integers(2, 12)), round(tall * 1.35) * row
    if layout == "anywhere":
        return int(rng.integers(0, height - tall)), int(rng.integers(0, width - wide))
    x = width - wide - margin if layout.endswith("right") else margin
    if layout == "banner":
        x = (width - wide) // 2
    y = height - tall - margin - step if layout.startswith("bottom") else margin + step
    return (y, x) if 0 <= y <= height - tall and 0 <= x <= width - wide else None


def _ink(
    grey: npt.NDArray[np.float64],
    where: tuple[slice, slice],
    contrast: float,
    bounds: tuple[int, int],
    dark_first: bool,
) -> float | None:
    """Ink that differs from what lies beneath by this share of the shown range; None where there is no room."""
    low, high = np.percentile(grey, (1, 99.5))
    step = contrast * max(high - low, 8.0)
    for dark in (dark_first, not dark_first):
        beneath = float(np.percentile(grey[where], 10 if dark else 90))
        ink = float(np.clip(beneath - step if dark else beneath + step, *bounds))
        if abs(ink - beneath) >= 0.8 * step:
            return ink
    return None


def burn(
    frame: Frame,
    rng: np.random.Generator,
    bounds: tuple[int, int],
    *,
    lines: int = 2,
    sizes: Sequence[int] = SIZES,
    contrasts: Sequence[str] = tuple(CONTRASTS),
) -> tuple[Frame, list[Line]]:
    """A copy of a frame (rows, columns[, samples]) with lines of text, of values inside `bounds`, and the lines."""
    out = np.array(frame, dtype=np.float64)
    layout = str(rng.choice(LAYOUTS))
    name, size = str(rng.choice(_FONTS)), int(rng.choice(np.asarray(sizes)))
    contrast, smooth = str(rng.choice(np.asarray(contrasts))), bool(rng.random() < 0.6)
    dark = bool(rng.random() < 0.35)
    colour = np.array([1.0, 1.0, 1.0] if rng.random() < 0.5 else [1.0, 1.0, 0.2])
    done = []
    for row in range(lines):
        text = words(rng)
        alpha = stamp(text, name, size, smooth)
        corner = place(rng, layout, (out.shape[0], out.shape[1]), (alpha.shape[0], alpha.shape[1]), row)
        if corner is None:
            continue
        where = (slice(corner[0], corner[0] + alpha.shape[0]), slice(corner[1], corner[1] + alpha.shape[1]))
        if any(line.ink[where].any() for line in done):
            continue
        grey = out if out.ndim == 2 else out.mean(axis=2)
        ink = _ink(grey, where, CONTRASTS[contrast], bounds, dark)
        if ink is None:
            continue
        before = out[where].copy()
        if out.ndim == 3:
            out[where] += alpha[..., None] * (ink * colour - out[where])
        else:
            out[where] += alpha * (ink - out[where])
        mask = np.zeros(out.shape[:2], bool)
        changed = np.abs(np.rint(out[where]) - before)
        mask[where] = (changed.max(2) if out.ndim == 3 else changed) > 0
        mask[where] &= alpha > 0.4
        if mask.any():
            done.append(Line(text, size, contrast, mask))
    return np.asarray(np.rint(out), dtype=frame.dtype), done


def series(
    frames: Sequence[tuple[Frame, tuple[int, int]]], seed: int, count: int
) -> Iterator[tuple[Frame, list[Line]]]:
    """Frames with text, one after the other, from real ones with the bounds of their stored values."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        frame, bounds = frames[int(rng.integers(len(frames)))]
        burned, lines = burn(frame, rng, bounds)
        if lines:
            yield burned, lines
