"""Releases of persons: nobody stands out, in one version or in all together, headers included."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pydicom
import pytest

from curate import contract
from curate.archive import disclosure_history, repository
from curate.core.digests import canonical_json
from curate.core.errors import DamagedError, InputError, RefusedError
from curate.core.findings import Finding, Severity
from curate.donation import quasi_identifiers
from curate.privacy.cross_release_risk import audit
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import Cut
from curate.steps.risk import risk
from curate.steps.withdraw import withdraw
from curate.verify.checks.disclosure import release_risk
from curate.verify.release import check_release
from tests import synth
from tests.corpus import write_table
from tests.steps import archives
from tests.steps.archives import curate, curate_json, sealed_files_of
from tests.steps.donors import RARE, make_archive, release, take_in

K = 5
DONORS = 60
PERSON_IN_HEADER = (
    *("StudyDate", "Manufacturer", "ManufacturerModelName", "SoftwareVersions", "MagneticFieldStrength"),
    *("Modality", "BodyPartExamined", "AnatomicRegionSequence", "Laterality", "ImageLaterality"),
    *("StudyDescription", "SeriesDescription", "ProtocolName", "PatientSex", "PatientAge", "PatientWeight"),
    *("PatientSize", "PatientBirthDate", "InstitutionName", "StationName", "DeviceSerialNumber"),
)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of sixty donors, whose first release is published."""
    folder = tmp_path_factory.mktemp("first")
    archive = make_archive(folder / "archive")
    report = take_in(archive, folder / "in", range(DONORS))
    assert report.admitted_studies == DONORS
    publish(archive, release(archive).version)
    return archive


@pytest.fixture
def again(first: Path, tmp_path: Path) -> Path:
    """A copy of it, with its hub."""
    shutil.copytree(first, tmp_path / "archive")
    shutil.copytree(first.parent / "archive-hub", tmp_path / "archive-hub")
    toml = tmp_path / "archive" / "archive.toml"
    toml.write_text(toml.read_text().replace(first.parent.as_uri(), tmp_path.as_uri()))
    return tmp_path / "archive"


def errors(folder: Path) -> list[Finding]:
    """What `check` finds wrong."""
    return [f for r in check_release(folder) for f in r.findings if f.severity is Severity.ERROR]


def studies_of(folder: Path) -> list[dict[str, Any]]:
    """The rows of a release's table `studies`."""
    rows: list[dict[str, Any]] = pq.read_table(folder / "manifest" / "studies.parquet").to_pylist()
    return rows


def everything_said(folder: Path) -> dict[str, list[str]]:
    """All that a downloader reads of each donor: manifest rows joined with all headers, by donor."""
    headers, series = defaultdict(list), defaultdict(list)
    for path in folder.glob("packs/*/*.parquet"):
        for row in pq.read_table(path).to_pylist():
            ds = pydicom.dcmread(io.BytesIO(row["dicom"]["bytes"]))
            headers[row["study_id"]].append([str(ds.get(name, "")) for name in PERSON_IN_HEADER])
    for row in pq.read_table(folder / "manifest" / "series.parquet").to_pylist():
        series[row["study_id"]].append([str(row[name]) for name in _quasi("series")])
    said = defaultdict(list)
    for row in studies_of(folder):
        parts = [str(row[name]) for name in _quasi("studies")]
        parts += [json.dumps(sorted(of[row["study_id"]])) for of in (headers, series)]
        said[row["donor_id"]].append(json.dumps(parts))
    return said


def _quasi(table: str) -> list[str]:
    return [column.name for column in contract.table(table).columns if column.role == "quasi-identifier"]


def smallest(said: Iterable[list[str]]) -> int:
    """How many donors the smallest class has."""
    classes: dict[str, int] = defaultdict(int)
    for rows in said:
        classes[json.dumps(sorted(rows))] += 1
    return min(classes.values())


def folder_of(archive: Path, version: str) -> Path:
    """A version's folder."""
    return archive / "releases" / version


def test_no_donor_of_a_release_stands_out(first: Path) -> None:
    """Manifest and headers joined, whoever is looked for has at least k - 1 doubles; the rare scanner waits."""
    said = everything_said(folder_of(first, "1.0.0"))
    assert smallest(said.values()) >= K
    rare = len([donor for donor in range(DONORS) if donor % 30 == RARE])
    assert len(said) == DONORS - rare


def test_its_check_passes_and_measures(first: Path) -> None:
    """`check` finds no error, and has counted the rows of the release."""
    results = check_release(folder_of(first, "1.0.0"))
    assert [f for r in results for f in r.findings if f.severity is Severity.ERROR] == []
    assert {r.name: r.looked_at for r in results}["disclosure"] == len(studies_of(folder_of(first, "1.0.0")))


