"""The hospital's command: what it writes, what the archive makes of it, and that nobody is seen again."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import stat
import zipfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pydicom
import pytest

from curate.archive import receipts, repository
from curate.core import durable
from curate.core.errors import InputError, LockedError
from curate.core.findings import has_errors
from curate.deid import pseudonyms
from curate.deid.verify import verify
from curate.keys import encrypted_log, secret_file
from curate.keys.derivation import Keys
from curate.policies import Policy
from curate.steps.deidentify import deidentify, key_files
from curate.steps.deidentify.coded_table import COLUMNS
from curate.steps.inspect import inspect
from curate.steps.intake import intake
from curate.steps.unseal import unseal
from tests import synth
from tests.corpus import corpus, study_uids, write_table
from tests.steps import hospital
from tests.steps.archives import curate, curate_json, files_of, make_archive
from tests.steps.hospital import Study


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A hospital's export."""
    return hospital.write(tmp_path / "export")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The hospital's table of it."""
    return hospital.table(tmp_path / "own.csv")


def keys_of(path: Path) -> Keys:
    """The keys of a key file."""
    return Keys.from_secret(secret_file.read(path))


def lines(dest: Path) -> dict[str, dict[str, str]]:
    """The table for the archive, by study."""
    with (dest / "studies.csv").open(encoding="utf-8", newline="") as file:
        return {line["study"]: line for line in csv.DictReader(file)}


def instances(dest: Path) -> dict[str, bytes]:
    """The DICOM files of a DEST."""
    return {name: data for name, data in files_of(dest).items() if name.endswith(".dcm")}


def test_what_the_hospital_writes_the_archive_admits_as_if_it_had_done_all_itself(
    tmp_path: Path, export: Path, table: Path
) -> None:
    """Both commands, nothing typed between: the same coded metadata, days and counts, receipts kept by hash."""
    dest, ours, theirs = tmp_path / "out", tmp_path / "both", tmp_path / "alone"
    done = deidentify([export], dest, studies=table, workers=1)
    assert (done.written_instances, done.refused_instances, done.written_studies) == (8, 0, 4)
    make_archive(ours)
    report = intake(ours, [dest], dest / "studies.csv", workers=1)
    assert (report.admitted_instances, report.quarantined_instances) == (8, 0)
    make_archive(theirs)
    assert intake(theirs, [export], table, deidentify=True, workers=1).admitted_studies == 4
    at_hospital = keys_of(tmp_path / "deidentify.key")
    with repository.opened(ours, write=False) as both, repository.opened(theirs, write=False) as alone:
        kept, direct = Keys.from_secret(both.secret), Keys.from_secret(alone.secret)
        for study in hospital.STUDIES:
            new = pseudonyms.new_uid(at_hospital, study.uid)
            first = both.ledger.study(pseudonyms.new_uid(kept, new))
            second = alone.ledger.study(pseudonyms.new_uid(direct, study.uid))
            assert first is not None and second is not None
            for part in ("coded", "day", "terms", "license"):
                assert first.payload[part] == second.payload[part], part
            assert first.payload["facts"]["instance_count"] == second.payload["facts"]["instance_count"]
            donor = pseudonyms.donor_id(at_hospital, f"TABLEROWQZ-{study.patient}")
            assert first.donor_id == pseudonyms.donor_id(kept, donor)
            assert first.payload["evidence"]["deidentified_by"] == "hospital"
        told = list(receipts.read(tmp_path / "deidentify.key.receipts", at_hospital.storage))
        assert len({receipt.code for receipt in told}) == 4
        for receipt in told:
            found = both.ledger.receipt(receipts.digest(receipt.code))
            assert found == pseudonyms.new_uid(kept, receipt.study_id)
    assert not (ours / receipts.NAME).exists()


def test_nothing_of_a_person_is_seen_again(tmp_path: Path, export: Path, table: Path) -> None:
    """No name, number, UID, folder or file name stands in DEST, beside the key, or on any output."""
    dest, private = tmp_path / "out", tmp_path / "private"
    (export / "XYRKPUJOL notes.txt").write_text("arrizabalaga")
    (export / "zwolqferran.dcm").write_bytes(synth.instance_bytes(5, 0)[:900])
    key, mapping = private / "a.key", private / "map"
    with zipfile.ZipFile(export / "XYRKPUJOL.zip", "w") as packed:
        packed.writestr("zwolqferran/NHC-447190.dcm", synth.instance_bytes(0, 0, 0, 7, rows=32, columns=32))
    shown = []
    for options in ([], ["--json"]):
        done = curate(
            *("deidentify", export, dest, "--studies", table, "--key", key, "--mapping", mapping),
            *(*options, "--workers", "2"),
        )
        shown += [done.stdout, done.stderr]
    assert json.loads(shown[2])["files"] == 11
    assert [mark for text in shown for mark in hospital.marks_in(text)] == []
    assert hospital.seen_again(dest) == []
    assert hospital.seen_again(private) == []
    assert sorted(p.name for p in private.iterdir()) == [
        *("a.key", "a.key.lock", "a.key.receipts", "a.key.refused", "a.key.state", "map")
    ]
    for path in private.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.name.endswith(".lock")


