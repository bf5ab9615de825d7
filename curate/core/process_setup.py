"""How a process of ours that works for long is set up: a command, and each of its workers."""

from __future__ import annotations

import gc
import os

_RARELY = 50_000


def prepare() -> None:
    """Look for cycles rarely, and let no library start threads of its own.

    A step keeps what it learns of a series and makes few cycles, and each look for them passes through all it keeps.
    Threads of OpenBLAS wait busily after each small product; processes are what the work is spread over.
    """
    gc.set_threshold(_RARELY)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
