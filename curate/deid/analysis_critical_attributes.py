"""What research computes from: where such a value is not kept, that is a finding of its instance."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import cache

from curate.deid.grammar import TEXT_NUMBERS, data, split
from curate.dicom import tags

READ_OTHERWISE, MISSING, DROPPED = "VALUE_LOST_IMAGE", "VALUE_LOST", "VENDOR_HEADER_DROPPED"
_BINARY = {"US": "H", "SS": "h", "UL": "L", "SL": "l", "FL": "f", "FD": "d", "SV": "q", "UV": "Q"}
_MOMENTS = frozenset(("DA", "TM", "DT"))
# VOI and presentation tables: only shown by, not read through
_DISPLAY = frozenset((tags.VOILUTSequence, tags.PresentationLUTSequence))
_NO_VALUE = 1e30  # beyond any quantity
_ROUNDED = 1e-4  # what is rounded is not lost


@dataclass(frozen=True, slots=True)
class Dependence:
    """What rests on an attribute: the geometry or the pixels, read otherwise without it, or values; and how so.

    A vendor's `block` is rebuilt whole: where it is not of its form, that is told of it, and nothing more.

    A private value may be written in another form than its scanner's, so that it is asked only whether it is there.
    """

    name: str
    effect: str
    why: str
    private: bool = False


@cache
def standard() -> dict[int, Dependence]:
    """By tag."""
    return {
        int(entry["tag"], 16): Dependence(entry["keyword"], entry["effect"], entry["why"])
        for entry in data("computing.json")
        if "tag" in entry
    }


@cache
def private() -> dict[tuple[str, int, int], Dependence]:
    """By creator, group, and element within its block."""
    return {
        (entry["creator"], int(entry["group"], 16), int(entry["element"], 16)): Dependence(
            f"({entry['group']},xx{entry['element']})", entry["effect"], entry["why"], private=True
        )
        for entry in data("computing.json")
        if "creator" in entry
    }


def dependence(tag: int, creator: str | None) -> Dependence | None:
    """What rests on an attribute; None where nothing is known to."""
    return private().get((creator or "", tag >> 16, tag & 0xFF)) if tag & 0x10000 else standard().get(tag)


def lost(on: Dependence, vr: str, before: bytes, after: bytes | None, parent: int = 0) -> str:
    """The rule by which a value was lost, in an item of the sequence `parent`; empty where it is there still.

    What no reader could read before is missed by none that computes from pixels: it is a warning.
    """
    if before == after or _is_blank(vr, before):
        return ""
    if after is not None and not _is_blank(vr, after) and (on.private or _says(vr, before, after)):
        return ""
    if on.effect == "block":
        return DROPPED
    readable = vr not in TEXT_NUMBERS or _numbers(vr, before) is not None
    read_by = on.effect in ("geometry", "pixels") and parent not in _DISPLAY
    return READ_OTHERWISE if readable and read_by else MISSING


def _is_blank(vr: str, raw: bytes) -> bool:
    if vr in ("FL", "FD") and (found := _numbers(vr, raw)):  # what some scanners write where there is no value
        return all(value is None or not abs(value) < _NO_VALUE for value in found)
    return not (raw if vr in _BINARY else raw.strip(b" \0\\"))


def _says(vr: str, before: bytes, after: bytes) -> bool:
    """Whether a cleaned value says what the original did, but for its spelling and the last of its digits."""
    if vr in _MOMENTS:  # they move
        return True
    old, new = _numbers(vr, before), _numbers(vr, after)
    if old is not None and new is not None:
        return len(old) == len(new) and all(
            a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=_ROUNDED))
            for a, b in zip(old, new, strict=True)
        )
    return old is None and split(before.upper()) == split(after.upper())


def _numbers(vr: str, raw: bytes) -> list[float | None] | None:
    """The numbers of a value, None for an empty place; None where it is no list of finite numbers."""
    kind = _BINARY.get(vr)
    if kind is not None:
        size = struct.calcsize("<" + kind)
        return None if len(raw) % size else [*struct.unpack(f"<{len(raw) // size}{kind}", raw)]
    try:
        found = [float(part.replace(",", ".")) if part else None for part in split(raw)]
    except ValueError:
        return None
    return found if all(value is None or math.isfinite(value) for value in found) else None


def note(rule: str, on: Dependence) -> str:
    """How a loss stands among the counts of what was done: beside the labels, which are single words."""
    return f"{rule} {on.name}"