def test_every_file_is_counted_and_one_that_cannot_be_made_safe_stays_where_it_was(
    tmp_path: Path, export: Path
) -> None:
    """A truncated file, a report in PDF and a text beside good files: refused by code, named, left alone."""
    good = deidentify([export], tmp_path / "first", workers=1)
    pdf = synth.load_instance(3, 0)
    pdf.SOPClassUID = pdf.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.104.1"
    bad = {"cut.dcm": synth.instance_bytes(4, 0)[:1500], "pdf.dcm": synth.to_bytes(pdf), "a.txt": b"text"}
    for name, data in bad.items():
        (export / name).write_bytes(data)
    report = deidentify([export], tmp_path / "second", workers=1, key=tmp_path / "deidentify.key")
    assert report.files == report.written_instances + report.refused_instances + report.not_instances == 11
    assert (report.written_instances, report.refused_instances) == (good.written_instances, 2)
    assert report.codes == {"SOP_CLASS_ENCAPSULATED": 1, "TRUNCATED": 1}
    assert {name: (export / name).read_bytes() for name in bad} == bad
    assert report.refused is not None
    told = {(r["rule"], Path(r["path"]).name) for r in unseal(report.refused, tmp_path / "deidentify.key")}
    assert told == {("TRUNCATED", "cut.dcm"), ("SOP_CLASS_ENCAPSULATED", "pdf.dcm")}
    assert instances(tmp_path / "second") == instances(tmp_path / "first")


def test_all_that_is_written_passes_the_checker(tmp_path: Path, export: Path) -> None:
    """Each output is clean by the very rules of `check`, and lies under its own new ids."""
    deidentify([export], tmp_path / "out", workers=1)
    for name, data in instances(tmp_path / "out").items():
        assert not has_errors(verify(data, Policy()))
        read = pydicom.dcmread(io.BytesIO(data))
        assert name == f"{read.StudyInstanceUID}/{read.SeriesInstanceUID}/{read.SOPInstanceUID}.dcm"


def test_a_second_run_writes_nothing_and_a_damaged_output_is_written_again(
    tmp_path: Path, export: Path, table: Path
) -> None:
    """What is there whole stays untouched to the nanosecond; what is cut short, or gone, comes back equal."""
    dest = tmp_path / "out"
    deidentify([export], dest, studies=table, workers=1)
    before = files_of(dest)
    times = {path: path.stat().st_mtime_ns for path in dest.rglob("*.dcm")}
    again = deidentify([export], dest, studies=table, workers=1)
    assert (again.written_instances, again.unchanged_instances) == (8, 8)
    assert times == {path: path.stat().st_mtime_ns for path in dest.rglob("*.dcm")}
    cut, gone = sorted(times)[:2]
    cut.write_bytes(cut.read_bytes()[:-100])
    gone.unlink()
    assert deidentify([export], dest, studies=table, workers=1).unchanged_instances == 6
    assert files_of(dest) == before


def test_what_another_profile_wrote_is_written_again(tmp_path: Path, export: Path) -> None:
    """Also where the first run under the new one was killed; what that run had written already stays."""
    dest, profile = tmp_path / "out", tmp_path / "profile.toml"
    profile.write_text('[profile]\nequipment = "vendor"\n')
    deidentify([export], dest, workers=1)
    expected = files_of(tmp_path / "out")
    first = {path: path.stat().st_mtime_ns for path in dest.rglob("*.dcm")}
    half = 0

    def step(name: str, path: Path) -> None:
        nonlocal half
        half += name == "rename" and path.suffix == ".dcm"
        if half == 6:
            raise KeyboardInterrupt

    durable.observer = step
    with pytest.raises(KeyboardInterrupt):
        deidentify([export], dest, profile=profile, workers=1)
    durable.observer = None
    written = sum(path.stat().st_mtime_ns != first[path] for path in first)
    assert 0 < written < len(first)
    again = deidentify([export], dest, profile=profile, workers=1)
    assert (again.written_instances, again.unchanged_instances) == (8, written)
    assert files_of(dest).keys() == expected.keys()
    assert all(data != expected[name] for name, data in files_of(dest).items())
    assert deidentify([export], dest, workers=1).unchanged_instances == 0
    assert files_of(dest) == expected