@pytest.mark.parametrize(
    ("privacy", "rule"),
    [
        ({"k": 50, "access": "gated"}, "PRIVACY_BELOW_K"),
        (None, "PRIVACY_NOT_STATED"),
        ({"k": True, "access": "open"}, "PRIVACY_NOT_STATED"),
    ],
)
def test_check_holds_a_release_to_what_it_states(first: Path, tmp_path: Path, privacy: object, rule: str) -> None:
    """A release that states a larger k than it has, or none, does not pass."""
    folder = tmp_path / "1.0.0"
    shutil.copytree(folder_of(first, "1.0.0"), folder)
    sealed = json.loads((folder / "release.json").read_text())
    sealed["privacy"] = privacy
    (folder / "release.json").write_text(canonical_json(sealed) + "\n")
    assert {finding.rule for finding in errors(folder)} == {rule, "ATTESTATION_OTHER_RELEASE"}


def test_a_study_date_that_the_manifest_does_not_state_is_found(first: Path, tmp_path: Path) -> None:
    """The interval between studies that headers state is the one that was counted."""
    folder = tmp_path / "1.0.0"
    shutil.copytree(folder_of(first, "1.0.0"), folder)
    path = folder / "manifest" / "studies.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index("days_from_first")
    days = table["days_from_first"].to_pylist()
    wrong = table.set_column(place, table.schema.field(place), pa.array([days[0] + 1, *days[1:]], pa.int32()))
    path.unlink()  # a link to the archive's own file
    pq.write_table(wrong, path)
    assert ("ROW_DIFFERS", "StudyDate") in {(f.rule, f.tag) for f in errors(folder)}


@pytest.mark.parametrize("name", ["Manufacturer", "Modality"])
def test_what_an_image_says_beyond_the_counted_column_is_found(first: Path, tmp_path: Path, name: str) -> None:
    """A header that names another vendor or modality than the row that was counted, or one more, is an error."""
    folder = tmp_path / "1.0.0"
    shutil.copytree(folder_of(first, "1.0.0"), folder)
    path = folder / "manifest" / "series.parquet"
    table = pq.read_table(path)
    place = table.schema.get_field_index(name)
    values = [None, "XX", *table[name].to_pylist()[2:]]
    path.unlink()  # a link to the archive's own file
    pq.write_table(table.set_column(place, table.schema.field(place), pa.array(values, pa.string())), path)
    found = [f for r in check_release(folder) if r.name == "instances" for f in r.findings]
    assert sum(f.count for f in found if (f.rule, f.tag) == ("ROW_DIFFERS", name)) == 2


def test_a_series_that_contradicts_itself_waits(tmp_path: Path) -> None:
    """Two vendors in one series: no row could count both, so the study goes to quarantine with that reason."""
    archive, folder = make_archive(tmp_path / "archive"), tmp_path / "in" / "s"
    folder.mkdir(parents=True)
    for number, vendor in enumerate(("SIEMENS", "Philips")):
        ds = synth.load_instance(0, 0, 0, number, rows=8, columns=8)
        ds.Manufacturer = vendor
        (folder / f"{number}.dcm").write_bytes(synth.to_bytes(ds))
    table = write_table(tmp_path / "studies.csv", [synth.uid(0, 0)])
    report = intake(archive, [tmp_path / "in"], table, deidentify=True, workers=1)
    assert report.quarantined_studies == 1
    assert ("SERIES_CONTRADICTS", "Manufacturer") in {(f.rule, f.tag) for f in report.findings}


def test_a_small_archive_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Eight donors are too few for k = 11: nothing is cut, and the forecast is named."""
    archive = make_archive(tmp_path / "archive", privacy="")
    take_in(archive, tmp_path / "in", range(8))
    done = curate("release", archive, code=2)
    assert f"curate risk {archive} --forecast" in done.stderr.replace("\n", " ")
    assert not list((archive / "releases").iterdir())
    told = curate("risk", archive, "--forecast").stdout
    assert "0 studies can be published now, 8 wait." in told
    report = curate_json("risk", archive)
    assert report["forecast"]["waiting"] == 8
    assert report["forecast"]["steps"][-1]["released"] == 8
    assert report["archive"]["by_donor"]["k"] == 1


def test_a_reviewer_counts_a_release_without_the_archive(first: Path, tmp_path: Path) -> None:
    """From the folder alone: the same classes as in the archive's own count, as a record and as JSON."""
    folder = shutil.copytree(folder_of(first, "1.0.0"), tmp_path / "1.0.0")
    found = release_risk(folder)
    assert found.risk is not None
    said = everything_said(folder)
    assert (found.k, found.risk.donors, found.risk.by_donor.k) == (K, len(said), smallest(said.values()))
    assert sum(found.sizes.values()) == len(said)
    assert min(found.sizes) >= K
    assert found.nulls["region_group"] == 0
    assert curate_json("risk", folder) == json.loads(json.dumps(found.as_dict()))
    curate("risk", folder)
    sealed = json.loads((folder / "release.json").read_text())
    (folder / "release.json").write_text(canonical_json({**sealed, "population": "test"}) + "\n")
    assert release_risk(folder).exempt


