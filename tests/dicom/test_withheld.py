"""The options that keep model and region out of the headers of persons."""

from __future__ import annotations

import io

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curate.core.errors import InputError
from curate.core.findings import Severity
from curate.deid import pseudonyms
from curate.deid.records import StudyContext
from curate.deid.rewrite import rewrite
from curate.deid.verify import verify
from curate.keys.derivation import Keys
from curate.policies import Policy
from tests import synth

KEYS = Keys.from_secret(bytes(32))
PERSONS = Policy(equipment="vendor", anatomy="remove")


def source() -> Dataset:
    """A CT instance whose header names scanner and region in every way that the profile lets pass."""
    ds = synth.load_instance(3)
    ds.SeriesDescription = "Thorax LUNG axial 2.5mm"
    ds.ProtocolName = "BRAIN"
    ds.Laterality = "L"
    frame = Dataset()
    frame.AnatomicRegionSequence, frame.FrameLaterality = ds.AnatomicRegionSequence, "U"
    ds.FrameAnatomySequence = Sequence([frame])
    return ds


def rewritten(policy: Policy) -> tuple[bytes, Dataset]:
    """The clean file under a policy, and what pydicom reads in it."""
    context = StudyContext(KEYS, pseudonyms.donor_id(KEYS, "P1"), 0, "20000101")
    data = b"".join(rewrite(synth.to_bytes(source()), context, policy).chunks)
    return data, pydicom.dcmread(io.BytesIO(data))


def test_persons_are_shown_by_vendor_alone_and_without_a_region() -> None:
    """Model and software are dummies, region and laterality are gone, the vendor and the plane stay."""
    _, ds = rewritten(PERSONS)
    assert ds.Manufacturer == "SIEMENS"
    assert (ds.ManufacturerModelName, ds.SoftwareVersions) == ("REMOVED", "REMOVED")
    assert not ds.BodyPartExamined
    assert not ds.get("Laterality")
    assert "AnatomicRegionSequence" not in ds
    assert "AnatomicRegionSequence" not in ds.FrameAnatomySequence[0]
    assert "THORAX" not in ds.SeriesDescription
    assert "LUNG" not in ds.SeriesDescription
    assert "AXIAL" in ds.SeriesDescription
    assert "BRAIN" not in str(ds.get("ProtocolName"))


def test_by_default_they_stay() -> None:
    """Test material, and who says so, keeps model and region."""
    _, ds = rewritten(Policy())
    assert ds.ManufacturerModelName == "SENSATION 64"
    assert ds.BodyPartExamined == "CHEST"
    assert "LUNG" in ds.SeriesDescription


def test_the_verifier_agrees_with_each_policy() -> None:
    """What was written for persons is clean for both; what names a model is not clean for persons."""
    persons, everything = rewritten(PERSONS)[0], rewritten(Policy())[0]
    for data, policy, clean in (
        (persons, PERSONS, True),
        (everything, Policy(), True),
        (everything, PERSONS, False),
    ):
        wrong = {f.tag for f in verify(data, policy) if f.severity is Severity.ERROR}
        assert (not wrong) is clean
    assert {"ManufacturerModelName", "SoftwareVersions", "BodyPartExamined"} <= wrong


@pytest.mark.parametrize("table", [{"equipment": "none"}, {"anatomy": True}])
def test_other_words_are_refused(table: dict[str, object]) -> None:
    """An option takes the words that it has."""
    with pytest.raises(InputError):
        Policy.from_mapping(table)
