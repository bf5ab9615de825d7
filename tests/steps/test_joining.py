"""A study that comes in several batches: what comes later joins it, and a release shows the same bytes as of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from curate.archive.layout import opened
from curate.steps.intake import intake
from curate.steps.intake.report import IntakeReport
from curate.steps.publish import publish
from curate.steps.release import release
from curate.steps.withdraw import withdraw
from tests import synth
from tests.corpus import write_table
from tests.steps.archives import files_of, make_archive, sealed_files_of

STUDY = synth.uid(0, 0)
Edit = Callable[[Dataset], None]


@pytest.fixture(autouse=True)
def _one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1767225600")


def _archive(root: Path, settings: str = "") -> Path:
    archive = make_archive(root)
    (archive / "secret.key").write_text("60" * 32 + "\n")
    if settings:
        path = archive / "archive.toml"
        path.write_text(path.read_text().replace("[profile]\n", f"[profile]\n{settings}\n"))
    return archive


def _instance(series: int, instance: int, edit: Edit | None = None) -> bytes:
    modality = "MR" if series == 2 else "CT"
    made = synth.load_instance(0, 0, series, instance, modality=modality, rows=32, columns=32)
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

    def __init__(self, root: Path, settings: str = "", **row: str) -> None:
        self.archive, self.root, self.count = _archive(root / "archive", settings), root, 0
        self.table = write_table(root / "studies.csv", [STUDY, synth.uid(7, 0)], **row)

    def send(self, files: Mapping[str, bytes], *, deidentify: bool = True) -> IntakeReport:
        """Take a batch in."""
        self.count += 1
        folder = self.root / f"batch{self.count}"
        folder.mkdir()
        for name, data in files.items():
            (folder / f"{name}.dcm").write_bytes(data)
        report = intake(self.archive, [folder], self.table, deidentify=deidentify, workers=1)
        assert report.files == report.admitted_instances + report.quarantined_instances + report.not_instances
        return report

    def released(self) -> dict[str, bytes]:
        """What a release shows, the salted attestations apart."""
        return sealed_files_of(release(self.archive).path)

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
def test_batches_give_the_bytes_of_one(
    split: str, again: bool, tmp_path: Path, whole: dict[str, bytes]
) -> None:
    """However a study is parted, and whether the rest comes alone or with all: the release is the same."""
    if split == "the first slices last" and not again:
        pytest.skip("an earlier first acquisition alone: see test_an_earlier_acquisition_keeps_the_days")
    several, sent = Batches(tmp_path), set[str]()
    for names in [*SPLITS[split], [name for name in FILES]]:
        new = set(names) - sent
        report = several.send(_only(*(names if again else new), *(sent if again else ())))
        assert (report.joined_instances, report.quarantined_instances) == (len(new) if sent else 0, 0)
        assert (report.joined_studies, report.admitted_studies) == ((1, 0) if sent else (0, 1))
        sent |= new
    _same(several.released(), whole)
