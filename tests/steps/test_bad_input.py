"""Whatever comes in: a clear message or a finding, the rest goes on, nothing is lost."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests import synth
from tests.corpus import COLUMNS, write_table
from tests.steps.archives import curate, curate_json, donation, make_archive

NAME = "Puigdemunt^Joana"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An empty archive of test material."""
    return make_archive(tmp_path / "archive")


def _intake(archive: Path, *sources: Path, table: Path, code: int = 0) -> dict[str, object]:
    report = curate_json("intake", archive, *sources, "--studies", table, "--deidentify", "--workers", 1, code=code)
    if code == 0:
        parts = ("admitted_instances", "copies", "quarantined_instances", "not_instances")
        assert report["files"] == sum(report[part] for part in parts)
    return report


def _rewrite(table: Path, **values: str) -> Path:
    """The table with other values in every row."""
    rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, *(v for v in values if v not in COLUMNS)])
        writer.writeheader()
        writer.writerows({**row, **values} for row in rows)
    return table


def test_broken_files_do_not_stop_the_rest(archive: Path, tmp_path: Path) -> None:
    """A truncated file, a text, an empty file and a file of noise are accounted for; the good ones come in."""
    folder, table = donation(tmp_path / "in")
    whole = synth.instance_bytes(0, 0, 0, 50, rows=32, columns=32)
    (folder / "study0" / "cut.dcm").write_bytes(whole[:-500])
    (folder / f"{NAME}.txt").write_text("a letter")
    (folder / "empty").write_bytes(b"")
    (folder / "noise.dcm").write_bytes(os.urandom(4000))
    report = _intake(archive, folder, table=table)
    assert report["files"] == 10
    assert report["admitted_studies"] == 2
    assert "text" in report["kinds"]


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        ({"consent": "withdrawn"}, "CONSENT_WITHDRAWN"),
        ({"consent": ""}, "CONSENT_MISSING"),
        ({"consent_date": "2090-01-01"}, "CONSENT_DATE_FUTURE"),
        ({"clinical_use_ended": "no"}, "CLINICAL_USE_NOT_ENDED"),
        ({"diagnosis": "C99.ZZ"}, "DIAGNOSIS"),
        ({"diagnosis": "lung cancer"}, "DIAGNOSIS"),
        ({"age": "200Y"}, "AGE"),
        ({"license": "WTFPL"}, "LICENSE"),
        ({"donor": ""}, "TABLE_DONOR_MISSING"),
    ],
)
def test_what_a_row_says_keeps_its_study_out(archive: Path, tmp_path: Path, values: dict[str, str], rule: str) -> None:
    """Each mistake in a row quarantines its study under its own rule code, and never shows the value."""
    folder, table = donation(tmp_path / "in", studies=1)
    report = _intake(archive, folder, table=_rewrite(table, **values))
    assert report["admitted_studies"] == 0
    assert any(code.startswith(rule) for code in report["codes"]), report["codes"]  # type: ignore[attr-defined]
    waiting = curate_json("quarantine", archive)
    assert [entry["files"] for entry in waiting] == [3]


def test_consent_of_yesterday_waits_for_the_cooling_off_time(archive: Path, tmp_path: Path) -> None:
    """A study inside its cooling-off time waits, and enters when the time is over and it is sent again."""
    from datetime import UTC, datetime, timedelta

    folder, table = donation(tmp_path / "in", studies=1)
    yesterday = (datetime.now(UTC).date() - timedelta(days=1)).isoformat()
    report = _intake(archive, folder, table=_rewrite(table, consent_date=yesterday))
    assert report["codes"].get("CONSENT_COOLING_OFF") == 1  # type: ignore[attr-defined]
    config = archive / "archive.toml"
    config.write_text(config.read_text().replace("cooling_off_days = 30", "cooling_off_days = 0"))
    assert _intake(archive, folder, table=table)["admitted_studies"] == 1
    assert curate_json("quarantine", archive) == []


