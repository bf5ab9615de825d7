"""Randomness, time and account that are the same in every run, for what must come out byte for byte."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from unittest.mock import patch

from curate.core import clock

DAY = "1767225600"  # 2026-01-01


@contextmanager
def steady() -> Iterator[None]:
    """Draw everything that `curate` draws at random from one fixed stream, at a fixed time, as a fixed account."""
    drawn = count()

    def random_bytes(size: int) -> bytes:
        return hashlib.shake_256(f"steady {next(drawn)}".encode()).digest(size)

    with (
        patch.object(clock, "random_bytes", random_bytes),
        patch.dict(os.environ, {"SOURCE_DATE_EPOCH": DAY, "LOGNAME": "curate"}),
    ):
        yield
