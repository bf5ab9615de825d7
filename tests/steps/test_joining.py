"""A study that comes in several batches: what comes later joins it, and a release shows the same bytes as of one."""

from __future__ import annotations

import io
import shutil
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curate.archive.pack_consolidation import pack_rows
from curate.archive.repository import opened
from curate.core.errors import DamagedError
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from curate.steps.check import check as check_release
from curate.steps.intake import intake
from curate.steps.intake.report import IntakeReport
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from tests import synth
from tests.corpus import write_table
from tests.steps.archives import curate, curate_json, files_of, make_archive, sealed_files_of, with_fixed_keys

STUDY = synth.uid(0, 0)
Edit = Callable[[Dataset], None]


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")


def _archive(root: Path, settings: str = "") -> Path:
    archive = with_fixed_keys(make_archive(root))
    if settings:
        _set(archive, settings)
    return archive


def _set(archive: Path, settings: str) -> None:
    """Say something of the profile."""
    path = archive / "archive.toml"
    head, found, rest = path.read_text().partition("[profile]")
    assert found
    comment, _, rest = rest.partition("\n")
    path.write_text(f"{head}[profile]{comment}\n{settings}\n{rest}")


def _instance(series: int, instance: int, edit: Edit | None = None) -> bytes:
    modality = "MR" if series == 2 else "CT"
    made = synth.load_instance(0, 0, series, instance, modality=modality, rows=32, columns=32)
    if modality == "MR":
        made.StudyDescription, made.BodyPartExamined = "TORAX SIN CONTRASTE", "ABDOMEN"
    if series == 3:  # a capture that the profile refuses
        made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    if series == 1:  # refers to a series that may come later
        reference = Dataset()
        reference.ReferencedSOPClassUID = made.SOPClassUID
        reference.ReferencedSOPInstanceUID = synth.uid(0, 0, 2, instance)
        made.SourceImageSequence = Sequence([reference])
    if edit is not None:
        edit(made)
    return synth.to_bytes(made)


ALL = {f"{series}-{instance}": (series, instance) for series in range(3) for instance in range(4)}
FILES = {name: _instance(*numbers) for name, numbers in ALL.items()}


class Batches:
    """An archive, and a folder for what is sent next."""

    workers = 1

    def __init__(self, root: Path, settings: str = "", **row: str) -> None:
        root.mkdir(exist_ok=True)
        self.archive, self.root, self.count = _archive(root / "archive", settings), root, 0
        self.table = write_table(root / "studies.csv", [STUDY, synth.uid(7, 0)], **row)

    def send(self, files: Mapping[str, bytes], *, deidentify: bool = True) -> IntakeReport:
        """Take a batch in."""
        self.count += 1
        folder = self.root / f"batch{self.count}"
        folder.mkdir()
        for name, data in files.items():
            (folder / f"{name}.dcm").write_bytes(data)
        report = intake(self.archive, [folder], self.table, deidentify=deidentify, workers=self.workers)
        admitted = report.admitted_instances + report.copies
        assert report.files == admitted + report.quarantined_instances + report.not_instances
        return report

    def released(self) -> dict[str, bytes]:
        """What a release shows, the salted attestations apart."""
        return sealed_files_of(release(self.archive).path)

    def instances(self) -> dict[str, bytes]:
        """The clean instances of the study that the archive holds, by their UIDs."""
        with opened(self.archive, write=False) as held:
            record = held.ledger.study(pseudonyms.new_uid(Keys.from_secret(held.secret), STUDY))
            assert record is not None
            return {row.instance: row.data for row in pack_rows(held.packs, record)}

    def waiting(self) -> dict[str, int]:
        """What waits, by rule."""
        with opened(self.archive, write=False) as held:
            return {code: count for entry in held.ledger.quarantined() for code, count in entry.codes.items()}


def _only(*names: str) -> dict[str, bytes]:
    return {name: FILES[name] for name in names}


def _but(*names: str) -> dict[str, bytes]:
    return {name: data for name, data in FILES.items() if name not in names}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The release of a study that came in one batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1767225600")
        one = Batches(tmp_path_factory.mktemp("whole"))
        one.send(FILES)
        return one.released()


def _same(found: dict[str, bytes], expected: dict[str, bytes]) -> None:
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []


