"""Coded pixels are decoded, and coded, in a process of their own that holds no keys, no network and no path.

Decoders are native code that reads bytes which anybody may have made. What kills one is an error here
(`DecoderDiedError`), after a second try in a fresh process: what an earlier frame broke is not laid to a later one.
"""

from __future__ import annotations

from curate.decoding.client import Confinement, confinement
from curate.decoding.errors import DecoderDiedError, UndecodableError
from curate.decoding.frames import decoded, encoded, pixel_array, png_of

__all__ = [
    "Confinement",
    "DecoderDiedError",
    "UndecodableError",
    "confinement",
    "decoded",
    "encoded",
    "pixel_array",
    "png_of",
]
