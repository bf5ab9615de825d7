"""A head CT on its way through intake under `head = "deface"`: cut in its own slices, or kept out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("SimpleITK", reason="the extra `pixels` is not installed")

import curate
from curate.archive import packs, repository
from curate.core.errors import InputError
from curate.core.records import ArchiveInfo
from curate.dicom.io.reader import parse
from tests import synth
from tests.corpus import write_table
from tests.pixels import heads
from tests.pixels.mr_heads import Head, from_ct
from tests.pixels.test_magnetic import body

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


def magnetic(head: Head, series: int = 0, **attributes: object) -> list[bytes]:
    """A volume as MR slices, headers of an invented scanner, no word of a head among them."""
    found = []
    affine = head.affine
    for number, values in enumerate(head.values):
        ds = synth.load_instance(0, 0, series, number, modality="MR", rows=values.shape[0], columns=values.shape[1])
        ds.BodyPartExamined = "KNEE"
        ds.StudyDescription = ds.SeriesDescription = ds.ProtocolName = "KNIE"
        ds.FrameOfReferenceUID = synth.uid(0, 0, "frame")
        ds.ImagePositionPatient = [f"{v:.5f}" for v in affine[:3, 3] + number * affine[:3, 0]]
        ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        ds.PixelSpacing = [f"{affine[1, 1]:.6f}", f"{affine[0, 2]:.6f}"]
        ds.PixelRepresentation, ds.BitsStored, ds.HighBit = 0, 12, 11
        ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
        ds.PixelData = np.clip(values * 8, 0, 4095).astype("<u2").tobytes()
        for name, value in attributes.items():
            setattr(ds, name, value)
        found.append(synth.to_bytes(ds))
    return found


def take_in(tmp_path: Path, files: list[bytes], head: str = "deface") -> tuple[curate.IntakeReport, Path]:
    root = tmp_path / "archive"
    if not root.exists():
        curate.init(root, ArchiveInfo("T", "T", "CC-BY-4.0", "test"), approvals=0)
        path = root / "archive.toml"
        text = path.read_text("utf-8")
        at = text.index("\n", text.index("[profile]")) + 1
        path.write_text(text[:at] + f'head = "{head}"\n' + text[at:], "utf-8")
    folder = tmp_path / "source"
    folder.mkdir(exist_ok=True)
    for number, data in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(data)
    uids = sorted({parse(data).dataset.text(0x0020000D) for data in files})
    table = write_table(tmp_path / "studies.csv", uids, age="50", sex="F", region="head")
    return curate.intake(root, [folder], table, deidentify=True, workers=1), root


def test_a_head_is_cut_in_its_own_slices(tmp_path: Path) -> None:
    """A head that no header names leaves without its face; a localizer of it is refused; the release passes."""
    files = slices()
    localizer = slices(1, 54, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[:1]
    report, root = take_in(tmp_path, [*files, *localizer])
    assert (report.admitted_instances, report.quarantined_instances) == (len(files), 1)
    assert {"PIXELS_FACE_REMOVED", "PIXELS_FACE_REFUSED"} <= set(report.codes)
    with repository.opened(root, write=False) as archive:
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
    """A slice missing, too few of them, or a single MR image: the study is held whole."""
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
    assert "PIXELS_FACE_UNSURE" in report.codes


def test_a_late_series_of_a_head_waits_for_the_whole_study(tmp_path: Path) -> None:
    """A plan is made of all volumes: a late CT series does not join, and is cut once all of the study comes."""
    first, late = slices(step=3), slices(1, step=3)
    report, root = take_in(tmp_path, first)
    assert report.admitted_instances == len(first)
    report = _send(tmp_path / "late", root, late)
    assert (report.joined_instances, report.codes["STUDY_ALREADY_ADMITTED"]) == (0, len(late))
    report = _send(tmp_path / "all", root, [*first, *late])
    assert (report.joined_instances, report.quarantined_instances) == (len(late), 0)
    with repository.opened(root, write=False) as archive:
        (record,) = list(archive.ledger.studies())
        assert not list(archive.ledger.quarantined())
    assert record.payload["evidence"]["faces"]["instances"] == len(first) + len(late)


def test_what_a_late_head_would_push_out_stays(tmp_path: Path) -> None:
    """Taking a study anew would refuse an admitted radiograph beside the head: it stays, and the head waits."""
    other = synth.load_instance(0, 0, 9, 0, modality="CR")
    other.BodyPartExamined, other.StudyDescription = "CHEST", "THORAX"
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


def test_an_mr_head_is_cut_in_all_its_series(tmp_path: Path) -> None:
    """A head and its second contrast leave without the face, a scout is left out; check and review look again."""
    head = from_ct().thick(3)
    files = magnetic(head) + magnetic(head.inverted(), 1) + magnetic(head.thick(9), 2)
    report, root = take_in(tmp_path, files)
    left_out = len(head.thick(9).values)
    assert (report.admitted_instances, report.quarantined_instances) == (2 * len(head.values), left_out)
    assert {"PIXELS_FACE_REMOVED", "PIXELS_FACE_REFUSED"} <= set(report.codes)
    data = [
        packs.read_instance(pack, *place)
        for pack in (root / "packs").rglob("*.parquet")
        for place in packs.instance_places(pack)
    ]
    assert all(b"113102" in one for one in data)
    release = root / "releases" / str(curate.release(root).version)
    (faces,) = [one for one in curate.check(release, workers=1, pixels=True) if one.name == "faces"]
    assert (faces.looked_at, faces.findings) == (2, ())
    curate.review(release, tmp_path / "site", sample=0, workers=1)
    page = (tmp_path / "site" / "series" / "1.html").read_text("utf-8")
    assert "How the head looked before cannot be shown" in page
    assert (tmp_path / "site" / "images" / "1-surface.png").read_bytes().startswith(b"\x89PNG")


def test_a_face_in_a_release_is_found(tmp_path: Path) -> None:
    """Where a head was let in as it is, the check finds its face, and the reviewer's page asks to look."""
    _, root = take_in(tmp_path, slices(), head="allow")
    release = root / "releases" / str(curate.release(root).version)
    (faces,) = [one for one in curate.check(release, workers=1, pixels=True) if one.name == "faces"]
    assert [finding.rule for finding in faces.findings] == ["PIXELS_FACE_FOUND"]
    curate.review(release, tmp_path / "site", sample=0, workers=1)
    assert "This volume may show a head" in (tmp_path / "site" / "series" / "1.html").read_text("utf-8")


