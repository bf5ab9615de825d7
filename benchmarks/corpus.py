"""A seeded corpus of CT studies for measuring: realistic headers with sequences and private tags."""

from __future__ import annotations

from pathlib import Path

from tests import synth
from tests.corpus import write_table


def make(folder: Path, studies: int, slices: int, side: int) -> tuple[Path, Path]:
    """CT studies of one series each, `side` x `side` pixels of 16 bit, and the table of them."""
    table = folder / f"{studies}x{slices}x{side}.csv"
    data = folder / f"{studies}x{slices}x{side}"
    if not table.exists():
        for study in range(studies):
            place = data / f"study{study:03d}"
            place.mkdir(parents=True, exist_ok=True)
            for number in range(slices):
                content = synth.instance_bytes(study, 0, 0, number, rows=side, columns=side)
                (place / f"{number:04d}.dcm").write_bytes(content)
        write_table(table, [synth.uid(study, 0) for study in range(studies)])
    return data, table
