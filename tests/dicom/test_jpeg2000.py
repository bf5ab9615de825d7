"""Marker segments of JPEG 2000: what real encoders write is sound, what says more than its fields ask for is not."""

from __future__ import annotations

import pytest

from curate.deid.pixeldata import jpeg2000
from curate.deid.pixeldata.jpeg2000 import CAP, COC, COD, POC, QCC, QCD, RGN, SIZ

CODING = bytes([0, 0, 0, 1, 0, 5, 4, 4, 0, 1])
SOUND = (
    (SIZ, bytes(36) + b"\x07\1\1" * 3),
    (CAP, b"\0\2\0\0\0\0"),
    (COD, CODING),
    (COD, b"\1" + CODING[1:] + b"\x88" * 6),
    (COC, b"\2\0\5\4\4\0\1"),
    (QCD, b"\x40" + b"\x48" * 16),
    (QCD, b"\x41\x48\x01"),
    (QCD, b"\x42" + b"\x48\x01" * 16),
    (QCC, b"\1\x41\x48\x01"),
    (RGN, b"\0\0\x0b"),
    (POC, b"\0\0\0\1\6\3\2" + b"\1\0\0\1\6\3\0"),
)


@pytest.mark.parametrize(("marker", "body"), SOUND)
def test_a_segment_of_the_standard_is_sound(marker: int, body: bytes) -> None:
    """Each kind of segment in the forms that encoders write."""
    assert jpeg2000.sound(marker, body, 3)


@pytest.mark.parametrize(("marker", "body"), SOUND)
def test_a_segment_with_more_in_it_is_not(marker: int, body: bytes) -> None:
    """Letters at its end, or instead of it, are more than a segment may hold."""
    assert not jpeg2000.sound(marker, body + b"LETTERS", 3)
    assert not jpeg2000.sound(marker, b"\0LETTERS", 3)


@pytest.mark.parametrize("marker", [COC, QCC, RGN])
def test_a_component_that_is_not_there_has_no_segment(marker: int) -> None:
    """A segment for a component beyond the image's would be read by nobody."""
    body = next(body for kind, body in SOUND if kind == marker)
    assert not jpeg2000.sound(marker, b"\7" + body[1:], 3)


def test_packed_headers_are_refused() -> None:
    """PPM and PPT hold what only decoding can tell."""
    assert not jpeg2000.sound(0x60, b"\0abc", 1)
    assert not jpeg2000.sound(0x61, b"\0abc", 1)