def test_an_unknown_sex_is_unknown_and_the_study_comes_in(archive: Path, tmp_path: Path) -> None:
    """Sex `?` is a placeholder: the study is admitted with unknown sex, and the report says so."""
    folder, table = donation(tmp_path / "in", studies=1)
    report = _intake(archive, folder, table=_rewrite(table, sex="?"))
    assert report["admitted_studies"] == 1


def test_a_study_without_a_row_waits(archive: Path, tmp_path: Path) -> None:
    """A study that no row names is quarantined; a row that names no study is told."""
    folder, _ = donation(tmp_path / "in", studies=1)
    table = write_table(tmp_path / "other.csv", ["1.2.3.4"])
    report = _intake(archive, folder, table=table)
    assert {"STUDY_NOT_IN_TABLE", "ROW_WITHOUT_STUDY"} <= report["codes"].keys()  # type: ignore[attr-defined]


def test_a_row_may_name_the_folder(archive: Path, tmp_path: Path) -> None:
    """A study is found by the folder that holds its files, too."""
    folder, _ = donation(tmp_path / "in", studies=2)
    table = write_table(tmp_path / "other.csv", ["study0", "study1"])
    assert _intake(archive, folder, table=table)["admitted_studies"] == 2


@pytest.mark.parametrize("change", ["missing", "doubled", "empty", "absent", "binary"])
def test_a_table_that_cannot_be_used_is_one_message(archive: Path, tmp_path: Path, change: str) -> None:
    """A missing or doubled column, an empty, absent or foreign table: exit 2, what and where, what to do."""
    folder, table = donation(tmp_path / "in", studies=1)
    lines = table.read_text().splitlines()
    if change == "missing":
        table.write_text("\n".join(line.split(",", 1)[1] for line in lines))
    elif change == "doubled":
        table.write_text("\n".join(["study," + lines[0], "x," + lines[1]]))
    elif change == "empty":
        table.write_text("")
    elif change == "absent":
        table.unlink()
    else:
        table.write_bytes(os.urandom(2000))
    done = curate("intake", archive, folder, "--studies", table, code=2)
    assert "Error: " in done.stderr
    assert "Next: " in done.stderr


def test_an_empty_folder_and_a_wrong_path_are_told(archive: Path, tmp_path: Path) -> None:
    """No file at all, or no such source: exit 2 with a message."""
    _, table = donation(tmp_path / "in", studies=1)
    (tmp_path / "nothing").mkdir()
    assert "no file" in curate("intake", archive, tmp_path / "nothing", "--studies", table, code=2).stderr
    assert "no " in curate("intake", archive, tmp_path / "wrong", "--studies", table, code=2).stderr


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as container:
        for name, data in members.items():
            container.writestr(name, data)
    return path


def test_a_zip_cannot_reach_outside(archive: Path, tmp_path: Path) -> None:
    """`../`, absolute and drive names are refused by code; links too; the good member comes in."""
    good = synth.instance_bytes(0, 0, 0, 0, rows=16, columns=16)
    path = _zip(tmp_path / "a.zip", {"ok/1.dcm": good, "../../evil.dcm": good, "/abs.dcm": good, "C:/x.dcm": good})
    with zipfile.ZipFile(path, "a") as container:
        link = zipfile.ZipInfo("link.dcm")
        link.external_attr = 0o120777 << 16
        container.writestr(link, "/etc/hostname")
    table = write_table(tmp_path / "t.csv", [synth.uid(0, 0)])
    report = _intake(archive, path, table=table)
    assert report["admitted_instances"] == 1
    assert report["codes"]["CONTAINER_PATH"] == 3  # type: ignore[index]
    assert report["codes"]["CONTAINER_LINK"] == 1  # type: ignore[index]
    assert not (tmp_path / "evil.dcm").exists()


