"""What a reading is taken for."""

from __future__ import annotations

import pytest

from curate.pixels.text.text_classes import kind


@pytest.mark.parametrize(
    ("text", "score", "wanted"),
    [
        ("DOE^JANE", 0.9, "text"),
        ("ID: 48291034", 0.9, "text"),
        ("12/03/57", 0.9, "text"),
        ("12.03.1957", 0.9, "text"),
        ("1957", 0.9, "text"),
        ("45Y", 0.9, "text"),
        ("Portable DOE", 0.9, "text"),
        ("SUPINE", 0.9, "mark"),
        ("L LAT", 0.9, "mark"),
        ("120 kVp 80mA", 0.9, "mark"),
        ("5.0mm", 0.9, "mark"),
        ("MI 1.1", 0.9, "mark"),
        ("SUPINE", 0.5, "text"),  # not sure enough to let it stay
        ("R", 0.99, ""),
        ("DOE^JANE", 0.2, ""),
        ("000O0°", 0.9, ""),  # round phantoms
    ],
)
def test_what_a_reading_is(text: str, score: float, wanted: str) -> None:
    """Names, numbers and dates are text; only words and units of the closed vocabulary are marks."""
    assert kind(text, score) == wanted
