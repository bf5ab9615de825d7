"""What hospitals do by habit: folders named by macOS, tables that name files, an `archive.toml` as profile."""

from __future__ import annotations

import unicodedata
import zipfile
from pathlib import Path

import pytest

from curate.archive.repository import opened
from curate.core.errors import InputError
from curate.core.records import ArchiveInfo
from curate.donation import effective_profile as policies
from curate.policies import Policy
from curate.steps.deidentify import deidentify
from curate.steps.init import init
from curate.steps.inspect import inspect
from curate.steps.intake import intake
from curate.steps.risk import risk
from tests import synth
from tests.corpus import write_table
from tests.steps.archives import curate, make_archive

PERSONS = ArchiveInfo("Archive", "Hospital X", "CC-BY-4.0", "persons")


def study(folder: Path, number: int = 0, instances: int = 2, **changes: object) -> Path:
    """A synthetic study in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for at in range(instances):
        dataset = synth.load_instance(number, 0, 0, at, rows=32, columns=32)
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        (folder / f"{at}.dcm").write_bytes(synth.to_bytes(dataset))
    return folder


def test_a_folder_that_macos_named_meets_the_table(tmp_path: Path) -> None:
    """Some systems write names decomposed, a keyboard composed: a person reads both as one name."""
    name = "Núria Güell"
    study(tmp_path / "in" / unicodedata.normalize("NFD", name))
    table = write_table(tmp_path / "t.csv", [unicodedata.normalize("NFC", name)])
    report = intake(make_archive(tmp_path / "a"), [tmp_path / "in"], table, deidentify=True, workers=1)
    assert (report.admitted_studies, report.codes.get("ROW_WITHOUT_STUDY")) == (1, None)
    table = write_table(tmp_path / "u.csv", ["\u200b" + synth.uid(0, 0)])
    report = intake(make_archive(tmp_path / "b"), [tmp_path / "in"], table, deidentify=True, workers=1)
    assert report.admitted_studies == 1


def test_a_row_that_names_a_file_says_so(tmp_path: Path) -> None:
    """A file of the source's root in the column `study`: the message says what it is, with the row's number."""
    folder = study(tmp_path / "in")
    (folder / "0.dcm").rename(folder / unicodedata.normalize("NFD", "Núria.dcm"))  # as macOS writes it
    study(tmp_path / "in")
    table = write_table(tmp_path / "t.csv", ["0.dcm", "elsewhere", "Núria.dcm"])
    report = intake(make_archive(tmp_path / "a"), [tmp_path / "in"], table, deidentify=True, workers=1)
    said = {(finding.rule, finding.place) for finding in report.findings}
    assert {("ROW_NAMES_FILE", "row 2"), ("ROW_NAMES_FILE", "row 4"), ("ROW_WITHOUT_STUDY", "table")} <= said


def test_a_row_that_names_a_part_of_a_study_says_so(tmp_path: Path) -> None:
    """A study that came in a folder and in a zip: no folder holds it whole."""
    whole = study(tmp_path / "in" / "visit", instances=4)
    with zipfile.ZipFile(tmp_path / "in" / "rest.zip", "w") as rest:
        for name in ("2.dcm", "3.dcm"):
            rest.write(whole / name, name)
            (whole / name).unlink()
    table = write_table(tmp_path / "t.csv", ["visit"])
    report = intake(make_archive(tmp_path / "a"), [tmp_path / "in"], table, deidentify=True, workers=1)
    said = {(finding.rule, finding.place) for finding in report.findings}
    assert ("ROW_FOLDER_PARTIAL", "row 2") in said
    assert "STUDY_NOT_IN_TABLE" in report.codes
    report = deidentify([tmp_path / "in"], tmp_path / "out", studies=table, workers=1)
    assert ("ROW_FOLDER_PARTIAL", "row 2") in {(finding.rule, finding.place) for finding in report.findings}


def test_one_effective_profile_for_archive_hospital_and_inspect(tmp_path: Path) -> None:
    """`--profile archive.toml` has the defaults of the archive's population, as its intake has."""
    root = init(tmp_path / "a", PERSONS)
    with opened(root, write=False) as archive:
        effective = Policy.from_mapping(archive.config.profile)
    assert (effective.equipment, effective.anatomy) == ("vendor", "remove")
    assert policies.of_file(root / "archive.toml") == effective
    source = study(tmp_path / "in", ManufacturerModelName="SOMATOM Force")
    deidentify([source], tmp_path / "out", profile=root / "archive.toml", workers=1)
    assert not any(b"SOMATOM" in path.read_bytes() for path in (tmp_path / "out").rglob("*.dcm"))
    deidentify([source], tmp_path / "other", key=tmp_path / "k", workers=1)
    assert any(b"SOMATOM" in path.read_bytes() for path in (tmp_path / "other").rglob("*.dcm"))
    kept = sorted((tmp_path / "other").rglob("*.dcm"))
    verdicts = list(inspect(kept, profile_file=root / "archive.toml"))
    assert {"ManufacturerModelName"} <= {finding.tag for verdict in verdicts for finding in verdict.findings}


