"""A head CT on its way through intake under `head = "deface"`: cut in its own slices, or kept out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import curate
from curate.archive import layout, packs
from curate.dicom.reader import parse
from curate.records import ArchiveInfo
from tests import synth
from tests.corpus import write_table
from tests.pixels import heads

pytestmark = heads.needs_head
_AIR = -1000


def slices(series: int = 0, step: int = 2, **attributes: object) -> list[bytes]:
    """The head as CT slices, headers of an invented scanner, no word of a head among them."""
    hu, found = heads.cranium()[::step], []
    for number, values in enumerate(hu):
        ds = synth.load_instance(0, 0, series, number, rows=128, columns=128)
        ds.BodyPartExamined = "CHEST"
        ds.StudyDescription = ds.SeriesDescription = ds.ProtocolName = "THORAX"
        ds.FrameOfReferenceUID = synth.uid(0, 0, "frame")
        ds.ImagePositionPatient = [0, 0, number * step * heads.STEP_MM]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing = [2 * heads.PLANE_MM] * 2
        ds.RescaleSlope, ds.RescaleIntercept = 1, 0
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 1, 16, 15
        ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        ds.PixelData = values.astype("<i2").tobytes()
        for name, value in attributes.items():
            setattr(ds, name, value)
        found.append(synth.to_bytes(ds))
    return found


def take_in(tmp_path: Path, files: list[bytes]) -> tuple[curate.IntakeReport, Path]:
    root = curate.init(tmp_path / "archive", ArchiveInfo("T", "T", "CC-BY-4.0", "test"), approvals=0)
    path = root / "archive.toml"
    text = path.read_text("utf-8")
    at = text.index("\n", text.index("[profile]")) + 1
    path.write_text(text[:at] + 'head = "deface"\n' + text[at:], "utf-8")
    folder = tmp_path / "source"
    folder.mkdir()
    for number, data in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(data)
    table = write_table(tmp_path / "studies.csv", [synth.uid(0, 0)], age="50", sex="F", region="head")
    return curate.intake(root, [folder], table, deidentify=True, workers=1), root


def test_a_head_is_cut_in_its_own_slices(tmp_path: Path) -> None:
    """A head that no header names leaves without its face; a localizer of it is refused; the release passes."""
    files = slices()
    localizer = slices(1, 54, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[:1]
    report, root = take_in(tmp_path, [*files, *localizer])
    assert (report.admitted_instances, report.quarantined_instances) == (len(files), 1)
    assert {"PIXELS_FACE_REMOVED", "PIXELS_FACE_REFUSED"} <= set(report.codes)
    with layout.opened(root, write=False) as archive:
        (record,) = list(archive.ledger.studies())
    assert record.payload["evidence"]["faces"]["instances"] == len(files)
    before = {i * 2 * heads.STEP_MM: parse(data) for i, data in enumerate(files)}
    changed = 0
    for pack in (root / "packs").rglob("*.parquet"):
        for place in packs.instance_places(pack):
            now = parse(packs.read_instance(pack, *place))
            item, was = now.dataset, before[float(now.dataset.text(0x00200032).split("\\")[2])]
            assert now.transfer_syntax == was.transfer_syntax
            assert item.text(0x00280302) == "NO"
            assert "113102" in [code.text(0x00080100) for code in item.items_of(0x00120064)]
            assert item.text(0x00280301) == was.dataset.text(0x00280301)  # nobody has looked for text
            old, new = (np.frombuffer(one.raw(0x7FE00010), "<i2") for one in (was.dataset, item))
            assert set(np.unique(new[old != new])) <= {_AIR}
            changed += int((old != new).sum())
    assert changed > 10_000
    release = curate.release(root)
    results = curate.check(root / "releases" / str(release.version), workers=1)
    assert not [f for one in results for f in one.findings if f.rule.startswith(("PIXELS", "REWRITE"))]


@pytest.mark.parametrize("fault", ["missing", "few", "magnetic"])
def test_a_head_that_cannot_be_judged_waits(tmp_path: Path, fault: str) -> None:
    """A slice missing, too few of them, or an MR that a header calls a head: the study is held whole."""
    files = slices(step=3)
    if fault == "missing":
        del files[20]
    elif fault == "few":
        files = files[:6]
    else:
        ds = synth.load_instance(0, 0, 0, 0, modality="MR")
        ds.BodyPartExamined = "BRAIN"
        files = [synth.to_bytes(ds)]
    report, _ = take_in(tmp_path, files)
    assert report.admitted_instances == 0
    rule = "PIXELS_FACE_LIKELY" if fault == "magnetic" else "PIXELS_FACE_UNSURE"
    assert rule in report.codes


def test_a_late_series_of_a_head_waits_for_the_whole_study(tmp_path: Path) -> None:
    """A plan is made of all volumes: a late CT series does not join, and is cut once all of the study comes."""
    first, late = slices(step=3), slices(1, step=3)
    report, root = take_in(tmp_path, first)
    assert report.admitted_instances == len(first)
    report = _send(tmp_path / "late", root, late)
    assert (report.joined_instances, report.codes["STUDY_ALREADY_ADMITTED"]) == (0, len(late))
    report = _send(tmp_path / "all", root, [*first, *late])
    assert (report.joined_instances, report.quarantined_instances) == (len(late), 0)
    with layout.opened(root, write=False) as archive:
        (record,) = list(archive.ledger.studies())
        assert not list(archive.ledger.quarantined())
    assert record.payload["evidence"]["faces"]["instances"] == len(first) + len(late)


def test_what_a_late_head_would_push_out_stays(tmp_path: Path) -> None:
    """Taking a study anew would refuse an admitted MR beside the head: it stays, and the head waits."""
    other = synth.load_instance(0, 0, 9, 0, modality="MR")
    other.BodyPartExamined, other.StudyDescription = "ABDOMEN", "THORAX"
    report, root = take_in(tmp_path, [synth.to_bytes(other)])
    assert report.admitted_instances == 1
    head = slices(step=3)
    report = _send(tmp_path / "all", root, [*head, synth.to_bytes(other)])
    assert (report.joined_instances, report.admitted_instances) == (0, 1)
    assert report.codes["STUDY_ALREADY_ADMITTED"] == len(head)


def _send(folder: Path, root: Path, files: list[bytes]) -> curate.IntakeReport:
    folder.mkdir()
    for number, data in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(data)
    return curate.intake(root, [folder], folder.parent / "studies.csv", deidentify=True, workers=1)