SPLITS = {
    "a late series": [["0-0", "0-1", "0-2", "0-3", "1-0", "1-1", "1-2", "1-3"]],
    "slices between slices": [["0-0", "0-2", "1-1", "1-3", "2-0"]],
    "the first slices last": [["0-2", "0-3", "1-0", "2-3"], ["0-1", "1-1", "1-2", "1-3"]],
    "three batches": [["0-0"], ["0-3", "1-2", "2-1"]],
}


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("again", [False, True], ids=["new files alone", "all files once more"])
def test_batches_give_the_bytes_of_one(split: str, again: bool, tmp_path: Path, whole: dict[str, bytes]) -> None:
    """However a study is parted, and whether the rest comes alone or with all: the release is the same."""
    several, sent = Batches(tmp_path), set[str]()
    for names in [*SPLITS[split], list(FILES)]:
        new = set(names) - sent
        report = several.send(_only(*(names if again else new), *(sent if again else ())))
        assert (report.joined_instances, report.quarantined_instances) == (len(new) if sent else 0, 0)
        assert (report.joined_studies, report.admitted_studies) == ((1, 0) if sent else (0, 1))
        sent |= new
    _same(several.released(), whole)


def test_a_much_earlier_acquisition_keeps_the_times(tmp_path: Path) -> None:
    """A late instance of half a day before joins, too: what was admitted keeps its times, intervals stay exact."""

    def in_the_evening(ds: Dataset) -> None:
        ds.AcquisitionTime = "203000"

    several = Batches(tmp_path)
    several.send({"0-2": _instance(0, 2, in_the_evening)})
    there = several.instances()
    assert several.send({"0-0": _instance(0, 0)}).joined_instances == 1
    after = several.instances()
    assert there.items() <= after.items() and len(after) == 2
    found = [pydicom.dcmread(io.BytesIO(data)) for data in after.values()]
    times = sorted(ds.AcquisitionDate + ds.AcquisitionTime for ds in found)
    assert times == ["19991231234803", "20000101120000"]


def test_what_was_refused_waits_on_and_is_counted_once(tmp_path: Path) -> None:
    """A refused capture that comes with each batch, or with the first alone, is one refused instance, and is kept."""
    capture = {"3-0": _instance(3, 0)}
    one = Batches(tmp_path / "one")
    one.send({**FILES, **capture})
    again, once = Batches(tmp_path / "again"), Batches(tmp_path / "once")
    for several, rest in ((again, {**FILES, **capture}), (once, FILES)):
        several.send({**_but("2-0", "2-1"), **capture})
        waited = several.waiting()
        assert several.send(rest).joined_instances == 2
        assert several.waiting() == waited == {"SOP_CLASS_SECONDARY_CAPTURE": 1}
        _same(several.released(), one.released())


def test_a_second_refusal_does_not_replace_the_first(tmp_path: Path) -> None:
    """What one batch brought in vain is kept when the next one brings something else in vain."""
    several = Batches(tmp_path)
    several.send({**_but("2-0"), "3-0": _instance(3, 0)})
    several.send({**_only("2-0"), "3-1": _instance(3, 1)})
    with opened(several.archive, write=False) as held:
        assert [entry.files for entry in held.ledger.quarantined()] == [1, 1]


@pytest.mark.parametrize("named", ["0-", "1-"], ids=["the first batch names", "the second batch names"])
def test_words_that_only_one_batch_knows_are_removed_everywhere(named: str, tmp_path: Path) -> None:
    """A name in one series' header is missing in the texts of all others, whichever came first; it is not kept."""

    def with_name(ds: Dataset) -> None:
        ds.OperatorsName = "Thorax^Amparo"

    files = FILES | {name: _instance(*ALL[name], edit=with_name) for name in FILES if name.startswith(named)}
    one, several = Batches(tmp_path / "one"), Batches(tmp_path / "several")
    one.send(files)
    several.send({name: data for name, data in files.items() if name.startswith("0-")})
    several.send({name: data for name, data in files.items() if not name.startswith("0-")})
    _same(several.released(), one.released())
    assert not any("THORAX" in str(pydicom.dcmread(io.BytesIO(d))).upper() for d in several.instances().values())
    with opened(several.archive, write=False) as held:
        kept = zlib.decompress(next(held.ledger.studies()).notes).decode().upper()
    assert not any(word in kept for word in ("THORAX", "AMPARO", "PUIGDOM", synth.load_instance().PatientID))


