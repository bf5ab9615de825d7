"""A segmentation of a series, written by highdicom."""

from __future__ import annotations

import io
import warnings
from typing import Any

import highdicom
import pydicom
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from tests import synth


def described(number: int) -> Any:
    """A segment's description: the first a liver, the rest spleens."""
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=f"part {number}",
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=codes.SCT.Liver if number == 1 else codes.SCT.Spleen,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
    )


def segmented(slices: list[Dataset], mask: Any, kind: str = "BINARY", count: int = 1, **more: Any) -> Dataset:
    """A segmentation of the series, read back from its bytes; `mask` is (z, y, x) along rising z."""
    ordered = sorted(slices, key=lambda one: float(one.ImagePositionPatient[2]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = highdicom.seg.Segmentation(
            source_images=ordered,
            pixel_array=mask,
            segmentation_type=kind,
            segment_descriptions=[described(n) for n in range(1, count + 1)],
            series_instance_uid=synth.uid(ordered[0].SeriesInstanceUID, "seg"),
            series_number=9,
            sop_instance_uid=synth.uid(ordered[0].SeriesInstanceUID, "seg", 1),
            instance_number=1,
            manufacturer="x",
            manufacturer_model_name="x",
            software_versions="1",
            device_serial_number="1",
            **more,
        )
    return pydicom.dcmread(again(found))


def again(found: Dataset) -> io.BytesIO:
    """The Part 10 bytes of a data set, to be read."""
    return io.BytesIO(synth.to_bytes(found))