@pytest.mark.parametrize("text", ["[profil]\nhead = 'deface'\n", "[profile]\nhead = 'defac'\n", "head = 'deface'\n"])
def test_a_profile_that_says_something_else_is_refused(tmp_path: Path, text: str) -> None:
    """A misspelled table or value stops the run: before, heads would have left as if nothing had been asked."""
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(InputError) as caught:
        deidentify([study(tmp_path / "in")], tmp_path / "out", profile=tmp_path / "p.toml", workers=1)
    assert caught.value.hint
    assert caught.value.hint in str(caught.value)


def test_a_misspelled_value_stops_every_command(tmp_path: Path) -> None:
    """`head = "defac"` passed risk, quarantine and doctor."""
    root = init(tmp_path / "a", PERSONS)
    config = root / "archive.toml"
    config.write_text(config.read_text().replace("\n[profile]", '\n[profile]\nhead = "defac"\n#'))
    for words in (
        ["risk", root],
        ["quarantine", root],
        ["doctor", root],
        ["ledger", root],
        ["release", root],
    ):
        told = curate(*words, code=2).stderr
        assert "[profile] head has a value that it does not take" in told, words
        assert "deface" in told
    with pytest.raises(InputError):
        risk(root)


def test_warnings_are_of_what_came_in(tmp_path: Path) -> None:
    """A persons archive empties the region: the head must be told before."""
    root = init(tmp_path / "a", PERSONS)
    config = root / "archive.toml"
    config.write_text(config.read_text().replace("cooling_off_days = 30", "cooling_off_days = 0"))
    source = study(tmp_path / "in", Modality="CT", BodyPartExamined="HEAD")
    table = write_table(tmp_path / "t.csv", [synth.uid(0, 0)])
    report = intake(root, [source], table, deidentify=True, workers=1)
    assert report.codes["PIXELS_FACE_LIKELY"] == 2


def test_a_dose_report_waits_where_text_is_held(tmp_path: Path) -> None:
    """What kind of image it is goes with the header; that it is a page of text was told before."""
    root = init(tmp_path / "a", PERSONS)
    config = root / "archive.toml"
    config.write_text(
        config.read_text()
        .replace("cooling_off_days = 30", "cooling_off_days = 0")
        .replace("\n[profile]", '\n[profile]\nburned_in = "hold"\n#')
    )
    source = study(tmp_path / "in", ImageType=["DERIVED", "SECONDARY", "OTHER", "DOSE_INFO"])
    table = write_table(tmp_path / "t.csv", [synth.uid(0, 0)])
    report = intake(root, [source], table, deidentify=True, workers=1)
    assert (report.admitted_studies, report.codes["PIXELS_TEXT_LIKELY"]) == (0, 1)
    left = deidentify([source], tmp_path / "out", profile=config, workers=1)
    assert (left.written_instances, left.codes["PIXELS_TEXT_LIKELY"]) == (0, 2)


def test_an_exact_copy_is_in_once(tmp_path: Path) -> None:
    """A study that came twice counted twice as admitted; its copies are counted apart, at the next intake too."""
    root = make_archive(tmp_path / "a")
    once = study(tmp_path / "in" / "one", instances=3)
    (tmp_path / "in" / "two").mkdir()
    for path in sorted(once.iterdir())[:2]:
        (tmp_path / "in" / "two" / path.name).write_bytes(path.read_bytes())
    table = write_table(tmp_path / "t.csv", [synth.uid(0, 0)])
    for number in (1, 2):
        report = intake(root, [tmp_path / "in"], table, deidentify=True, workers=1)
        assert (report.files - report.not_instances, report.admitted_instances, report.copies) == (5, 3, 2), number
        (tmp_path / "in" / f"note{number}.txt").write_text("so that the sources are looked at again")
    assert report.unchanged_studies == 1
