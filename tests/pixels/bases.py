"""Real frames of the shared corpus that bear no text: CT, MR, X-ray, NM, ultrasound, colour, palette."""

from __future__ import annotations

import warnings
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pydicom

from curate.deid.pixeldata.pixel_module import pixels_of
from curate.dicom.io.reader import parse
from curate.pixels.image import Image, colours, stored
from curate.pixels.mask import Masked
from tests.corpus import corpus
from tests.pixels.burned import Frame

# text stands in these already: boxes (left, top, right, bottom) of what has none
_CROPS = {
    "examples_jpeg2k.dcm": (20, 105, 590, 330),
    "examples_palette.dcm": (95, 120, 790, 345),
    "examples_ybr_color.dcm": (60, 12, 280, 225),
}
_OURS = (
    "neurolabusc+dcm_qa_ct",
    "QIICR+dcmqi",
    "datalad",
    "neurolabusc+dcm_qa_nih",
    "pyvista",
    "neurolabusc+dcm_qa_ts",
)
_OTHERS = (
    "CT_small.dcm",
    "MR_small.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "JPEG2000.dcm",
    "dx_image.dcm",
    "ct_image.dcm",
)
_MOST_OF_SERIES = 24


@dataclass(frozen=True, slots=True, repr=False)
class Base:
    """A frame without text: what kind of image, the file's bytes, the stored values and their bounds."""

    kind: str
    name: str
    data: bytes
    frame: Frame
    bounds: tuple[int, int]
    thorough: bool
    template: Image

    def image(self, frame: Frame | bytes, masked: Masked | None = None) -> Image:
        """An uncompressed image of one frame, or one that was masked."""
        if masked is not None:
            return replace(self.template, native=masked.native)
        assert not isinstance(frame, bytes)
        return replace(self.template, native=np.ascontiguousarray(frame).tobytes())


def bases() -> list[Base]:
    """All such frames of the corpus, in the order of their paths; of a long series the first 24."""
    root = corpus()
    found: list[Base] = []
    series: Counter[str] = Counter()
    for path in sorted(root.rglob("*")):
        wanted = path.is_file() and (
            path.name in _CROPS or path.name in _OTHERS or path.relative_to(root).parts[0].startswith(_OURS)
        )
        base = _base(path) if wanted else None
        if base is not None:
            series[base.name] += 1
            if series[base.name] <= _MOST_OF_SERIES:
                found.append(base)
    return found


def _base(path: Path) -> Base | None:
    data = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            head = pydicom.dcmread(path, stop_before_pixels=True)
            parsed = parse(data)
            fields = pixels_of(parsed)
            if fields is None or head.get("Modality") not in ("CT", "MR", "DX", "CR", "NM", "US"):
                return None
            image = Image(**fields)
            if min(image.rows, image.columns) < 64 or "S4010" in path.parts:
                return None
            frame = stored(image, 0)
    except Exception:  # what cannot be read is no base
        return None
    crop = _CROPS.get(path.name)
    if crop is not None:
        frame = colours(image, frame)[crop[1] : crop[3], crop[0] : crop[2]]
    low, high = (
        (0, (1 << image.stored) - 1) if not image.signed else (-(1 << image.stored - 1), (1 << image.stored - 1) - 1)
    )
    if head.Modality == "CT":
        low, high = max(low, int(frame.min())), min(high, 4095)
    colour = frame.ndim == 3
    template = replace(
        image, rows=frame.shape[0], columns=frame.shape[1], frames=1, encoded=(), palette=None, planar=0,
        photometric="RGB" if colour else ("MONOCHROME2" if image.palette is not None else image.photometric),
        samples=3 if colour else 1, transfer_syntax="1.2.840.10008.1.2.1",
    )  # fmt: skip
    thorough = head.Modality not in ("CT", "MR")
    return Base(str(head.Modality), str(head.get("SeriesInstanceUID")), data, frame, (low, high), thorough, template)