def test_the_forecast_says_whom_only_more_donors_help(first: Path) -> None:
    """The rare scanner's studies stand out by what their images state, and not by a weight."""
    report = curate_json("risk", first)
    rare = sum(donor % 30 == RARE for donor in range(DONORS))
    assert report["images_alone"] == {"images": rare, "weight": 0}
    assert "only more donors like these help" in curate("risk", first, "--forecast").stdout


def test_a_weight_that_few_share_is_named() -> None:
    """Eleven PET studies of one kind and eleven weights are alone by the weight only."""
    said = [canonical_json([canonical_json({"Modality": "PT", "PatientWeight": str(60.0 + n)})]) for n in range(11)]
    ids = [str(number) for number in range(11)]
    raw = pa.table({"study_id": ids, "donor_id": ids, "series": said})
    assert quasi_identifiers.images_alone(raw, frozenset(ids), 11) == {"images": 11, "weight": 11}
    assert quasi_identifiers.images_alone(raw, frozenset(ids), 12) == {"images": 11, "weight": 0}


def test_evidence_says_nothing_that_a_null_hides(tmp_path: Path) -> None:
    """What was wrong with the table's row (no sex, no age) stands in no study's evidence."""
    archive, folder = make_archive(tmp_path / "archive"), tmp_path / "in" / "s"
    folder.mkdir(parents=True)
    ds = synth.load_instance(rows=8, columns=8)
    ds.PatientSex, ds.PatientAge = "O", "000Y"
    (folder / "0.dcm").write_bytes(synth.to_bytes(ds))
    table = write_table(tmp_path / "studies.csv", [ds.StudyInstanceUID], sex="?")
    report = intake(archive, [tmp_path / "in"], table, deidentify=True, workers=1)
    assert {"SEX_UNKNOWN", "AGE_MISSING"} <= {finding.rule for finding in report.findings}
    with repository.opened(archive, write=False) as opened:
        told = [json.dumps(study.payload["evidence"]) for study in opened.ledger.studies()]
    assert len(told) == 1
    assert not re.search("SEX_|AGE_|REGION_|DIAGNOSIS_", told[0])


def test_the_report_names_nobody(first: Path) -> None:
    """Counts only: no id of a study or donor, no value of a person."""
    told = json.dumps(curate_json("risk", first, "--k", "7", "--forecast"))
    assert "2.25." not in told
    assert "C34" not in told
    assert not any(row["donor_id"] in told for row in studies_of(folder_of(first, "1.0.0")))


def test_a_second_version_is_safe_together_with_the_first(again: Path) -> None:
    """Additions are k-safe by themselves, cells that were published stay, a donor's single later study stands apart."""
    take_in(again, again.parent / "more", range(DONORS, DONORS + 40))
    take_in(again, again.parent / "later", [0, 1], study=1)
    cut = release(again)
    assert cut.version == "1.1.0"
    assert cut.added >= K
    before = {row["study_id"]: row for row in studies_of(folder_of(again, "1.0.0"))}
    after = {row["study_id"]: row for row in studies_of(cut.path)}
    assert before.keys() <= after.keys()
    kept = _quasi("studies")
    assert all(after[study][name] == row[name] for study, row in before.items() for name in kept)
    assert smallest(everything_said(cut.path).values()) >= K  # first_version among what is counted
    assert len({row["donor_id"] for row in after.values()}) == len(after)
    assert errors(cut.path) == []
    publish(again, cut.version)
    assert _together(again).together.by_donor.k >= K


def _together(archive: Path) -> Any:
    """All published versions counted as one, by the privacy room."""
    with repository.opened(archive, write=False) as opened:
        past = [table for _, table in disclosure_history.history(opened)]
    return audit(past[:-1], past[-1], quasi_identifiers.hierarchies(past[-1], past), K)


def test_a_withdrawal_is_never_held(again: Path) -> None:
    """The next version is without it at once; the class that it shrinks loses cells instead, and stays k-safe."""
    rows = everything_said(folder_of(again, "1.0.0"))
    classes: dict[str, list[str]] = defaultdict(list)
    for donor, said in rows.items():
        classes[json.dumps(sorted(said))].append(donor)
    leaving = min(classes.values(), key=len)
    leaving = leaving[: len(leaving) - K + 1]  # one fewer than k stay
    gone = {r["study_id"] for r in studies_of(folder_of(again, "1.0.0")) if r["donor_id"] in leaving}
    for study in sorted(gone):
        withdraw(again, study)
    assert errors(folder_of(again, "1.0.0")) == []  # cut again: its readers had more, so this is a warning
    cut = release(again)
    assert (cut.version, cut.added) == ("1.0.1", 0)
    after = {row["study_id"]: row for row in studies_of(cut.path)}
    assert not gone & after.keys()
    assert smallest(everything_said(cut.path).values()) >= K
    assert errors(cut.path) == []
    publish(again, cut.version)
    assert _together(again).reached