def test_a_trunk_enters_and_a_limb_waits_for_a_person(tmp_path: Path) -> None:
    """MR of a trunk is clear, whatever its header says; a limb waits, is drawn, and enters once a person says so."""
    report, _ = take_in(tmp_path / "one", magnetic(body(360, 240)))
    assert report.quarantined_instances == 0
    files = magnetic(body(150, 140, 100))
    report, root = take_in(tmp_path / "two", files)
    assert (report.admitted_instances, report.codes) == (0, {"PIXELS_FACE_UNSURE": 1})
    (entry,) = curate.waiting(root)
    assert curate.show(root, entry.id, tmp_path / "shown") == 1
    with pytest.raises(InputError, match="does not wait for"):
        curate.decide(root, entry.id, "mask", "A_KNEE")
    curate.decide(root, entry.id, "admit", "A_KNEE")
    report, root = take_in(tmp_path / "two", files)
    assert report.admitted_instances == len(files)
    with repository.opened(root, write=False) as archive:
        (record,) = list(archive.ledger.studies())
        (event,) = list(archive.ledger.events("decided", record.study_id))
    assert event.payload["about"] == ["face"]
    assert record.payload["evidence"]["faces"] == {"decided": "admit"}


@pytest.mark.parametrize("policy", ["refuse", "hold"])
def test_other_policies_look_too(tmp_path: Path, policy: str) -> None:
    """A head that no header names is left out, or waits, where the policy says so."""
    report, _ = take_in(tmp_path, slices(step=3), head=policy)
    assert report.admitted_instances == 0
    assert ("PIXELS_FACE_REFUSED" if policy == "refuse" else "PIXELS_FACE_UNSURE") in report.codes
