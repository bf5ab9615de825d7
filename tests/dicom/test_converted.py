"""A public converter makes the same of a series after the rewriting as before: volumes, directions, sidecar."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.dicom import converted

MOST_LOST = 5  # fields of a vendor's sidecar

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, of the odd files it reads


@pytest.mark.sampled(6)
@pytest.mark.parametrize("name", sorted(converted.folders()) or ["absent"])
def test_a_series_is_converted_as_before(name: str) -> None:
    """The volumes are equal, and a field that differs is one that identifies, or one that is listed with its reason."""
    converted.present()
    folder = converted.folders()[name]
    found = converted.outcome(folder)
    excused = {entry["what"] for entry in converted.reasons()["differences"] if name.endswith(entry["series"])}
    assert not [one for one in found.differences if one.rpartition(" ")[2] not in excused]
    listed = {entry["field"] for entry in converted.reasons()["lost"] if entry["vendor"] == converted.vendor_of(folder)}
    assert converted.lost(folder, found).keys() <= listed


def test_few_fields_are_lost() -> None:
    """No vendor has more than five, and each has its reason."""
    counts = Counter(entry["vendor"] for entry in converted.reasons()["lost"])
    assert max(counts.values()) <= MOST_LOST
    assert all(len(entry["reason"]) > 20 for entry in converted.reasons()["lost"])


def test_the_comparison_sees_what_is_lost() -> None:
    """Without the vendors' headers, a coronal mosaic is mirrored and its slices have no times any more."""
    converted.present()
    policy = converted.replace(converted._POLICY, vendor_headers="remove")
    found = converted.outcome(next(p for n, p in converted.folders().items() if n.endswith("cor/corasc35")), policy)
    assert any("affine" in difference for difference in found.differences)
    assert {"PhaseEncodingDirection", "DwellTime"} <= found.fields.keys()
