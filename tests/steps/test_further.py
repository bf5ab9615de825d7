"""A later study that would single its donor out goes out under a further id, from which no way leads to the first."""

from __future__ import annotations

import errno
import hashlib
import io
import itertools
import re
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pydicom
import pytest

from curate.archive import arrow_ipc, packs, repository
from curate.archive.ledger_records import StudyRecord
from curate.core import durable
from curate.core.errors import StorageError
from curate.core.findings import has_errors
from curate.donation import quasi_identifiers
from curate.releases.split_pseudonyms import part_of, split_donors
from curate.steps.publish import publish
from curate.steps.withdraw import withdraw
from curate.verify.release import check_release
from tests.steps.archives import curate_json, files_of
from tests.steps.donors import make_archive, release, take_in

DONORS = 40
UID = re.compile(rb"2\.25\.\d{30,39}")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty donors of whom each came twice, each after another number of days; one release."""
    folder = tmp_path_factory.mktemp("further")
    archive = make_archive(folder / "archive")
    take_in(archive, folder / "in", range(DONORS))
    take_in(archive, folder / "again", range(DONORS), study={donor: donor + 1 for donor in range(DONORS)})
    release(archive)
    return archive


def records(archive: Path) -> list[StudyRecord]:
    """All studies of the ledger."""
    with repository.opened(archive, write=False) as opened:
        return list(opened.ledger.studies())


def test_later_studies_are_published_and_no_header_leads_to_the_first(archive: Path) -> None:
    """Other PatientID, dates from 2000-01-01, and not one UID in common with what the donor published before."""
    folder = archive / "releases" / "1.0.0"
    assert not any(has_errors(result.findings) for result in check_release(folder))
    rows = {row["study_id"]: row for row in pq.read_table(folder / "manifest" / "studies.parquet").to_pylist()}
    found: dict[str, set[bytes]] = defaultdict(set)
    for path in folder.glob("packs/*/*.parquet"):
        for row in pq.read_table(path).to_pylist():
            data = row["dicom"]["bytes"]
            found[row["study_id"]] |= set(UID.findall(data))
            ds = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
            assert ds.PatientID == rows[row["study_id"]]["donor_id"]
            assert ds.StudyDate == "20000101"
    everywhere = set.intersection(*found.values())
    assert len(everywhere) == 1  # the implementation's own
    of_donor: dict[str, list[StudyRecord]] = defaultdict(list)
    for record in records(archive):
        if record.study_id in rows:
            of_donor[record.donor_id].append(record)
    twice = [both for both in of_donor.values() if len(both) == 2]
    assert len(twice) >= 20
    for one, other in twice:
        assert one.published_donor != other.published_donor
        assert {one.published_donor, other.published_donor} > {one.donor_id}
        assert found[one.study_id] & found[other.study_id] == everywhere
        assert rows[one.study_id]["fold"] == rows[other.study_id]["fold"]


def test_a_published_study_keeps_its_further_id(archive: Path, tmp_path: Path) -> None:
    """The next release, with more donors, says the same of it; withdrawing the donor takes out both ids."""
    publish(archive, "1.0.0")
    before = {record.study_id: record.published_donor for record in records(archive)}
    take_in(archive, tmp_path / "more", range(DONORS, DONORS + 20))
    assert release(archive).version == "1.1.0"
    after = {record.study_id: record.published_donor for record in records(archive)}
    shown = pq.read_table(archive / "releases" / "1.0.0" / "manifest" / "studies.parquet")["study_id"].to_pylist()
    assert all(after[study] == before[study] for study in shown)
    publish(archive, "1.1.0")
    further = next(record for record in records(archive) if part_of(record.payload))
    assert withdraw(archive, further.published_donor).studies == 2
    assert further.donor_id not in {record.donor_id for record in records(archive)}


def test_an_id_can_be_taken_back_before_publication(tmp_path: Path) -> None:
    """Under the donor's own id again, dates and PatientID are the first ones; nothing of the further id is left."""
    archive = make_archive(tmp_path / "archive")
    take_in(archive, tmp_path / "in", range(12))
    take_in(archive, tmp_path / "later", [3, 4], study=1)
    with repository.opened(archive, write=True) as opened:
        later = next(record for record in opened.ledger.studies() if record.payload["day"])
        split_donors(opened, {later.study_id: 1})
        moved = opened.ledger.study(later.study_id)
        assert moved is not None
        assert moved.published_donor != later.donor_id
        split_donors(opened, {later.study_id: 1})
        assert opened.ledger.study(later.study_id) == moved
        split_donors(opened, {later.study_id: 0})
        back = opened.ledger.study(later.study_id)
        assert back is not None
        assert back.published_donor == later.donor_id
        assert back.payload["facts"]["size_bytes"] == sum(
            len(row["dicom"]["bytes"]) for path in back.files for row in pq.read_table(archive / path).to_pylist()
        )
        data = b"".join(
            row["dicom"]["bytes"] for path in back.files for row in pq.read_table(archive / path).to_pylist()
        )
        assert moved.published_donor.encode() not in data
        assert pydicom.dcmread(io.BytesIO(data)).StudyDate == "20000407"  # 97 days later


