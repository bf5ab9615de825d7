"""Known layouts: what stands above the ultrasound regions goes, by rule."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the extra `pixels` is not installed")

from curate.pixels.image import Image
from curate.pixels.text.layouts import by_layout
from curate.pixels.text.text_detection import Found, Look

_DEVICE = {"sop_class": "1.2.840.10008.5.1.4.1.1.6.1", "manufacturer": "Philips", "model": "EPIQ"}
_REGIONS = [(40, 30, 180, 110)]


def ultrasound(banner: int) -> Image:
    frame = np.zeros((120, 200), np.uint8)
    frame[40:100, 60:150] = 180
    frame[8:14, 20:90:3] = banner
    return Image(120, 200, 1, 1, 8, 8, 7, False, "MONOCHROME2", 0, "1.2.840.10008.1.2.1", native=frame.tobytes())


@pytest.mark.parametrize(
    ("banner", "device", "found"),
    [
        (255, _DEVICE, (Found(0, "layout", (0, 0, 200, 30)),)),
        (0, _DEVICE, ()),
        (255, _DEVICE | {"sop_class": "1.2.840.10008.5.1.4.1.1.2"}, ()),
    ],
    ids=["banner", "even ground", "no ultrasound"],
)
def test_the_banner_above_the_regions_is_masked_by_rule(
    banner: int, device: dict[str, str], found: tuple[Found, ...]
) -> None:
    """Whatever a look finds there; where nothing stands, nothing is masked; other classes have no such banner."""
    assert by_layout(Look(1, 1, 0, ()), ultrasound(banner), device, _REGIONS).found == found