def test_a_tar_with_links_and_devices_is_taken_apart_safely(archive: Path, tmp_path: Path) -> None:
    """Members that are links, devices or outside names are refused by code; the good one comes in."""
    good = synth.instance_bytes(0, 0, 0, 0, rows=16, columns=16)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as container:
        for name, kind in (
            ("ok.dcm", tarfile.REGTYPE),
            ("../up.dcm", tarfile.REGTYPE),
            ("l", tarfile.SYMTYPE),
            ("d", tarfile.CHRTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type = kind
            member.linkname = "/etc/hostname"
            member.size = len(good) if kind == tarfile.REGTYPE else 0
            container.addfile(member, io.BytesIO(good))
    table = write_table(tmp_path / "t.csv", [synth.uid(0, 0)])
    report = _intake(archive, tmp_path / "a.tar.gz", table=table)
    assert report["admitted_instances"] == 1
    assert {"CONTAINER_PATH", "CONTAINER_LINK", "FILE_NOT_REGULAR"} <= report["codes"].keys()  # type: ignore[attr-defined]


def test_a_zip_bomb_is_bounded(archive: Path, tmp_path: Path) -> None:
    """A member that grows beyond what its container's size allows stops that container, not the intake."""
    folder, table = donation(tmp_path / "in", studies=1)
    bomb = _zip(tmp_path / "bomb.zip", {"zeros.dcm": bytes(400 << 20)})
    report = _intake(archive, folder, bomb, table=table)
    assert report["codes"]["CONTAINER_BOMB"] == 1  # type: ignore[index]
    assert report["admitted_studies"] == 1


@pytest.mark.parametrize("name", ["cut.zip", "cut.tar.gz"])
def test_a_cut_container_is_told_and_the_rest_goes_on(archive: Path, tmp_path: Path, name: str) -> None:
    """A damaged container is a finding."""
    folder, table = donation(tmp_path / "in", studies=1)
    whole = _zip(tmp_path / "whole.zip", {"a.dcm": os.urandom(50_000)}).read_bytes()
    (tmp_path / name).write_bytes(whole[:30_000] if name == "cut.zip" else b"\x1f\x8b" + os.urandom(3000))
    report = _intake(archive, folder, tmp_path / name, table=table)
    assert report["codes"]["CONTAINER_DAMAGED"] == 1  # type: ignore[index]
    assert report["admitted_studies"] == 1


def test_two_different_instances_under_one_uid_wait(archive: Path, tmp_path: Path) -> None:
    """The study is quarantined; two equal copies of one instance are no conflict."""
    folder, table = donation(tmp_path / "in", studies=2)
    (folder / "copy.dcm").write_bytes((folder / "study0" / "000.dcm").read_bytes())
    other = synth.load_instance(1, 0, 0, 0, rows=32, columns=32)
    other.PixelData = bytes(len(other.PixelData))
    (folder / "study1" / "other.dcm").write_bytes(synth.to_bytes(other))
    report = _intake(archive, folder, table=table)
    assert report["admitted_studies"] == 1
    assert (report["admitted_instances"], report["copies"]) == (3, 1)
    assert "INSTANCE_UID_CONFLICT" in report["codes"]  # type: ignore[operator]


def test_several_patients_in_one_study_wait(archive: Path, tmp_path: Path) -> None:
    """A study that bears two patients' marks is quarantined under its own code."""
    folder, table = donation(tmp_path / "in", studies=1)
    other = synth.load_instance(0, 0, 0, 7, rows=32, columns=32)
    other.PatientID, other.PatientName = "SOMEONE-ELSE", NAME
    (folder / "x.dcm").write_bytes(synth.to_bytes(other))
    report = _intake(archive, folder, table=table)
    assert report["admitted_studies"] == 0
    assert "STUDY_SEVERAL_PATIENTS" in report["codes"]  # type: ignore[operator]


def test_values_of_too_few_numbers_do_not_stop_the_rest(archive: Path, tmp_path: Path) -> None:
    """A spacing of one number is no spacing; the study comes in, and so do the others."""
    folder, table = donation(tmp_path / "in", studies=2)
    odd = synth.load_instance(0, 0, 0, 9, rows=16, columns=16)
    odd.PixelSpacing = "0.5"
    odd.WindowCenter, odd.Rows = ["1", "2"], 16
    (folder / "odd.dcm").write_bytes(synth.to_bytes(odd))
    report = _intake(archive, folder, table=table)
    assert report["admitted_studies"] == 2
    assert report["admitted_instances"] == 7


@pytest.mark.parametrize("broken", [0, 1])
def test_the_persons_own_number_stands_in_no_number(archive: Path, tmp_path: Path, broken: int) -> None:
    """Digits of PatientID that a scanner wrote into a position are not admitted, though the first file be cut."""
    folder, table = donation(tmp_path / "in", studies=1)
    for path in sorted(folder.rglob("*.dcm")):
        ds = pydicom.dcmread(path)
        ds.PatientID, ds.SliceLocation = "NHC 73104417", "10.073104417"
        ds.save_as(path)
    for path in sorted(folder.rglob("*.dcm"))[:broken]:
        path.write_bytes(path.read_bytes()[:-500])
    assert _intake(archive, folder, table=table)["admitted_instances"] == 3 - broken
    packed = b"".join(path.read_bytes() for path in sorted((archive / "packs").rglob("*.parquet")))
    assert b"73104417" not in packed
    assert b"10.07 " in packed


def test_without_deidentify_direct_identifiers_keep_a_study_out(archive: Path, tmp_path: Path) -> None:
    """A study that the hospital did not anonymise waits unless --deidentify is given."""
    folder, table = donation(tmp_path / "in", studies=1)
    report = curate_json("intake", archive, folder, "--studies", table, "--workers", 1)
    assert report["admitted_studies"] == 0
    assert report["quarantined_instances"] == 3
    assert _intake(archive, folder, table=table)["admitted_studies"] == 1


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here; the seam's test covers the full disk")
    yield place
    subprocess.run(["umount", str(place)], check=False)


def _resize(small: Path, size: str) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(small)], check=True)