def test_a_kill_at_any_step_leaves_the_study_under_one_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever write fails, ledger and packs say the same id, and the next run brings the new one."""
    archive = make_archive(tmp_path / "archive")
    take_in(archive, tmp_path / "in", range(1))
    take_in(archive, tmp_path / "later", [0], study=1)
    with repository.opened(archive, write=True) as opened:
        later = next(record for record in opened.ledger.studies() if record.payload["day"])
        for fault in itertools.count():
            steps = itertools.count()
            monkeypatch.setattr(durable, "observer", lambda *_: _fail() if next(steps) == fault else None)  # noqa: B023
            try:
                split_donors(opened, {later.study_id: 1})
            except StorageError:
                record = opened.ledger.study(later.study_id)
                assert record is not None
                assert record.published_donor == later.donor_id
                for row in arrow_ipc.from_ipc(record.instances).to_pylist():
                    data = packs.read_instance(archive / row["pack"], row["offset_bytes"], row["size_bytes"])
                    assert hashlib.sha256(data).digest() == row["sha256"]
                continue
            break
        moved = opened.ledger.study(later.study_id)
        assert fault >= 4
        assert moved is not None
        assert part_of(moved.payload) == 1


def _fail() -> None:
    raise OSError(errno.ENOSPC, "full")


def test_a_study_that_another_one_names_is_bound(tmp_path: Path) -> None:
    """Where an image of one study refers to an instance of another, this one can't get an id of its own."""
    archive = make_archive(tmp_path / "archive")
    take_in(archive, tmp_path / "in", range(3))
    take_in(archive, tmp_path / "later", range(2), study=1)
    with repository.opened(archive, write=True) as opened:
        one, other = (record for record in opened.ledger.studies() if record.donor_id == donor_of_two(archive))
        named = min(uid for uid in other.own_uids if uid != other.study_id)
        one.payload["names"] = [named]
        with opened.ledger.transaction():
            opened.ledger.put_study(one)
        table = quasi_identifiers.raw_table(opened.ledger).to_pylist()
    assert [row["study_id"] for row in table if row["bound"]] == [other.study_id]


def donor_of_two(archive: Path) -> str:
    """A donor of two studies."""
    donors = [record.donor_id for record in records(archive)]
    return next(donor for donor in donors if donors.count(donor) == 2)


def test_hold_keeps_them_back_and_the_forecast_says_so(tmp_path: Path) -> None:
    """With later_studies = "hold" they wait, and the forecast names the reason."""
    archive = make_archive(tmp_path / "archive", privacy='access = "gated"\nlater_studies = "hold"\n')
    take_in(archive, tmp_path / "in", range(20))
    take_in(archive, tmp_path / "later", [3, 4], study=1)
    report = curate_json("risk", archive)
    assert report["waiting"]["LATER_STUDY"] >= 2
    assert files_of(archive / "releases") == {}
