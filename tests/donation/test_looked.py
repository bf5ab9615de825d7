"""What a first look found, kept on the disk: the same studies as in memory, and memory that stays flat."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.core.errors import StorageError
from curate.dicom.io.scan_record import Scan
from curate.donation.header_scan import nothing
from curate.donation.scan_index import ScanIndex
from curate.donation.series_grouping import group
from curate.donation.sources import SourceFile

_UIDS = st.sampled_from(["1.2", "1.2.3", "1.3", "1.4.5"])
_SCANS = st.builds(
    Scan,
    study_uid=_UIDS, series_uid=_UIDS, sop_instance_uid=st.sampled_from([f"1.9.{n}" for n in range(6)]),
    sop_class_uid=_UIDS, modality=st.sampled_from(["CT", "MR"]), transfer_syntax=_UIDS,
    patient=st.sampled_from([b"", b"a", b"b"]), identity_removed=st.booleans(), study_date=st.just("20200101"),
    earliest=st.none() | st.integers(0, 2**50), position=st.none() | st.floats(-500, 500),
    time=st.none() | st.floats(0, 10), number=st.none() | st.integers(0, 9), frames=st.integers(1, 3),
    size=st.integers(0, 9), rule=st.just(""),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(scans=st.lists(_SCANS, min_size=1, max_size=25), data=st.data())
def test_studies_are_those_that_memory_would_give(scans: list[Scan], data: st.DataObject) -> None:
    """In whatever order batches come, each study has the instances, order, doubles and findings of `group`."""
    files = [SourceFile(f"1:{n}", Path(f"/s/Núria/{n}"), 9, ("Núria", scan.study_uid)) for n, scan in enumerate(scans)]
    numbered = [(n, file, scan) for n, (file, scan) in enumerate(zip(files, scans, strict=True))]
    expected = group(zip(files, scans, strict=True)).studies
    with tempfile.TemporaryDirectory() as folder:
        looked = ScanIndex(Path(folder) / "tmp")
        for one in data.draw(st.permutations(numbered)):
            looked.add([one])
        studies = list(looked.studies())
        assert [study.group for study in studies] == list(expected)
        for study, whole in zip(studies, expected, strict=True):
            assert (study.place, study.instances) == (whole.members[0].place.place, len(whole.members))
            assert study.folders == ("Núria", study.study_uid)
        assert list(Path(folder).iterdir()) == []  # what names files lies under no name


def test_no_room_is_said_plainly(tmp_path: Path) -> None:
    """Where the disk takes no more, the message says what could not be done and what to do."""
    looked = ScanIndex(tmp_path / "tmp")
    looked._db.execute("PRAGMA max_page_count=4")
    one = nothing("", 1)._replace(study_uid="1.2", sop_instance_uid="1.2.3")
    file = SourceFile("1:1", tmp_path / ("x" * 4000), 1)
    with pytest.raises(StorageError, match="Cannot note"):
        looked.add((n, file, one) for n in range(20))


_MILLION = """
import re, sys
from pathlib import Path
from curate.donation.header_scan import nothing
from curate.donation.sources import SourceFile
from curate.dicom.io.scan_record import Scan
from curate.donation.scan_index import ScanIndex
count, a_study = int(sys.argv[2]), 200
looked = ScanIndex(Path(sys.argv[1]) / "tmp")
def one(n):
    study = f"1.2.826.0.1.3680043.10.1.{10**18 + n // a_study}"
    scan = Scan(study, study + ".1", f"{study}.1.{n}", "1.2.840.10008.5.1.4.1.1.2", "CT", "1.2.840.10008.1.2.1",
                bytes(16), False, "20200101", 10**15 + n, float(n % a_study), 1.0, n % a_study, 1, 12000, "")
    return n, SourceFile(f"1:{n}", Path(f"/data/donations/2020/{study}/{n:06d}.dcm"), 12000, ("2020", study), "x"), scan
for start in range(0, count, 256):
    looked.add(map(one, range(start, min(count, start + 256))))
studies = list(looked.studies())
assert sum(len(study.members) for study in studies) == count
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]  # ru_maxrss knows the parent's too
print(len(studies), int(peak) // 1000)
"""


def _peak_mb(folder: Path, count: int) -> int:
    command = [sys.executable, "-c", _MILLION, str(folder), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[1])


@pytest.mark.long
def test_memory_is_flat_over_a_million_files(tmp_path: Path) -> None:
    """A million files take little more memory than twenty thousand: studies are kept, instances are not."""
    few, many = _peak_mb(tmp_path, 20_000), _peak_mb(tmp_path, 1_000_000)
    assert many < 250
    assert many - few < 120