def test_a_full_disk_is_told_and_nothing_is_lost(small: Path, tmp_path: Path) -> None:
    """On a file system of 1 MB the intake stops with a message; with room it finishes."""
    archive = make_archive(small / "archive")
    folder, table = donation(tmp_path / "in", studies=3, instances=200)
    arguments = ("intake", archive, folder, "--studies", table, "--deidentify", "--workers", 1)
    assert "the disk is full" in curate(*arguments, code=2).stderr
    _resize(small, "300m")
    assert _intake(archive, folder, table=table)["admitted_instances"] == 600


@pytest.mark.parametrize("size", ["4k", "12k", "100k"])
def test_an_archive_that_cannot_be_made_leaves_nothing(small: Path, size: str) -> None:
    """Whatever file the disk has no room for, `init` removes what it made, and can be run again."""
    _resize(small, size)
    arguments = ("init", small / "of" / "archive", "--title", "A", "--publisher", "B")
    told = curate(*arguments, code=2).stderr
    assert "the disk is full" in told
    assert list(small.iterdir()) == []
    _resize(small, "1m")
    curate(*arguments)


def test_no_original_name_is_ever_shown(archive: Path, tmp_path: Path) -> None:
    """Names in folders, files and headers appear in no output, and unencrypted nowhere in the archive."""
    folder, table = donation(tmp_path / NAME, studies=2)
    named = synth.load_instance(0, 0, 0, 9, rows=16, columns=16)
    named.PatientName = NAME
    (folder / f"{NAME}.dcm").write_bytes(synth.to_bytes(named))
    (folder / f"{NAME}.txt").write_text(NAME)
    done = curate("intake", archive, folder, "--studies", table, "--deidentify")
    shown = done.stdout + done.stderr + curate("quarantine", archive).stdout
    shown += curate("intake", archive, folder, "--studies", table, "--deidentify", "--json").stdout
    assert "Puigdemunt" not in shown
    for path in archive.rglob("*"):
        assert "Puigdemunt" not in path.name
        assert not path.is_file() or b"Puigdemunt" not in path.read_bytes(), path.name