def test_another_instance_under_the_same_uid_never_joins(tmp_path: Path) -> None:
    """Of two contents of one SOPInstanceUID the admitted one stays, while the rest of the batch joins."""
    several = Batches(tmp_path)
    several.send(_but("0-1", "2-3"))
    before = several.instances()

    def other(ds: Dataset) -> None:
        ds.PixelData = bytes(len(ds.PixelData))

    report = several.send({**_only("0-1"), "0-0": _instance(0, 0, other)})
    assert (report.joined_instances, report.quarantined_instances) == (1, 1)
    assert several.waiting() == {"INSTANCE_UID_CONFLICT": 1}
    assert before.items() <= several.instances().items()
    report = several.send({**FILES, "0-0": _instance(0, 0, other), "first": FILES["0-0"]})
    assert report.quarantined_instances >= 1
    assert before.items() <= several.instances().items()


@pytest.mark.parametrize("change", ["row", "profile"])
def test_a_batch_that_says_otherwise_waits_until_all_of_it_comes(change: str, tmp_path: Path) -> None:
    """Under another row or profile new instances wait; with the whole study they enter, as of one batch."""
    row = {"age": "61"} if change == "row" else {}
    settings = "" if change == "row" else 'dates = "remove"'
    one = Batches(tmp_path / "one", settings, **row)
    one.send(FILES)
    several = Batches(tmp_path / "several")
    several.send(_but("2-0"))
    before = several.instances()
    if change == "row":
        write_table(several.table, [STUDY, synth.uid(7, 0)], **row)
    else:
        _set(several.archive, settings)
    assert several.send(_only("2-0")).joined_instances == 0
    assert several.waiting() == {"STUDY_ALREADY_ADMITTED": 1}
    assert several.instances() == before
    report = several.send(FILES)
    assert (report.joined_instances, report.quarantined_instances) == (1, 0)
    assert several.waiting() == {}
    _same(several.released(), one.released())


def test_another_donor_s_instances_never_join(tmp_path: Path) -> None:
    """A study that the table gives to somebody else now stays as it was, even where all of it comes."""
    several = Batches(tmp_path)
    several.send(_but("2-0"))
    before = several.instances()
    write_table(several.table, [STUDY, synth.uid(7, 0)], donor="SOMEBODY")
    assert several.send(FILES).joined_instances == 0
    assert several.waiting() == {"STUDY_ALREADY_ADMITTED": 1}
    assert several.instances() == before


def test_a_series_that_contradicts_itself_waits(tmp_path: Path) -> None:
    """New instances by which no row could say what their series says wait, and the study stays."""

    def other(ds: Dataset) -> None:
        ds.Manufacturer = "PHILIPS"

    several = Batches(tmp_path)
    several.send(_but("2-0"))
    before = several.instances()
    assert several.send({"2-0": _instance(2, 0, other)}).quarantined_instances == 1
    assert several.waiting() == {"SERIES_CONTRADICTS": 1}
    assert several.instances() == before


def test_a_released_study_stays_as_it_is(tmp_path: Path) -> None:
    """What comes after a release waits; a cut that nobody saw may be deleted, and then it joins."""
    one = Batches(tmp_path / "one")
    one.send(FILES)
    several = Batches(tmp_path / "several")
    several.send(_but("2-0"))
    cut = release(several.archive)
    for batch in (_only("2-0"), FILES):
        assert several.send(batch).joined_instances == 0
        assert several.waiting() == {"STUDY_RELEASED": 1}
    assert not release(several.archive).new
    shutil.rmtree(cut.path)
    assert several.send(_only("2-0")).joined_instances == 1
    _same(several.released(), one.released())


def test_a_pack_that_was_shared_no_longer_holds_the_study(tmp_path: Path) -> None:
    """A study that leaves a pack of several takes its bytes with it, previews too, and a withdrawal finds all."""
    several = Batches(tmp_path)
    other = {f"other-{n}": synth.instance_bytes(7, 0, 0, n, rows=32, columns=32) for n in range(3)}
    several.send({**_but("2-0"), **other})
    shutil.rmtree(release(several.archive).path)
    several.send(_only("2-0"))
    uids = [uid.encode() for uid in several.instances()]
    withdraw(several.archive, STUDY)
    held = files_of(several.archive / "packs") | files_of(several.archive / "previews")
    assert held and not [name for name, data in held.items() if any(uid in data for uid in uids)]
    checked = check_release(release(several.archive).path)
    assert {finding.rule for check in checked for finding in check.findings} <= {"TRUST_CONFIRMED"}


def test_a_withdrawal_erases_every_pack_of_a_joined_study(tmp_path: Path) -> None:
    """Before any release, neither the packs of the first batch nor those of all remain."""
    several = Batches(tmp_path)
    several.send(_but("2-0"))
    (first,) = files_of(several.archive / "packs")
    several.send(FILES)
    (second,) = files_of(several.archive / "packs")
    assert first != second  # the first one's is gone already
    withdraw(several.archive, STUDY)
    assert files_of(several.archive / "packs") == {}
    assert several.send(FILES).quarantined_instances == len(FILES)


