"""Whether the marker segments of a JPEG 2000 header hold what the standard asks for, and nothing besides."""

from __future__ import annotations

SIZ, CAP, COD, COC, QCD, QCC, RGN, POC = 0x51, 0x50, 0x52, 0x53, 0x5C, 0x5D, 0x5E, 0x5F
_LEVELS = 32  # the most that any profile has (ISO 15444-1 Table A.15)
_WIDE = 257  # from so many components on their numbers take two bytes


def sound(marker: int, body: bytes, components: int) -> bool:
    """Whether a segment's body (what follows its length) has the size and range that its fields ask for.

    Packed packet headers (PPM, PPT) are never sound: what they hold can't be told without decoding.
    """
    wide = 1 if components < _WIDE else 2
    own = int.from_bytes(body[:wide])
    if marker == SIZ:
        return len(body) == 36 + 3 * components
    if marker == CAP:
        return len(body) == 4 + 2 * int.from_bytes(body[:4]).bit_count()
    if marker == COD:
        return len(body) >= 10 and _coding(body[0], body[5], len(body) - 10)
    if marker == COC:
        rest = len(body) - wide - 6
        return own < components and rest >= 0 and _coding(body[wide], body[wide + 1], rest)
    if marker == QCD:
        return _quantisation(body)
    if marker == QCC:
        return own < components and _quantisation(body[wide:])
    if marker == RGN:
        return own < components and len(body) == wide + 2 and body[wide] == 0
    return marker == POC and _order(body, wide, components)


def _coding(style: int, levels: int, rest: int) -> bool:
    """The precincts' sizes, one a resolution, are there just where the style says so."""
    return levels <= _LEVELS and rest == (levels + 1 if style & 1 else 0)


def _quantisation(body: bytes) -> bool:
    """One step size a subband: 3 a level and one (ISO 15444-1 A.6.4)."""
    if not body:
        return False
    style, steps = body[0] & 31, body[1:]
    if style == 0:
        return len(steps) % 3 == 1 and len(steps) <= 3 * _LEVELS + 1 and all(step & 7 == 0 for step in steps)
    if style == 1:
        return len(steps) == 2
    return style == 2 and len(steps) % 6 == 2 and len(steps) <= 6 * _LEVELS + 2


def _order(body: bytes, wide: int, components: int) -> bool:
    """Changes of the progression order, each within the image's resolutions and components."""
    size = 5 + 2 * wide
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return bool(parts) and all(
        len(part) == size
        and part[0] <= _LEVELS
        and int.from_bytes(part[1 : 1 + wide]) < components
        and part[3 + wide] <= _LEVELS + 1
        and int.from_bytes(part[4 + wide : 4 + 2 * wide]) <= components
        and part[-1] <= 4
        for part in parts
    )
