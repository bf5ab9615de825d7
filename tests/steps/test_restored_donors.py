"""An archive of persons that was restored from a backup: what all versions say together stays under control."""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curate.archive import repository
from curate.archive.ledger_records import StudyRecord
from curate.core.findings import has_errors
from curate.donation import quasi_identifiers
from curate.privacy.risk import STUDY
from curate.releases.split_pseudonyms import part_of
from curate.steps.adopt import adopt
from curate.steps.publish import publish
from curate.steps.withdraw import withdraw
from curate.verify.release import check_release
from tests.steps.donors import make_archive, release, take_in
from tests.steps.test_recall import places

DONORS = 40
LATER = {donor: donor + 1 for donor in range(DONORS)}  # each after another number of days


def records(archive: Path) -> dict[str, StudyRecord]:
    """All studies of the ledger."""
    with repository.opened(archive, write=False) as opened:
        return {record.study_id: record for record in opened.ledger.studies()}


def rows(folder: Path) -> dict[str, dict[str, object]]:
    """The rows of a release's studies."""
    return {row["study_id"]: row for row in pq.read_table(folder / "manifest/studies.parquet").to_pylist()}


def history(archive: Path) -> list[dict[str, dict[str, object]]]:
    """What each published version showed, under its donors' own ids."""
    with repository.opened(archive, write=False) as opened:
        raw = quasi_identifiers.raw_table(opened.ledger)
        return [{row[STUDY]: row for row in table.to_pylist()} for table in quasi_identifiers.earlier(opened, raw)]


def build(folder: Path, donors: int = DONORS) -> Path:
    """Donors of whom each is published twice; backups from before the later studies came, and from then."""
    archive = make_archive(folder / "archive")
    config = archive / "archive.toml"
    config.write_text(re.sub(r"(?m)^target = .*", f'target = "{(folder / "hub").as_uri()}"', config.read_text()))
    take_in(archive, folder / "in", range(donors))
    publish(archive, release(archive).version)
    shutil.copytree(archive, folder / "earlier")
    take_in(archive, folder / "again", range(donors), study={d: LATER[d] for d in range(donors)})
    shutil.copytree(archive, folder / "backup")
    publish(archive, release(archive).version)
    return archive


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive, its hub and its backups, which tests put in place anew."""
    folder = tmp_path_factory.mktemp("donors")
    build(folder)
    return folder


@pytest.fixture
def root(made: Path) -> Path:
    """The archive in its place, as after the second publication."""
    for name in ("archive", "hub"):
        if not (made / f"kept {name}").exists():
            shutil.copytree(made / name, made / f"kept {name}")
        shutil.rmtree(made / name)
        shutil.copytree(made / f"kept {name}", made / name)
    return made / "archive"


def restore(root: Path, backup: str = "backup") -> None:
    """Put a backup in the archive's place."""
    shutil.rmtree(root)
    shutil.copytree(root.parent / backup, root)


def test_what_a_forgotten_version_showed_is_known_again(root: Path, tmp_path: Path) -> None:
    """From its own tables: the same rows under the same donors and parts, so that a third version is cut and passes."""
    before, kept = history(root), records(root)
    assert any(part_of(record.payload) for record in kept.values())
    restore(root)
    adopt(root)
    assert history(root) == before
    take_in(root, tmp_path / "more", range(DONORS, DONORS + 20))
    cut = release(root)
    assert cut.version == "1.2.0"
    assert not any(has_errors(result.findings) for result in check_release(cut.path))
    old, new = rows(root / "releases/1.1.0"), rows(cut.path)
    assert old.keys() < new.keys()
    for study, row in old.items():  # under the id, and with the bytes, that it has
        assert {**new[study], "release_version": ""} == {**row, "release_version": ""}
    publish(root, cut.version)
    assert adopt(root)[0].already


def test_a_study_that_went_out_under_a_further_id_is_found(root: Path, tmp_path: Path) -> None:
    """Withdrawn since the backup, which has other bytes of it: it is withdrawn here too, with the digests it had."""
    study = next(s for s, record in records(root).items() if part_of(record.payload))
    of_donor = sum(r.donor_id == records(root)[study].donor_id for r in records(root).values())
    digests = pq.read_table(root / "releases/1.1.0/manifest/instances.parquet", filters=[("study_id", "=", study)])
    revoked = {hashlib.sha256(digest).digest() for digest in digests["sha256"].to_pylist()}
    withdraw(root, study)
    publish(root, release(root).version)
    restore(root)
    assert study in records(root)
    (done,) = adopt(root)
    assert done.studies == 1
    assert study not in records(root)
    with repository.opened(root, write=False) as opened:
        assert {digest for digest, _ in opened.ledger.revocations()} == revoked
    assert of_donor == 2  # the other one stays
    take_in(root, tmp_path / "more", range(DONORS, DONORS + 20))
    cut = release(root)
    publish(root, cut.version)
    assert not places(root.parent / "hub", study)
    assert not any(has_errors(result.findings) for result in check_release(cut.path))


def test_what_is_sent_again_goes_out_as_it_did(root: Path, tmp_path: Path) -> None:
    """Of a backup that lacks the later studies: each under the id that it had, and none that was withdrawn since."""
    study = next(s for s, record in records(root).items() if part_of(record.payload))
    old = rows(root / "releases/1.1.0")
    withdraw(root, study)
    publish(root, release(root).version)
    restore(root, "earlier")
    adopt(root)
    report = take_in(root, tmp_path / "again", range(DONORS), study=LATER)
    assert (report.admitted_studies, report.quarantined_studies) == (DONORS - 1, 1)
    assert "STUDY_WITHDRAWN" in {finding.rule for finding in report.findings}
    take_in(root, tmp_path / "more", range(DONORS, DONORS + 20))
    cut = release(root)
    new = rows(cut.path)
    assert old.keys() - new.keys() == {study}
    for other, name in itertools.product(old.keys() - {study}, ("donor_id", "sha256")):
        assert new[other][name] == old[other][name]
    publish(root, cut.version)
    assert not places(root.parent / "hub", study)
