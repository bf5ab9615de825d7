"""One series made visible: every frame through every window as strips of PNG, and its header as published."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image
from pydicom.dataelem import DataElement
from pydicom.multival import MultiValue

from curate.core.findings import Finding, defect
from curate.decoding import DecoderDiedError
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.pixels.head.surface import surface
from curate.pixels.head.volumes import Series, add
from curate.pixels.render.windows import Window, frames, shown, windows

_STRIP_PIXELS = 4_000_000  # of one file: a page asks for few files, and none is large
_LARGEST_SIDE = 2048
_LONGEST_VALUE = 120

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class SeriesTask:
    """A series to look at: where its instances lie (pack, offset, size), in their order, and the site's folder."""

    number: int
    series: str
    modality: str
    places: tuple[tuple[Path, int, int], ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class Strip:
    """One picture of frames below each other: path from the site's root, a frame's width and height, frames."""

    path: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """A line of the header; `depth` is that of nested sequences, `varies` says that instances differ in it."""

    tag: str
    depth: int
    name: str
    vr: str
    value: str
    varies: bool = False


@dataclass(frozen=True, slots=True)
class RenderedSeries:
    """What came of a series: strips by window, frames in all, instances that no decoder serves, the header.

    `died` are those of them of which a decoder died; `failed` is the rule by which the series could not be drawn.
    `surface` is the path of a picture, where the volume may show a head; `faceless`: it says that its face is gone.
    """

    number: int
    series: str
    strips: tuple[tuple[str, tuple[Strip, ...]], ...]
    frames: int
    undecoded: int
    header: tuple[Attribute, ...]
    surface: str = ""
    faceless: bool = False
    died: int = 0
    failed: str = ""

    def findings(self) -> list[Finding]:
        """Why the series is not drawn whole, where that is no matter of its transfer syntax."""
        died = [Finding("PIXELS_DECODER_DIED", self.place, "PixelData", self.died)] if self.died else []
        return died + ([Finding(self.failed, self.place)] if self.failed else [])

    @property
    def place(self) -> str:
        """The series, as findings name it."""
        return f"series {self.series}"


def render_series(task: SeriesTask) -> RenderedSeries:
    """Draw a series, whatever happens: a defect of our own is told as one of this series, and the others are drawn."""
    try:
        return _drawn(task)
    except OSError:
        raise
    except Exception:
        return undrawn(task, defect().rule)


def undrawn(task: SeriesTask, rule: str) -> RenderedSeries:
    """A series of which nothing can be shown, by a rule."""
    return RenderedSeries(task.number, task.series, (), 0, 0, (), failed=rule)


def _drawn(task: SeriesTask) -> RenderedSeries:
    """The series; an instance that no decoder serves is counted, and the rest goes on."""
    drawers: dict[str, _Drawer] = {}
    header = _Header()
    undecoded = died = count = 0
    series: dict[str, Series] = {}
    for place in task.places:
        data = _read(*place)
        dataset = pydicom.dcmread(io.BytesIO(data))
        with suppress(MalformedError):  # it shows nothing that could be drawn
            add(series, parse(data))
        header.see(dataset)
        if "PixelData" not in dataset:
            continue
        try:
            for frame in frames(dataset):
                for window in windows(task.modality, color=frame.ndim == 3):
                    drawer = drawers.setdefault(window.name, _Drawer(task, window))
                    drawer.add(shown(dataset, frame, window))
                count += 1
        except DecoderDiedError:
            undecoded, died = undecoded + 1, died + 1
        except ValueError:
            undecoded += 1
    strips = tuple((name, drawer.finish()) for name, drawer in drawers.items())
    faceless = any("113102" in line.value for line in header.lines() if line.name == "CodeValue")
    drawn = _surface(task, series, faceless)
    return RenderedSeries(task.number, task.series, strips, count, undecoded, header.lines(), drawn, faceless, died)


def _surface(task: SeriesTask, series: dict[str, Series], faceless: bool) -> str:
    """Draw the surface of a volume that may show a head; the path of the picture, or nothing."""
    for one in series.values():
        volume = one.stack.volume()
        if volume is None or (not faceless and one.stack.shows_face() is False):
            continue
        name = f"images/{task.number}-surface.png"
        (task.folder / name).write_bytes(surface(*volume, one.stack.kind == "CT"))
        return name
    return ""


def _read(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(size)


class _Drawer:
    """Frames of one window, gathered into strips of equal frames."""

    def __init__(self, task: SeriesTask, window: Window) -> None:
        self._task, self._window = task, window
        self._held: list[Bytes] = []
        self._strips: list[Strip] = []

    def add(self, frame: Bytes) -> None:
        fitted = _fitted(frame)
        if self._held and (self._held[0].shape != fitted.shape or self._full()):
            self._flush()
        self._held.append(fitted)

    def finish(self) -> tuple[Strip, ...]:
        if self._held:
            self._flush()
        return tuple(self._strips)

    def _full(self) -> bool:
        rows, columns = self._held[0].shape[:2]
        return bool((len(self._held) + 1) * rows * columns > _STRIP_PIXELS)

    def _flush(self) -> None:
        name = f"images/{self._task.number}-{self._window.slug}-{len(self._strips) + 1}.png"
        image = Image.fromarray(np.concatenate(self._held))
        image.save(self._task.folder / name, "PNG", compress_level=3)
        rows, columns = self._held[0].shape[:2]
        self._strips.append(Strip(name, columns, rows, len(self._held)))
        self._held = []


def _fitted(frame: Bytes) -> Bytes:
    """A frame at full size, or at the largest that a page can show."""
    if max(frame.shape[:2]) <= _LARGEST_SIDE:
        return frame
    image = Image.fromarray(frame)
    image.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE), Image.Resampling.BOX)
    return np.asarray(image)


class _Header:
    """The header of the first instance, and which of its attributes are not the same in all."""

    def __init__(self) -> None:
        self._first: dict[str, Attribute] | None = None
        self._varying: set[str] = set()

    def see(self, dataset: pydicom.Dataset) -> None:
        found = dict(_lines(dataset))
        if self._first is None:
            self._first = found
            return
        same = found.keys() & self._first.keys()
        self._varying |= self._first.keys() - same
        self._varying |= {path for path in same if found[path].value != self._first[path].value}

    def lines(self) -> tuple[Attribute, ...]:
        lines = (self._first or {}).items()
        return tuple(replace(line, varies=path in self._varying) for path, line in lines)


def _lines(dataset: pydicom.Dataset, path: str = "", depth: int = 0) -> Iterator[tuple[str, Attribute]]:
    """Every element with its path, those of the file meta information first, items below their sequence."""
    elements: Iterator[DataElement] = iter(dataset)
    if depth == 0:
        elements = chain(iter(dataset.file_meta), elements)
    for element in elements:
        here = f"{path}/{element.tag:08X}"
        tag = f"({element.tag.group:04X},{element.tag.element:04X})"
        yield here, Attribute(tag, depth, element.keyword or element.name, element.VR, _value(element))
        if element.VR == "SQ":
            for number, item in enumerate(element.value):
                yield from _lines(item, f"{here}[{number}]", depth + 1)


def _value(element: DataElement) -> str:
    """A value as text; bytes and sequences by their length."""
    value = element.value
    if element.VR == "SQ":
        return f"{len(value)} item{'' if len(value) == 1 else 's'}"
    if isinstance(value, bytes | bytearray):
        return f"{len(value):,} bytes"
    many = list(value) if isinstance(value, list | MultiValue) else [value]
    text = "\\".join("" if part is None else str(part) for part in many)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"