def test_nothing_new_is_nothing_new(first: Path, again: Path) -> None:
    """What is published and unchanged is not cut again: who a version showed first is no news to the next."""
    versions = [path.name for path in (first / "releases").iterdir()]
    assert (release(first).version, release(first).new) == ("1.0.0", False)
    assert [path.name for path in (first / "releases").iterdir()] == versions
    take_in(again, again.parent / "more", range(DONORS, DONORS + 20))
    for _ in range(2):
        publish(again, release(again).version)
    assert (release(again).version, release(again).new) == ("1.1.0", False)


def test_only_what_was_published_counts(tmp_path: Path) -> None:
    """A cut that was never published binds nobody: the next has its number, and may band otherwise."""
    archive = make_archive(tmp_path / "archive")
    take_in(archive, tmp_path / "in", range(12))
    assert release(archive).version == "1.0.0"
    take_in(archive, tmp_path / "more", range(12, 40))
    cut = release(archive)
    assert cut.version == "1.0.0"
    assert {row["first_version"] for row in studies_of(cut.path)} == {"1.0.0"}
    assert release(archive) == Cut(**{**_fields(cut), "new": False})


def _fields(cut: Cut) -> dict[str, Any]:
    return {name: getattr(cut, name) for name in Cut.__slots__}


def test_two_copies_of_an_archive_give_the_same_bytes(again: Path, tmp_path: Path) -> None:
    """A release of persons too is a function of its ledger, its keys and what was published."""
    take_in(again, tmp_path / "more", range(DONORS, DONORS + 20))
    shutil.copytree(again, tmp_path / "copy")
    assert sealed_files_of(release(again).path) == sealed_files_of(release(tmp_path / "copy").path)


def test_a_lost_history_stops_the_next_release(again: Path) -> None:
    """Without what earlier versions showed, no later one is cut."""
    for path in (again / "disclosure").iterdir():
        path.unlink()
    with pytest.raises(DamagedError, match="not known"):
        release(again)


@pytest.mark.parametrize("table", ['population = "test"\n', 'later_studies = "drop"\n', "k = 1\n"])
def test_a_policy_that_can_not_be_followed_is_refused(tmp_path: Path, table: str) -> None:
    """Persons are never exempt by a second word, nor does a typing error or a k of 1 pass."""
    archive = make_archive(tmp_path / "archive", privacy=table)
    with pytest.raises(InputError):
        release(archive)
    with pytest.raises(InputError):
        risk(archive)


def test_an_archive_without_studies_can_be_measured(tmp_path: Path) -> None:
    """Nothing is there, nothing stands out, nothing can be cut."""
    archive = make_archive(tmp_path / "archive")
    assert risk(archive).archive.studies == 0
    curate("risk", archive, "--forecast")
    with pytest.raises(RefusedError):
        release(archive)


def test_several_licences_in_one_release(tmp_path: Path) -> None:
    """Each row bears the licence that its donor chose; texts, overview, card and counts agree."""
    archive = make_archive(tmp_path / "archive")
    take_in(archive, tmp_path / "in", range(30), licenses=("", "CC0-1.0", "CC-BY-NC-4.0"))
    cut = release(archive)
    assert errors(cut.path) == []
    found = {row["license"] for row in studies_of(cut.path)}
    assert found == {"CC-BY-4.0", "CC0-1.0", "CC-BY-NC-4.0"}
    assert {path.stem for path in (cut.path / "LICENSES").glob("*.txt")} == found
    card = (cut.path / "README.md").read_text()
    assert "license: other" in card
    assert "license_name:" in card
    assert "license_link: LICENSE.md" in card
    assert (cut.path / "LICENSE.md").is_file()
    for name in found:
        count = sum(row["license"] == name for row in studies_of(cut.path))
        assert f"  {name}: {count}\n" in card.replace("    ", "  ")


def test_test_material_is_measured_after_it_was_published(tmp_path: Path) -> None:
    """Nothing is kept of what its versions showed, and nothing of it is asked for."""
    root = archives.make_archive(tmp_path / "archive", hub=(tmp_path / "hub").as_uri())
    source, table = archives.donation(tmp_path / "in", studies=2, instances=1)
    intake(root, [source], table, deidentify=True, workers=1)
    publish(root, release(root).version)
    assert not [*(root / "disclosure").glob("*.arrow")]
    found = risk(root)
    assert (found.exempt, found.waiting) == (True, {})