def test_a_damaged_pack_stops_the_intake(tmp_path: Path) -> None:
    """Bytes that are not those of the ledger are not written into a new pack."""
    several = Batches(tmp_path)
    several.send(_but("2-0"))
    (pack,) = (several.archive / "packs").rglob("*.parquet")
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    with pytest.raises(DamagedError, match="does not hold what the ledger says"):
        several.send(_only("2-0"))


def test_places_and_receipts_stay(tmp_path: Path) -> None:
    """Pseudonyms of site and scanner are those of one batch; the study keeps its one receipt."""
    one, several = (Batches(tmp_path / name, "site_and_scanner = true") for name in ("one", "several"))
    one.send(FILES)
    assert several.send(_but("1-1", "2-0", "2-1", "2-2", "2-3")).new_receipts == 1
    report = several.send(FILES)
    assert (report.joined_instances, report.new_receipts) == (5, 0)
    again = several.send(FILES)
    assert (again.joined_instances, again.unchanged_studies) == (0, 1)
    _same(several.released(), one.released())
    with opened(several.archive, write=False) as held:
        kinds = [(e.kind, e.payload.get("joined")) for e in held.ledger.events() if e.subject != "1.0.0"]
    assert kinds.count(("joined", 5)) == 1 and ("admitted", None) in kinds


def test_processes_join_as_one_does(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """Two workers, of which each may have a study that is joined, give the same bytes."""
    several = Batches(tmp_path)
    several.workers = 2
    other = {f"other-{n}": synth.instance_bytes(7, 0, 0, n, rows=32, columns=32) for n in range(3)}
    several.send({**_but("2-0", "0-3"), "other-0": other["other-0"]})
    report = several.send(_only("2-0", "0-3") | {name: other[name] for name in ("other-1", "other-2")})
    assert (report.joined_studies, report.joined_instances) == (2, 4)
    withdraw(several.archive, synth.uid(7, 0))
    found = several.released()
    packs = [name for name in whole if name.startswith("packs/")]
    assert {name: found.get(name) for name in packs} == {name: whole[name] for name in packs}


def test_the_command_says_what_joined(tmp_path: Path) -> None:
    """The account counts each instance once: it was there, it joined, or it waits."""
    several = Batches(tmp_path)
    several.send(_but("2-0", "2-1"))
    folder = several.root / "all"
    folder.mkdir()
    for name, data in FILES.items():
        (folder / f"{name}.dcm").write_bytes(data)
    how = ("intake", several.archive, folder, "--studies", several.table, "--deidentify", "--workers", 1)
    told = curate(*how).stdout
    assert "2 joined 1 studies that were there" in " ".join(told.split())
    report = curate_json(*how)
    assert (report["admitted_instances"], report["joined_instances"], report["unchanged_studies"]) == (
        12,
        0,
        1,
    )


def _large(name: str) -> bytes:
    series, instance = ALL[name]

    def edit(made: Dataset) -> None:
        made.InstanceNumber = 19_580_203 + 7 * instance
        made.SeriesNumber, made.AcquisitionNumber = 1_000_000 + series, 5

    return _instance(series, instance, edit)


def _numbers(batches: Batches) -> list[tuple[int, int, int]]:
    read = (pydicom.dcmread(io.BytesIO(data)) for data in batches.instances().values())
    return sorted((int(ds.SeriesNumber), int(ds.AcquisitionNumber), int(ds.InstanceNumber)) for ds in read)


def test_numbers_that_tell_are_given_anew_over_the_whole_study(tmp_path: Path) -> None:
    """Large numbers become their order, over series and study; what comes later waits until all of it comes."""
    batches = Batches(tmp_path)
    files = {name: _large(name) for name in ALL}
    batches.send({name: files[name] for name in ("0-1", "0-3", "2-0")})
    assert _numbers(batches) == [(1, 5, 1), (1, 5, 2), (2, 5, 1)]
    late = {name: files[name] for name in ("0-0", "1-2")}
    assert batches.send(late).quarantined_instances == 2
    assert batches.waiting() == {"STUDY_ALREADY_ADMITTED": 2}
    assert batches.send(files).quarantined_instances == 0
    assert _numbers(batches) == [(s, 5, i) for s in (1, 2, 3) for i in (1, 2, 3, 4)]
