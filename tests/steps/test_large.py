"""Instances beyond what one call of the system reads, and what a killed run left: the batch goes on, nothing stays."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
from pathlib import Path

import pytest

import curate
from curate.archive import repository
from curate.core import leftovers, remote
from curate.core.findings import has_errors
from tests import synth
from tests.corpus import write_table
from tests.steps.archives import curate as command
from tests.steps.archives import donation, make_archive

_LARGE = 2_254_857_830  # 2.1 GiB
_HUGE = 4_831_838_208  # 4.5 GiB


def _grown(path: Path, size: int, *numbers: int) -> Path:
    """An instance whose file has so many bytes, most of them a hole of the disk's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(synth.instance_bytes(*numbers, rows=16, columns=16))
    os.truncate(path, size)
    return path


def test_an_instance_of_two_gigabytes_is_told_apart(tmp_path: Path) -> None:
    """At the hospital it is refused by a rule of its own, unread, and the others are written."""
    donation(tmp_path / "in", studies=1, instances=2)
    _grown(tmp_path / "in" / "large.dcm", _LARGE, 7, 0, 0, 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = curate.deidentify([tmp_path / "in"], tmp_path / "out", workers=1)
    assert (report.written_instances, report.codes["INSTANCE_TOO_LARGE"]) == (2, 1)
    rules = [{f.rule for f in verdict.findings} for verdict in curate.inspect([tmp_path / "in"], workers=1)]
    assert rules.count({"INSTANCE_TOO_LARGE"}) == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_a_large_instance_waits_and_the_batch_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a study it alone is set aside, and by another batch of the same study, too."""
    monkeypatch.setattr(remote, "LARGEST_WHOLE", 100_000)
    archive = make_archive(tmp_path / "archive")
    folder, table = donation(tmp_path / "in", studies=2, instances=2)
    _grown(folder / "study0" / "large.dcm", 100_002, 0, 0, 0, 9)
    report = curate.intake(archive, [folder], table, deidentify=True, workers=1)
    assert (report.admitted_instances, report.quarantined_instances) == (4, 1)
    assert report.codes["INSTANCE_TOO_LARGE"] == 1
    _grown(folder / "study0" / "larger.dcm", 100_004, 0, 0, 0, 10)
    report = curate.intake(archive, [folder], table, deidentify=True, workers=1)
    assert report.codes["INSTANCE_TOO_LARGE"] == 2
    assert report.quarantined_instances == 2


@pytest.mark.long
def test_an_instance_of_4_5_gigabytes_passes_every_step(tmp_path: Path) -> None:
    """It waits, encrypted; is listed, given back byte for byte, found sound and discarded; memory stays flat."""
    if shutil.disk_usage(tmp_path).free < 20 << 30:
        pytest.skip("the disk has no 20 GB free")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of whatever ran in this process until now
    archive = make_archive(tmp_path / "archive")
    folder, _ = donation(tmp_path / "in", studies=1, instances=2)
    table = write_table(tmp_path / "in.csv", [synth.uid(0, 0), synth.uid(7, 0)])
    huge = _grown(folder / "huge.dcm", _HUGE, 7, 0, 0, 0)
    report = curate.intake(archive, [folder], table, deidentify=True, workers=1)
    assert (report.admitted_instances, report.quarantined_instances) == (2, 1)
    assert report.codes["INSTANCE_TOO_LARGE"] == 1
    (entry,) = curate.waiting(archive)
    assert not curate.doctor(archive).damaged
    out = tmp_path / "decide"
    curate.export(archive, entry.id, out)
    (back,) = out.glob("*.dcm")
    assert back.stat().st_size == _HUGE
    assert _equal(back, huge)
    shutil.rmtree(out)
    curate.discard(archive, entry.id, "TOO_LARGE")
    assert not list(curate.waiting(archive))
    cut = curate.release(archive)
    assert not any(has_errors(result.findings) for result in curate.check(cut.path, workers=1))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < max(before, 1_500_000) + 100_000  # kB


def _equal(one: Path, other: Path) -> bool:
    """Whether two large files are equal, in pieces."""
    with one.open("rb") as first, other.open("rb") as second:
        while piece := first.read(1 << 24):
            if piece != second.read(1 << 24):
                return False
    return True


def test_what_a_killed_intake_unpacked_goes_with_the_next_command(tmp_path: Path) -> None:
    """Any command that opens the archive, even to read; but not while a living run holds it."""
    archive = make_archive(tmp_path / "archive")
    left = archive / "tmp" / repository.UNPACKED / "1-1" / "00000001"
    left.parent.mkdir(parents=True)
    left.write_text("Puigdomènech")
    with (archive / "lock").open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        list(curate.waiting(archive))
        assert left.exists()
    list(curate.waiting(archive))
    assert not left.parent.parent.exists()


def test_what_a_killed_inspect_unpacked_goes_with_any_command(tmp_path: Path) -> None:
    """In the user's cache, whatever is run next; and beside a hospital's key."""
    folder = tmp_path / "cache" / "curate" / f"{leftovers.PREFIX}1"
    (folder / "unpacked").mkdir(parents=True)
    (folder / leftovers.LOCK).touch()
    command("profile", "PatientName", XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert not folder.exists()
    donation(tmp_path / "in", studies=1, instances=1)
    curate.deidentify([tmp_path / "in"], tmp_path / "out", key=tmp_path / "key", mapping=tmp_path / "m", workers=1)
    left = tmp_path / "key.tmp"
    left.mkdir()
    assert list(curate.unseal(tmp_path / "m", tmp_path / "key"))
    assert not left.exists()