def test_the_number_of_processes_changes_no_byte(tmp_path: Path, export: Path) -> None:
    """One worker and two write the same files under the same key."""
    deidentify([export], tmp_path / "one", workers=1)
    deidentify([export], tmp_path / "two", workers=2, key=tmp_path / "deidentify.key")
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def _killed(at: int, run: object) -> bool:
    """Run in a child that is killed at its n-th durable step; whether it was."""
    child = os.fork()
    if child == 0:
        count = 0

        def observe(_name: str, _path: Path) -> None:
            nonlocal count
            count += 1
            if count == at:
                os.kill(os.getpid(), 9)

        durable.observer = observe
        try:
            run()  # type: ignore[operator]
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9


def test_killed_at_any_step_and_run_again(tmp_path: Path) -> None:
    """SIGKILL at every write, sync and rename: nothing half-done shows; the next run ends as if undisturbed."""
    studies = (Study(0, 0), Study(1, 0))
    export = hospital.write(tmp_path / "export", studies)
    table = hospital.table(tmp_path / "own.csv", studies)
    whole = tmp_path / "whole"
    whole.mkdir()
    deidentify([export], whole / "out", studies=table, workers=1)
    undisturbed = instances(whole / "out")
    at = 0
    while True:
        at += 1
        place = tmp_path / "killed"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        shutil.copy(whole / "deidentify.key", place)

        def run(place: Path = place) -> None:
            deidentify([export], place / "out", studies=table, workers=1)

        killed = _killed(at, run)
        half = instances(place / "out") if (place / "out").is_dir() else {}
        assert {name: data for name, data in half.items() if not name.startswith(".")}.items() <= undisturbed.items()
        run()
        assert instances(place / "out") == undisturbed
        _receipts_fit(place)
        assert {p.name for p in place.iterdir()} == {p.name for p in whole.iterdir()}
        if not killed:
            break
    assert at > 20


def _receipts_fit(place: Path) -> None:
    keys = keys_of(place / "deidentify.key")
    told = {r.study_id: r.code for r in receipts.read(place / "deidentify.key.receipts", keys.storage)}
    table = lines(place / "out")
    assert len(table) == 2
    for study, line in table.items():
        assert receipts.digest(told[study]).hex() == line["receipt_sha256"]


def test_a_later_batch_moves_a_donors_dates_by_the_same(tmp_path: Path) -> None:
    """Days between a donor's studies and seconds within one stay exact, whatever came in which batch."""
    late, early = Study(0, 2, instances=3), Study(0, 1, instances=3)
    whole = hospital.write(tmp_path / "all", (late, early))
    first = tmp_path / "first"
    first.mkdir()
    shutil.copy(next(whole.rglob("zwolqferran 2/*-1.dcm")), first)  # not the first acquisition of its study
    deidentify([first], tmp_path / "out", workers=1)
    deidentify([whole], tmp_path / "out", workers=1)
    keys = keys_of(tmp_path / "deidentify.key")
    before, after = {}, {}
    for path in whole.rglob("*.dcm"):
        read = pydicom.dcmread(path)
        uid = pseudonyms.new_uid(keys, read.SOPInstanceUID)
        before[read.StudyDate, int(read.InstanceNumber)] = _moment(read)
        after[read.StudyDate, int(read.InstanceNumber)] = _moment(
            pydicom.dcmread(next((tmp_path / "out").rglob(f"{uid}.dcm")))
        )
    for study in {key[0] for key in before}:
        moved = {after[key] - before[key] for key in before if key[0] == study}
        assert len(moved) == 1
    days = [{key[0]: moments[key].date() for key in moments} for moments in (before, after)]
    assert days[0].keys() == days[1].keys()
    gaps = [max(each.values()) - min(each.values()) for each in days]
    assert gaps[0] == gaps[1] and gaps[0].days == 97


def _moment(read: pydicom.Dataset) -> datetime:
    form = "%Y%m%d%H%M%S.%f" if "." in read.AcquisitionTime else "%Y%m%d%H%M%S"
    return datetime.strptime(f"{read.AcquisitionDate}{read.AcquisitionTime}", form)


