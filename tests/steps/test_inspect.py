"""The checker for anybody's data: by rule, tag and place; the value, the name and the path stay unsaid."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest

from curate.core.findings import Severity, has_errors
from curate.deid.records import StudyContext
from curate.deid.rewrite import rewrite
from curate.keys.derivation import Keys
from curate.policies import Policy
from curate.steps.deidentify import deidentify
from curate.steps.inspect import Verdict, inspect
from curate.steps.intake import intake
from curate.steps.release import release
from tests import synth
from tests.planter import bases
from tests.steps import hospital
from tests.steps.archives import curate, make_archive
from tests.steps.hospital import Study

STUDIES = (Study(0, 0), Study(1, 0, modality="MR"))
KEYS = Keys.from_secret(bytes(range(32)))


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A hospital's export, as it is."""
    return hospital.write(tmp_path / "export", STUDIES)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Where this test unpacks containers."""
    return tmp_path / "cache"


def look(cache: Path, *paths: Path) -> list[Verdict]:
    """The verdicts, sorted by place."""
    return sorted(inspect(list(paths), temporary=cache, workers=1), key=lambda verdict: verdict.place)


def rules_of(verdict: Verdict) -> set[str]:
    """The rules that a verdict names."""
    return {finding.rule for finding in verdict.findings}


def test_clean_files_pass_and_originals_do_not(tmp_path: Path, export: Path, cache: Path) -> None:
    """What the rewriter wrote has no error and no alarm; every original has both, by its direct identifiers."""
    deidentify([export], tmp_path / "out", workers=1)
    clean = look(cache, tmp_path / "out")
    assert len(clean) == 4
    assert not any(has_errors(verdict.findings) for verdict in clean)
    assert not any(rule.startswith("ALARM") for verdict in clean for rule in rules_of(verdict))
    for verdict in look(cache, export):
        assert {"DIRECT_IDENTIFIER", "UID_NOT_KEYED", "ALARM_NAME"} <= rules_of(verdict)
        tags = {finding.tag for finding in verdict.findings if finding.rule == "DIRECT_IDENTIFIER"}
        assert {"PatientName", "PatientID", "AccessionNumber"} <= tags


def test_alarms_are_warnings_and_stand_on_what_the_rules_object_to(tmp_path: Path, cache: Path) -> None:
    """A national id in a comment raises its alarm beside the rule; codes that passed their grammar raise none."""
    data = synth.load_instance(0, 0, rows=32, columns=32)
    data.ImageComments = "DNI 12345678Z, tel. 612 345 678"
    (tmp_path / "a.dcm").write_bytes(synth.to_bytes(data))
    (verdict,) = look(cache, tmp_path / "a.dcm")
    found = {finding.rule: finding for finding in verdict.findings if finding.tag == "ImageComments"}
    assert {"ATTRIBUTE_NOT_ALLOWED", "ALARM_DNI", "ALARM_PHONE"} <= found.keys()
    assert found["ALARM_DNI"].severity is Severity.WARNING
    assert not any(f.rule.startswith("ALARM") and "CodeValue" in f.tag for f in verdict.findings)


def test_one_planted_value_in_a_clean_file_is_noticed_where_it_stands(tmp_path: Path, cache: Path) -> None:
    """Each single remnant is named by its tag, and nothing else of the file."""
    import pydicom

    clean = b"".join(
        rewrite(
            synth.instance_bytes(0, 0, rows=32, columns=32),
            StudyContext(KEYS, "D" + "a" * 26, 0, "20000101"),
            Policy(),
        ).chunks
    )
    for tag, value in (
        ("PatientName", "Roca"),
        ("InstitutionName", "Sant Pau"),
        ("StudyInstanceUID", "1.2.3"),
    ):
        read = pydicom.dcmread(io.BytesIO(clean))
        setattr(read, tag, value)
        (tmp_path / "a.dcm").write_bytes(synth.to_bytes(read))
        (verdict,) = look(cache, tmp_path / "a.dcm")
        assert tag in {finding.tag for finding in verdict.findings if has_errors([finding])}


def test_folders_containers_and_releases_are_looked_into(tmp_path: Path, export: Path, cache: Path) -> None:
    """A zip's members, a DICOMDIR, a release's packs; what is no DICOM is named by its kind."""
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as packed:
        packed.writestr("zwolqferran/a.dcm", synth.instance_bytes(0, 0, rows=32, columns=32))
        packed.writestr("../outside.dcm", b"x")
        packed.writestr("notes.txt", "text")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "DICOMDIR").write_bytes(bases.directory("SET", "QZJBCDFGHJK"))
    archive = make_archive(tmp_path / "archive")
    intake(archive, [export], hospital.table(tmp_path / "own.csv", STUDIES), deidentify=True, workers=1)
    cut = release(archive)
    found = look(cache, tmp_path / "some.zip", folder, Path(cut.path))
    kinds = {verdict.place: verdict.kind for verdict in found}
    assert kinds["1:1.1"] == "instance" and kinds["1:1.3"] == "text"
    assert rules_of(next(v for v in found if v.place == "1:1.2")) == {"CONTAINER_PATH"}
    directory = next(v for v in found if v.kind == "directory")
    assert directory.place == "2:1" and "NOT_AN_INSTANCE" in rules_of(directory)
    released = [v for v in found if v.place.startswith("3:") and v.kind == "instance"]
    assert len(released) == 4 and not any(has_errors(v.findings) for v in released)
    assert not list(cache.iterdir())


def test_one_malformed_file_stops_nothing(tmp_path: Path, export: Path, cache: Path) -> None:
    """Cut, empty, random and nested beyond reason: each has its verdict, and so have the good ones."""
    whole = synth.instance_bytes(0, 0, rows=32, columns=32)
    for number, data in enumerate((whole[:900], whole[:-100], b"", bytes(200) + whole[200:], whole[:140])):
        (export / f"bad{number}").write_bytes(data)
    found = look(cache, export)
    assert len(found) == 9
    assert sum(verdict.kind == "instance" for verdict in found) >= 6


def test_the_command_counts_fails_and_names_nobody(tmp_path: Path, export: Path, cache: Path) -> None:
    """Exit 1 where a rule is broken, else 0; JSON is one document; text and JSON hold no value and no path."""
    options = ("--temporary", cache, "--workers", 1)
    with zipfile.ZipFile(export / "XYRKPUJOL.zip", "w") as packed:
        packed.writestr("zwolqferran/a.dcm", synth.instance_bytes(0, 0, rows=32, columns=32))
    text = curate("inspect", export, *options, code=1)
    told = curate("inspect", export, *options, "--json", code=1)
    for done in (text, told):
        assert hospital.marks_in(done.stdout + done.stderr) == []
    report = json.loads(told.stdout)
    assert (report["files"], report["instances"], report["with_errors"]) == (5, 5, 5)
    assert report["passed"] is False and len(report["verdicts"]) == 5
    assert {verdict.path for verdict in look(cache, export)} > {str(export / "XYRKPUJOL.zip" / "zwolqferran" / "a.dcm")}
    deidentify([export], tmp_path / "out", workers=1)
    clean = json.loads(curate("inspect", tmp_path / "out", *options, "--json").stdout)
    assert clean["passed"] is True and clean["verdicts"] == []


def test_where_a_killed_run_unpacked_is_swept(tmp_path: Path, export: Path, cache: Path) -> None:
    """The next run removes what nobody holds any more."""
    left = cache / "inspect-1" / "unpacked"
    left.mkdir(parents=True)
    (left / "a.dcm").write_bytes(b"a person's")
    look(cache, export)
    assert not (cache / "inspect-1").exists()
