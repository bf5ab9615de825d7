"""The frame and scans of a JPEG image: every coefficient is coded once, and no scan is there that adds nothing.

A second scan of a component would be a second image, of which readers show one (ISO 10918-1 B.2, 14495-1 C.2).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from curate.deid.pixeldata.codestreams import malformed
from curate.dicom.model import Bytes

SEQUENTIAL, PROGRESSIVE, JPEG_LS = frozenset((0xC0, 0xC1)), 0xC2, 0xF7
LOSSLESS = frozenset((0xC3, JPEG_LS))
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_COEFFICIENTS = 64
_BLOCK = 8


@dataclass(frozen=True, slots=True)
class Component:
    """One component of a frame: its sampling factors and its quantisation table."""

    across: int
    down: int
    table: int


class Restarts:
    """A DRI segment; one without a scan that it interrupts says nothing, and goes."""

    __slots__ = ("_raw", "_used", "interval")

    def __init__(self, raw: Bytes, segment: bytes) -> None:
        if not 2 <= len(segment) <= 4:
            raise malformed()
        self._raw, self.interval, self._used = raw, int.from_bytes(segment), False

    def use(self) -> None:
        """A scan is interrupted by it."""
        self._used = True

    def written(self) -> list[Bytes]:
        """The segment, where a scan is interrupted by it."""
        return [self._raw] if self._used else []


class Frame:
    """The components of a frame, and what of each its scans have given."""

    __slots__ = ("_columns", "_current", "_given", "_rows", "components", "kind")

    def __init__(self, marker: int, segment: bytes) -> None:
        self.kind = marker
        self._rows, self._columns = int.from_bytes(segment[1:3]), int.from_bytes(segment[3:5])
        self.components = {
            name: Component(factors >> 4, factors & 15, table)
            for name, factors, table in zip(segment[6::3], segment[7::3], segment[8::3], strict=True)
        }
        sound = all(1 <= one.across <= 4 and 1 <= one.down <= 4 for one in self.components.values())
        if len(self.components) != segment[5] or not sound:
            raise malformed()
        # of each component's coefficients: the lowest bit that is known
        self._given: dict[int, list[int | None]] = {name: [None] * _COEFFICIENTS for name in self.components}
        self._current: tuple[int, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether each component has been given."""
        return all(given[0] is not None for given in self._given.values())

    def scan(self, segment: bytes) -> bytes:
        """A scan's header with what it may say; the fields that its process does not use are those of the standard.

        Raises:
            MalformedError: CODESTREAM_MALFORMED where it gives again what an earlier scan gave.
        """
        if len(segment) < 6 or len(segment) != 4 + 2 * segment[0]:
            raise malformed()
        names = tuple(segment[1:-3:2])
        if len(set(names)) != len(names) or any(name not in self.components for name in names):
            raise malformed()
        self._current = names
        first, last, bits = segment[-3:]
        if self.kind == PROGRESSIVE:
            self._refine(first, last, bits >> 4, bits & 15)
            return segment
        for name in names:
            self._give(name, range(1), 0, 0)
        if self.kind in SEQUENTIAL:  # some write 0 as the last coefficient, and none reads it
            return segment[:-3] + bytes((0, last if last == 0 else _COEFFICIENTS - 1, 0))
        return segment if self.kind == JPEG_LS else segment[:-2] + bytes((0, bits & 15))

    def _refine(self, first: int, last: int, before: int, after: int) -> None:
        """Coefficients `first` to `last` down to bit `after`; `before` is 0 where nothing is known (G.1.1.1)."""
        if not first <= last < _COEFFICIENTS or (first == 0 and last) or (first and len(self._current) > 1):
            raise malformed()
        for name in self._current:
            self._give(name, range(first, last + 1), before, after)

    def _give(self, name: int, coefficients: range, before: int, after: int) -> None:
        given = self._given[name]
        for index in coefficients:
            known = given[index]
            if known is not None and not (before == known and after == known - 1):
                raise malformed()
            if known is None and before:
                raise malformed()
            given[index] = after

    def require_restarts(self, data: Bytes, restarts: Restarts | None) -> None:
        """Refuse coded data with more restarts than the size of the scan asks for: nobody reads what follows them."""
        most = self._most_restarts(restarts)
        if most and restarts is not None:
            restarts.use()
        found = 0
        for found, _ in enumerate(_RESTART.finditer(data), 1):
            if found > most:
                raise malformed()

    def _most_restarts(self, restarts: Restarts | None) -> int:
        if restarts is None or not restarts.interval:
            return 0
        if self.kind == JPEG_LS:
            return self._rows * len(self._current)
        return (self._units() - 1) // restarts.interval

    def _units(self) -> int:
        """How many minimum coded units a scan has (ISO 10918-1 A.2)."""
        size = 1 if self.kind in LOSSLESS else _BLOCK
        widest = max(one.across for one in self.components.values())
        tallest = max(one.down for one in self.components.values())
        if len(self._current) > 1:
            return -(-self._columns // (size * widest)) * -(-self._rows // (size * tallest))
        one = self.components[self._current[0]]
        across = -(-self._columns * one.across // widest)
        down = -(-self._rows * one.down // tallest)
        return -(-across // size) * -(-down // size)