def test_only_studies_whose_donor_consented_leave(tmp_path: Path, export: Path) -> None:
    """Without a row, refused, withdrawn, or still in clinical use: nothing is written, each with its code."""
    rows = [
        Study(0, 0, (("consent", "withdrawn"),)),
        Study(0, 2, (("consent", "no"),)),
        Study(1, 0),
    ]
    table = hospital.table(tmp_path / "own.csv", rows)
    report = deidentify([export], tmp_path / "out", studies=table, workers=1)
    assert (report.written_studies, report.refused_studies, report.refused_instances) == (1, 3, 6)
    found = {f.rule for f in report.findings if has_errors([f])}
    assert found == {"CONSENT_WITHDRAWN", "CONSENT_NOT_GIVEN", "STUDY_NOT_IN_TABLE"}
    assert len(lines(tmp_path / "out")) == 1


def test_a_donor_who_withdraws_at_the_hospital_leaves_dest(tmp_path: Path, export: Path, table: Path) -> None:
    """What an earlier run wrote of the study goes, with its line; the others keep their lines and receipts."""
    dest = tmp_path / "out"
    deidentify([export], dest, studies=table, workers=1)
    before = lines(dest)
    gone = pseudonyms.new_uid(keys_of(tmp_path / "deidentify.key"), Study(1, 0).uid)
    rows = [s if s.patient != 1 else Study(1, 0, (("consent", "withdrawn"),)) for s in hospital.STUDIES]
    deidentify([export], dest, studies=hospital.table(table, rows), workers=1)
    assert not (dest / gone).exists()
    assert lines(dest) == {study: line for study, line in before.items() if study != gone}


def test_a_later_batch_keeps_the_lines_of_the_earlier_one(tmp_path: Path) -> None:
    """The table speaks of all that lies in DEST, not of the last batch alone."""
    dest = tmp_path / "out"
    for number in range(2):
        studies = (Study(number, 0),)
        export = hospital.write(tmp_path / f"batch{number}", studies)
        table = hospital.table(tmp_path / f"{number}.csv", studies)
        deidentify([export], dest, studies=table, workers=1)
    assert len(lines(dest)) == 2
    assert lines(dest).keys() == {name.split("/")[0] for name in instances(dest)}


def test_the_table_holds_codes_alone(tmp_path: Path, export: Path) -> None:
    """Years, codes, categories and keyed pseudonyms; a consent's own words become a keyed code."""
    words = (("scope", "ask arrizabalaga first"), ("consent_version", "larrea 2024"))
    rows = [
        Study(0, 0, (*words, ("age", "61 anys"), ("sex", "dona"), ("region", "tórax"))),
        Study(0, 2, (*words, ("age", "8 months"), ("diagnosis", "none"))),
        Study(1, 0, (("age", "95"), ("region", "KNEE"), ("clinical_use_ended", "yes"))),
    ]
    table = hospital.table(tmp_path / "own.csv", rows)
    report = deidentify([export], tmp_path / "out", studies=table, workers=1)
    keys = keys_of(tmp_path / "deidentify.key")
    found = [lines(tmp_path / "out")[pseudonyms.new_uid(keys, study.uid)] for study in rows]
    assert tuple(found[0]) == COLUMNS
    assert [line["age"] for line in found] == ["61", "000M", "90+"]
    assert [line["region"] for line in found] == ["816094009", "816094009", "72696002"]
    assert (found[0]["sex"], found[0]["diagnosis"], found[1]["diagnosis"]) == ("F", "C34", "none")
    assert found[0]["donor"] == found[1]["donor"] != found[2]["donor"]
    assert pseudonyms.is_donor_id(found[0]["donor"])
    assert found[0]["scope"] == found[1]["scope"] and found[0]["scope"].startswith("X-")
    assert found[2]["scope"] == "research"
    assert report.codes["CONSENT_TERM_KEYED"] == 4
    assert hospital.seen_again(tmp_path / "out") == []


