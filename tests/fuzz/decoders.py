"""Damaged coded frames against each decoder, through its process: pixels, a coded error, or a death that is told."""

from __future__ import annotations

import random
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pydicom
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import as_pixel_options

from curate import decoding
from curate.decoding import streams
from tests.planter import bases

GREY, COLOUR = "MONOCHROME2", "RGB"
FAMILIES = {
    "pillow": frozenset((streams.JPEG_BASELINE,)),
    "gdcm": streams.JPEG_LOSSLESS | {streams.JPEG_EXTENDED},
    "pyjpegls": streams.JPEG_LS,
    "openjpeg": streams.JPEG_2000 | streams.HTJ2K,
    "rle": frozenset((streams.RLE,)),
}


@dataclass(frozen=True, slots=True)
class Seed:
    """A coded frame that is sound, and what its data set says of it."""

    syntax: str
    frame: bytes
    options: dict[str, Any]


@dataclass(slots=True)
class Tally:
    """What became of the damaged frames of a decoder; `failures` are those that were no answer."""

    frames: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[tuple[str, bytes]] = field(default_factory=list)
    deadly: list[tuple[Seed, bytes]] = field(default_factory=list)


@cache
def seeds(decoder: str) -> tuple[Seed, ...]:
    """Frames of the corpus, and ones of our own where an encoder is there."""
    found = [seed for seed in _made() if seed.syntax in FAMILIES[decoder]]
    for path in sorted(path for path in bases.CORPUS.rglob("*") if path.is_file()):
        try:
            dataset = pydicom.dcmread(path)
            syntax = str(dataset.file_meta.TransferSyntaxUID)
            if syntax not in FAMILIES[decoder]:
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                options = as_pixel_options(dataset)
                frame = next(generate_frames(dataset.PixelData, number_of_frames=options["number_of_frames"]))
        except Exception:  # not everything there is DICOM with pixels
            continue
        options.pop("extended_offsets", None)
        if len(frame) < 300_000:
            found.append(Seed(syntax, frame, options))
    return tuple(found)


def _made() -> list[Seed]:
    made = []
    across = np.arange(64, dtype=np.uint16)
    grey = (across[:, None] * 37 + across[None, :] * 61) % 4096
    for syntax in ("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", streams.RLE):
        options = {
            "rows": 64,
            "columns": 64,
            "samples_per_pixel": 1,
            "number_of_frames": 1,
            "bits_allocated": 16,
            "bits_stored": 12,
            "pixel_representation": 0,
            "photometric_interpretation": GREY,
        }
        made.append(Seed(syntax, decoding.encoded(grey.astype(np.uint16), syntax, options), options))
    return made


def damaged(pick: random.Random, frame: bytes) -> bytes:
    """A frame after some damage, mostly behind its header."""
    data = bytearray(frame)
    for _ in range(pick.choice((1, 1, 2, 4, 16))):
        low = 0 if pick.random() < 0.3 else min(len(data) // 2, 200)
        at = pick.randrange(low, len(data)) if len(data) > low else 0
        kind = pick.randrange(5)
        if kind == 0 and data:
            data[at] ^= 1 << pick.randrange(8)
        elif kind == 1:
            data[at : at + pick.randrange(1, 9)] = pick.randbytes(pick.randrange(1, 9))
        elif kind == 2:
            del data[at : at + pick.choice((1, 2, 8, 64, 1 << 20))]
        elif kind == 3:
            data[at:at] = data[at : at + pick.choice((2, 16, 200))] * pick.choice((1, 8))
        else:
            data[at : at + 2] = pick.choice((b"\xff\xff", b"\0\0", b"\xff\xd9", b"\xff\x93", b"\xff\xda", b"\x80\0"))
    return bytes(data)


def fuzz(decoder: str, seconds: float, seed: int) -> Tally:
    """Damage frames of a decoder for so many seconds."""
    pick, tally = random.Random(f"{decoder} {seed}"), Tally()
    pool = seeds(decoder)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        chosen = pick.choice(pool)
        data = damaged(pick, chosen.frame)
        try:
            values = decoding.decoded(data, chosen.syntax, chosen.options)
            assert values.shape[:2] == (chosen.options["rows"], chosen.options["columns"])
            tally.outcomes["decoded"] += 1
        except decoding.DecoderDiedError:
            tally.outcomes["died"] += 1
            tally.deadly.append((chosen, data))
        except decoding.UndecodableError:
            tally.outcomes["undecodable"] += 1
        except Exception as error:
            tally.failures.append((f"{decoder}: {type(error).__name__}", data))
        tally.frames += 1
    return tally
