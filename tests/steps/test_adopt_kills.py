"""`adopt` that is killed, or refused by the disk, at any durable step: the next run ends as if undisturbed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from curate.archive import repository
from curate.releases import archive_soundness
from curate.releases.split_pseudonyms import part_of
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from tests.steps.archives import donation, files_of, make_archive
from tests.steps.donors import release as release_donors
from tests.steps.test_kills import FAULTS, _ledger, _nothing_lost, _remove, _stored, _trees
from tests.steps.test_recall import id_of
from tests.steps.test_restored_donors import build, records

DONORS = 20
DAY = "1767225600"
PARTS = 4  # so that several processes share the exhaustive ones
KINDS = ("test", pytest.param("persons", marks=pytest.mark.long))  # of persons it takes a minute to build


@dataclass(frozen=True)
class Place:
    """A restored archive beside its hub, as it is before `adopt` and after."""

    driver: subprocess.Popen[str]
    folder: Path
    steps: int

    @property
    def archive(self) -> Path:
        """The archive."""
        return self.folder / "work" / "archive"

    def restore(self) -> None:
        """Put archive and hub back to how they were before."""
        _remove(self.folder / "work")
        shutil.copytree(self.folder / "before", self.folder / "work")

    def run(self, at: int = 0, fault: str = "") -> dict[str, Any]:
        """Adopt, and stop before the `at`-th durable step."""
        return _run(self.driver, self.archive, at, fault)


def _run(driver: subprocess.Popen[str], archive: Path, at: int, fault: str) -> dict[str, Any]:
    assert driver.stdin and driver.stdout
    driver.stdin.write(json.dumps({"arguments": ["adopt", str(archive)], "at": at, "fault": fault}) + "\n")
    driver.stdin.flush()
    answer: dict[str, Any] = json.loads(driver.stdout.readline())
    assert "Traceback" not in answer["output"], answer["output"]
    return answer


def _of_test_material(work: Path) -> Path:
    """Published, backed up, then one more study published, one withdrawn, and all published again."""
    archive = make_archive(work / "archive", hub=(work / "hub").as_uri())
    (archive / "secret.key").write_text("60" * 32 + "\n")
    _take_in(archive, work / "a", 0, 3)
    publish(archive, release(archive).version)
    shutil.copytree(archive, work / "backup")
    _take_in(archive, work / "b", 10, 1)
    withdraw(archive, id_of(archive, 1))
    publish(archive, release(archive).version)
    _restore(work)
    _take_in(archive, work / "c", 20, 1)
    release(archive)  # a cut that nobody saw, of the number that the hub has
    return archive


def _take_in(archive: Path, folder: Path, first: int, studies: int) -> None:
    source, table = donation(folder, studies=studies, instances=2, first=first)
    intake(archive, [source], table, deidentify=True, workers=1)


def _of_persons(work: Path) -> Path:
    """Donors, with a withdrawal since the backup of a study that had got a further id."""
    archive = build(work, DONORS)
    withdraw(archive, next(study for study, record in records(archive).items() if part_of(record.payload)))
    publish(archive, release_donors(archive).version)
    _restore(work)
    return archive


def _restore(work: Path) -> None:
    shutil.rmtree(work / "archive")
    shutil.copytree(work / "backup", work / "archive")


@pytest.fixture(scope="module", params=KINDS)
def place(request: pytest.FixtureRequest, fast_folder: Path) -> Iterator[Place]:
    """One undisturbed run of each kind of archive."""
    folder = fast_folder / f"adopt-{request.param}"
    (folder / "work").mkdir(parents=True)
    with patch.dict(os.environ, {"SOURCE_DATE_EPOCH": DAY}):
        archive = (_of_test_material if request.param == "test" else _of_persons)(folder / "work")
        driver = subprocess.Popen(
            [sys.executable, "-m", "tests.steps.fault_driver"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    shutil.copytree(folder / "work", folder / "before")
    answer = _run(driver, archive, 0, "")
    assert answer["code"] == 0, answer["output"]
    shutil.copytree(folder / "work", folder / "after")
    yield Place(driver, folder, answer["steps"])
    driver.communicate()
    _remove(folder)


def _check(place: Place, fault: str, at: int) -> None:
    """One fault: what shows is as before or as it should be, nothing that stays is lost, the next run finishes."""
    place.restore()
    answer = place.run(at, fault)
    if fault == "SIGKILL":
        assert answer["signal"] == signal.SIGKILL, f"step {at}: {answer}"
    else:
        assert answer["code"] == 2, f"step {at}: {answer}"
        told = " ".join(answer["output"].split())
        assert told.startswith("Error: Cannot ") and FAULTS[fault] in told and "Next: " in told, f"{at}: {told}"
    _nothing_lost(place.archive)
    allowed = [_trees(place.folder / name) for name in ("before", "after")]
    for name, tree in _trees(place.folder / "work").items():
        assert tree in [trees.get(name) for trees in allowed], f"step {at}: {name} is half-done"
    again = place.run()
    assert again["code"] == 0, f"after step {at}: {again['output']}"
    after = place.folder / "after"
    assert _ledger(place.archive) == _ledger(after / "archive"), f"after step {at}"
    assert _stored(place.archive) == _stored(after / "archive"), f"after step {at}"
    for name in ("archive/disclosure", "hub"):
        assert files_of(place.folder / "work" / name) == files_of(after / name), f"{name} after step {at}"
    with repository.opened(place.archive, write=False) as archive:
        assert list(archive_soundness.faults(archive)) == [], f"after step {at}"


def test_a_fault_leaves_what_was_or_what_should_be(place: Place) -> None:
    """At steps spread over the command."""
    faults = ("SIGKILL", "ENOSPC", "SIGKILL", "EIO")
    for number, fault in enumerate(faults, 1):
        _check(place, fault, place.steps * number // len(faults))


@pytest.mark.sampled(6)
@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("kind", ["killed", "refused"])
def test_a_fault_at_every_step(place: Place, kind: str, part: int) -> None:
    """The same at every single durable step; a full disk and an I/O error take turns."""
    broken = []
    for at in range(1 + part, place.steps + 1, PARTS):
        try:
            _check(place, "SIGKILL" if kind == "killed" else ("ENOSPC", "EIO")[at % 2], at)
        except AssertionError as error:
            broken.append(f"{at}: {str(error)[:400]}")
    assert not broken, "\n".join(broken)