def test_the_mapping_is_made_only_if_asked_for_and_opens_with_the_key_alone(
    tmp_path: Path, export: Path, table: Path
) -> None:
    """Old ids stand beside new ones in the mapping; without the key nobody reads it, and a re-run adds nothing."""
    mapping, key = tmp_path / "map", tmp_path / "deidentify.key"
    deidentify([export], tmp_path / "out", studies=table, workers=1)
    assert not mapping.exists()
    for _ in range(2):
        deidentify([export], tmp_path / "out", studies=table, mapping=mapping, workers=1)
    told = [json.loads(line) for line in curate("unseal", mapping, "--key", key).stdout.splitlines()]
    assert {r["study"]: r["study_id"] for r in told} == {
        study.uid: pseudonyms.new_uid(keys_of(key), study.uid) for study in hospital.STUDIES
    }
    assert len(told) == 4 and len(told[0]["uids"]) == 3
    other = tmp_path / "other.key"
    secret_file.make(other)
    assert "was sealed with another key" in curate("unseal", mapping, "--key", other, code=2).stderr


def test_the_receipts_are_printed_for_the_portal(tmp_path: Path, export: Path, table: Path) -> None:
    """Each donor's receipt stands beside the hospital's own study and donor, and its digest in the table."""
    told = curate_json("deidentify", export, tmp_path / "out", "--studies", table)
    shown = curate_json("receipts", told["receipts"], "--key", told["key"])
    assert {(r["study"], r["donor"]) for r in shown} == {
        (study.uid, f"TABLEROWQZ-{study.patient}") for study in hospital.STUDIES
    }
    for receipt in shown:
        assert (
            receipts.digest(receipt["receipt"]).hex()
            == (lines(tmp_path / "out")[receipt["study_id"]]["receipt_sha256"])
        )
    printed = curate("receipts", told["receipts"], "--key", told["key"]).stdout.splitlines()
    assert {line.split()[3] for line in printed[1:]} == {r["study_id"] for r in shown}  # none is cut in two


def test_private_and_clean_are_kept_apart(tmp_path: Path, export: Path, table: Path) -> None:
    """A DEST in the source, a key or mapping in DEST, and a DEST with other files in it are refused."""
    dest = tmp_path / "out"
    for where, options in (
        (export / "out", {}),
        (tmp_path, {}),
        (dest, {"key": dest / "a.key"}),
        (dest, {"mapping": dest / "map"}),
    ):
        with pytest.raises(InputError, match="DEST"):
            deidentify([export], where, workers=1, **options)
    dest.mkdir()
    (dest / "xyrkpujol.txt").write_text("mine")
    with pytest.raises(InputError, match="holds 1 entries that this command did not write") as refused:
        deidentify([export], dest, workers=1)
    assert "xyrkpujol" not in str(refused.value)
    assert [p.name for p in dest.iterdir()] == ["xyrkpujol.txt"]


def test_two_runs_with_one_key_do_not_meet(tmp_path: Path, export: Path) -> None:
    """A second run while the first one holds the key gets a clear message."""
    key = tmp_path / "a.key"
    with (
        key_files.opened(key, under_passphrase=False),
        pytest.raises(LockedError, match="Another run uses the key"),
    ):
        deidentify([export], tmp_path / "out", key=key, workers=1)
    assert not (tmp_path / "out").exists()


