"""Very many donors: three versions with additions and withdrawals, joined by somebody who has all of them."""

from __future__ import annotations

import io
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pydicom
import pytest

from curate import contract
from curate.archive import repository
from curate.core import clock
from curate.core.actor import TOOL, who
from curate.core.findings import has_errors
from curate.keys.derivation import Keys
from curate.releases.ledger_withdrawal import remove_studies
from curate.releases.withdrawal_cleanup import finish_withdrawals
from curate.steps.release import Cut
from curate.verify.checks import seal
from curate.verify.checks.disclosure import check_disclosure
from tests.steps.donors import make_archive, release
from tests.steps.many import admit, visits

K = 11
OPEN = "largest_suppressed_share = 0.05\n"
HEADER = (
    *("PatientID", "StudyDate", "Modality", "Manufacturer", "ManufacturerModelName", "SoftwareVersions"),
    *("MagneticFieldStrength", "BodyPartExamined", "Laterality", "ImageLaterality", "PatientSex", "PatientAge"),
    *("PatientWeight", "PatientSize", "StudyDescription", "InstitutionName", "StationName", "DeviceSerialNumber"),
)
STUDIES, SERIES = (
    [column.name for column in contract.table(name).columns if column.role == "quasi-identifier"]
    for name in ("studies", "series")
)
Said = dict[str, dict[str, Any]]


class Reader:
    """Somebody who downloads every version, joins all in it that says something of a person, and forgets nothing."""

    def __init__(self) -> None:
        self.headers: dict[str, list[tuple[str, ...]]] = defaultdict(list)
        self.packs: set[str] = set()
        self.versions: list[Said] = []
        self.person: dict[str, str] = {}  # whose a published id is: the reader can't know, so the count is his at best

    def download(self, folder: Path) -> None:
        """Read a version: each study's cells, the rows of its series and all its headers."""
        for path in sorted(folder.glob("packs/*/*.parquet")):
            if path.name not in self.packs:
                self.packs.add(path.name)
                self._read(path)
        series: dict[str, list[str]] = defaultdict(list)
        rows = pq.read_table(folder / "manifest/series.parquet", columns=["study_id", *SERIES])
        for row in rows.to_pylist():
            series[row["study_id"]].append(repr(sorted((k, str(v)) for k, v in row.items() if k != "study_id")))
        columns = ["study_id", "donor_id", *STUDIES]
        said: Said = {}
        for row in pq.read_table(folder / "manifest/studies.parquet", columns=columns).to_pylist():
            study = row.pop("study_id")
            row |= {"series": sorted(series[study]), "headers": sorted(set(self.headers[study]))}
            said[study] = {name: repr(value) for name, value in row.items() if value not in (None, [])}
        self.versions.append(said)

    def _read(self, path: Path) -> None:
        for row in pq.read_table(path).to_pylist():
            ds = pydicom.dcmread(io.BytesIO(row["dicom"]["bytes"]), stop_before_pixels=True, specific_tags=list(HEADER))
            told = tuple(str(ds.get(name, "")) for name in HEADER)
            if told not in self.headers[row["study_id"]]:  # packs are written again when somebody withdraws
                self.headers[row["study_id"]].append(told)

    def smallest(self, versions: list[Said]) -> int:
        """The fewest persons of whom `versions` together say the same, over all their studies."""
        told: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
        for version in versions:
            for study, row in version.items():
                for name, value in row.items():
                    told[study][name].add(value)
        ids: dict[str, list[str]] = defaultdict(list)
        for row in told.values():
            (donor,) = row.pop("donor_id")
            headers = {value.replace(donor.strip("'"), "donor") for value in row.pop("headers")}
            cells = sorted((name, sorted(found)) for name, found in row.items())
            ids[donor.strip("'")].append(repr((sorted(headers), cells)))
        persons: dict[str, set[str]] = defaultdict(set)
        for donor, rows in ids.items():
            persons[repr(sorted(rows))].add(self.person[donor])
        return min(map(len, persons.values()))


@pytest.mark.sampled(1)
@pytest.mark.long
@pytest.mark.parametrize("count", [2_000, 100_000])
def test_no_donor_stands_out_in_or_across_three_versions(tmp_path: Path, count: int) -> None:
    """In each version, and in all together with what was withdrawn, whoever is looked for has k - 1 doubles."""
    archive, reader = make_archive(tmp_path / "archive", privacy=OPEN), Reader()
    first, step = count * 7 // 10, count // 10
    grow(archive, range(first), range(0, first, 10))
    cuts = [cut(archive, reader)]
    for donors in (range(first, first + step), range(first + step, first + 2 * step)):
        gone = sorted(reader.versions[-1])[:: count // 50]
        take_out(archive, frozenset(gone))
        grow(archive, donors, range(donors.start - step, donors.start, 10))
        cuts.append(cut(archive, reader))
        assert not reader.versions[-1].keys() & set(gone)
    assert [each.version for each in cuts] == ["1.0.0", "1.1.0", "1.2.0"]
    for version in reader.versions:
        assert len(version) > count // 3
        assert reader.smallest([version]) >= K
    assert reader.smallest(reader.versions) >= K
    assert len({study for version in reader.versions for study in version}) > len(reader.versions[0])


def grow(archive: Path, new: range, again: range) -> None:
    """Donors come, and some of those who were there come again."""
    with repository.opened(archive, write=True) as opened:
        admit(opened, visits(new))
        admit(opened, visits(again, number=1 + new.start), pack=1)


def take_out(archive: Path, gone: frozenset[str]) -> None:
    """Withdraw several studies at once."""
    with repository.opened(archive, write=True) as opened:
        remove_studies(opened, Keys.from_secret(opened.secret), gone)
        finish_withdrawals(opened)


def cut(archive: Path, reader: Reader) -> Cut:
    """Release, check the risk as `check` does, let the reader download it, and note it as published."""
    done = release(archive)
    sealed, _ = seal.read(done.path)
    assert sealed is not None
    assert not has_errors(check_disclosure(sealed).findings)
    reader.download(done.path)
    with repository.opened(archive, write=True) as opened, opened.ledger.transaction():
        reader.person |= {study.published_donor: study.donor_id for study in opened.ledger.studies()}
        payload = {"digest": done.digest, "url": "file:///hub"}
        opened.ledger.append(clock.stamp(), "published", done.version, payload, who=who(), tool=TOOL)
    return done
