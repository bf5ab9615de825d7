"""No library that curate uses reports what its user does: each one's own switch is off before it is imported.

ONNX Runtime looks a collector's name up, and keeps a device id and a database under the user's cache; the Hub's
client and its transfer library send usage, `datasets` counts loads. All would run in the process that holds keys and
patients' pixels.
"""

from __future__ import annotations

import os
import sys

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",  # onnxruntime: read when it initializes; no uploader, no event, no device id
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, and hf_xet
    "HF_XET_TELEMETRY_ENABLED": "0",  # hf_xet
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",  # huggingface_hub
    "HF_UPDATE_DOWNLOAD_COUNTS": "0",  # datasets: one request a load
    "OPENCV_OPENCL_CACHE_ENABLE": "0",  # opencv: a cache of programs under the user's own
    "DO_NOT_TRACK": "1",  # whatever else asks
}


def off() -> None:
    """Set every switch, whatever the environment says; tell libraries that were imported before what they take."""
    os.environ.update(SWITCHES)
    if "huggingface_hub.constants" in sys.modules:
        sys.modules["huggingface_hub.constants"].HF_HUB_DISABLE_TELEMETRY = True  # type: ignore[attr-defined]
    if "datasets.config" in sys.modules:
        sys.modules["datasets.config"].HF_UPDATE_DOWNLOAD_COUNTS = False  # type: ignore[attr-defined]
    if "onnxruntime" in sys.modules:
        sys.modules["onnxruntime"].disable_telemetry_events()