def test_a_key_under_a_passphrase(tmp_path: Path, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key file alone opens nothing; the passphrase comes from the environment or the terminal."""
    key, dest = tmp_path / "deidentify.key", tmp_path / "out"
    assert "needs a passphrase" in curate("deidentify", export, dest, "--passphrase", code=2).stderr
    monkeypatch.setenv(secret_file.VARIABLE, "correct horse")
    deidentify([export], dest, under_passphrase=True, workers=1)
    assert key.read_text().startswith("curate-key-1 scrypt ")
    assert deidentify([export], dest, workers=1).unchanged_instances == 8
    monkeypatch.setenv(secret_file.VARIABLE, "wrong")
    with pytest.raises(InputError, match="The passphrase of"):
        deidentify([export], dest, workers=1)


def test_a_profile_without_dates(tmp_path: Path, export: Path) -> None:
    """With `dates = "remove"` no date leaves, and no state is kept of any."""
    profile = tmp_path / "archive.toml"
    profile.write_text('[profile]\ndates = "remove"\n')
    deidentify([export], tmp_path / "out", profile=profile, workers=1)
    for data in instances(tmp_path / "out").values():
        read = pydicom.dcmread(io.BytesIO(data))
        assert read.StudyDate == "" and read.LongitudinalTemporalInformationModified == "REMOVED"
    keys = keys_of(tmp_path / "deidentify.key")
    state = encrypted_log.read(tmp_path / "deidentify.key.state", keys.storage)
    assert [sorted(record) for record in state] == [["dest", "how", "since"]]


def test_two_files_of_one_uid(tmp_path: Path) -> None:
    """A copy counts and is written once; another content under the same UID refuses the study."""
    export = tmp_path / "export"
    hospital.write(export, (Study(0, 0), Study(1, 0)))
    paths = sorted(export.rglob("*.dcm"))
    shutil.copy(paths[0], export / "copy.dcm")
    other = synth.load_instance(1, 0, 0, 0, rows=32, columns=32)
    other.KVP = "100"
    (export / "other.dcm").write_bytes(synth.to_bytes(other))
    report = deidentify([export], tmp_path / "out", workers=1)
    assert (report.files, report.written_instances, report.refused_instances) == (6, 3, 3)
    assert report.codes == {"INSTANCE_UID_CONFLICT": 1}
    assert len(instances(tmp_path / "out")) == 2


@pytest.fixture(autouse=True)
def _no_observer() -> Iterator[None]:
    yield
    durable.observer = None


def test_the_state_is_sealed(tmp_path: Path, export: Path) -> None:
    """The moments that dates were moved by are not to be read without the key."""
    deidentify([export], tmp_path / "out", workers=1)
    state = tmp_path / "deidentify.key.state"
    assert b"2019" not in state.read_bytes()
    keys = keys_of(tmp_path / "deidentify.key")
    kinds = [sorted(record) for record in encrypted_log.read(state, keys.storage)]
    assert kinds.count(["earliest", "study"]) == 4 and kinds.count(["anchor", "donor"]) == 3


@pytest.mark.long
def test_both_steps_on_the_corpus_give_what_one_gives(tmp_path: Path) -> None:
    """On all real files: the same studies, coded metadata, days, counts; nothing that leaves fails inspection."""
    uids = study_uids(corpus())
    table, dest = write_table(tmp_path / "own.csv", uids), tmp_path / "out"
    profile = tmp_path / "profile.toml"
    profile.write_text('[profile]\nburned_in = "allow"\n')  # as in an archive of test material
    done = deidentify([corpus()], dest, studies=table, profile=profile)
    assert done.files == done.written_instances + done.refused_instances + done.not_instances
    assert "REWRITE_NOT_CLEAN" not in done.codes and "PROGRAM_DEFECT" not in done.codes
    ours, theirs = make_archive(tmp_path / "both"), make_archive(tmp_path / "alone")
    assert intake(ours, [dest], dest / "studies.csv").quarantined_instances == 0
    intake(theirs, [corpus()], table, deidentify=True)
    at_hospital = keys_of(tmp_path / "deidentify.key")
    with repository.opened(ours, write=False) as both, repository.opened(theirs, write=False) as alone:
        kept, direct = Keys.from_secret(both.secret), Keys.from_secret(alone.secret)
        admitted = 0
        for uid in uids:
            new = pseudonyms.new_uid(at_hospital, uid)
            first = both.ledger.study(pseudonyms.new_uid(kept, new))
            second = alone.ledger.study(pseudonyms.new_uid(direct, uid))
            assert (first is None) == (second is None)
            if first is not None and second is not None:
                admitted += 1
                assert [first.payload[part] for part in ("coded", "day", "terms")] == [
                    second.payload[part] for part in ("coded", "day", "terms")
                ]
        assert admitted == done.written_studies > 20
    assert not any(has_errors(verdict.findings) for verdict in inspect([dest], temporary=tmp_path / "cache"))


def test_numbers_that_order_are_renumbered_over_the_whole_study(tmp_path: Path) -> None:
    """At the hospital too: large ones and digits of the birth date become their order, others stay."""
    export = tmp_path / "export"
    export.mkdir()
    for series in range(2):
        for instance in range(3):
            ds = synth.load_instance(0, 0, series, instance, rows=8, columns=8)
            ds.PatientBirthDate, ds.SeriesNumber = "19580203", (1958, 7)[series]
            ds.InstanceNumber = 900_000 - instance if series else instance + 4
            (export / f"{series}-{instance}.dcm").write_bytes(synth.to_bytes(ds))
    deidentify([export], tmp_path / "out", workers=1)
    read = [pydicom.dcmread(io.BytesIO(data)) for data in instances(tmp_path / "out").values()]
    found = sorted((int(ds.SeriesNumber), int(ds.InstanceNumber), int(ds.SliceLocation or 0)) for ds in read)
    assert [(series, number) for series, number, _ in found] == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6)]
    places = [place for series, _, place in found if series == 1]
    assert places == sorted(places, reverse=True)
