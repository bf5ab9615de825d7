"""Numbers that single out a session of a scanner to the last digit: rounded, and times counted from the first."""

from __future__ import annotations

import math
import struct

from curate.deid.grammar import even, number, split
from curate.dicom.io.long_values import MOST_NAMED

_DAY = 86_400_000.0  # milliseconds
_LONGEST = 100_000.0  # of one volume


def rounded(argument: str, vr: str, raw: bytes) -> bytes | None:
    """Numbers in range to a multiple: the argument is `low,high,multiple`."""
    low, high, multiple = argument.split(",")
    checked = number(f"{low},{high}", vr, raw)
    if not checked:
        return checked
    if vr in ("DS", "IS"):
        return even("\\".join(_to(part, int(multiple)) for part in split(checked)).encode(), b" ")
    kind = {"SS": "h", "SL": "i", "US": "H", "UL": "I"}.get(vr)
    if kind is None:
        return None
    values = struct.unpack(f"<{len(checked) // struct.calcsize(kind)}{kind}", checked)
    return struct.pack(f"<{len(values)}{kind}", *(_nearest(value, int(multiple)) for value in values))


def _to(text: str, multiple: int) -> str:
    return str(_nearest(float(text), multiple)) if text else ""


def _nearest(value: float, multiple: int) -> int:
    return math.floor(value / multiple + 0.5) * multiple


def relative(values: list[float]) -> list[float] | None:
    """Times of slices in milliseconds from the first of them, to 0.0001 ms: what they are counted from is left out.

    None where they are no times of one volume.
    """
    if not values or not all(math.isfinite(value) and abs(value) <= _DAY for value in values):
        return None
    if max(values) - min(values) > _DAY / 2:  # counted from a midnight that passed, or from a moment within the volume
        values = [value - _DAY if value > _DAY / 2 else value for value in values]
    first = min(values)
    moved = [round(value - first, 4) for value in values]
    return moved if max(moved) <= _LONGEST else None


def times(_argument: str, vr: str, raw: bytes) -> bytes | None:
    """The times of a mosaic's slices, from the first of them; binary ones."""
    if vr != "FD" or len(raw) % 8 or len(raw) > 8 * MOST_NAMED:
        return None
    found = relative([*struct.unpack(f"<{len(raw) // 8}d", raw)])
    return b"" if not raw else None if found is None else struct.pack(f"<{len(found)}d", *found)
