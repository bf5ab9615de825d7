"""Heads in `curate deidentify` and `curate inspect --pixels`: the hospital's run does as the archive's intake."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("SimpleITK", reason="the extra `pixels` is not installed")

import curate
from curate.archive import packs
from curate.dicom.io.reader import parse
from tests import synth
from tests.pixels import heads
from tests.pixels.mr_heads import from_ct
from tests.pixels.test_magnetic import body
from tests.steps.archives import curate_json, files_of
from tests.steps.test_faces import magnetic, slices, take_in

pytestmark = heads.needs_head
_AIR = -1000


def leave(
    folder: Path, files: list[bytes], head: str = "deface", more: str = ""
) -> tuple[curate.DeidentifyReport, list[bytes]]:
    """What `deidentify` says and writes of files under a policy for heads."""
    source, profile = folder / "source", folder / "profile.toml"
    source.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(files):
        (source / f"{number}.dcm").write_bytes(data)
    profile.write_text(f'[profile]\nhead = "{head}"\n{more}', "utf-8")
    report = curate.deidentify([source], folder / "out", profile=profile, workers=1)
    return report, [data for name, data in files_of(folder / "out").items() if name.endswith(".dcm")]


def pixels(data: bytes) -> bytes:
    """The stored pixels of an instance."""
    return bytes(parse(data).dataset.raw(0x7FE00010))


def test_the_hospital_cuts_what_the_archive_would(tmp_path: Path) -> None:
    """A head that no header names: voxel for voxel intake's cut, stated; an archive cuts no more of it."""
    files = slices(step=3)
    localizer = slices(1, 54, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])[:1]
    report, written = leave(tmp_path, [*files, *localizer])
    assert (len(written), report.refused_instances) == (len(files), 1)
    assert {"PIXELS_FACE_REMOVED", "PIXELS_FACE_REFUSED"} <= set(report.codes)
    by_height = {float(parse(one).dataset.text(0x00200032).split("\\")[2]): one for one in written}
    changed = 0
    for number, data in enumerate(files):
        now = by_height[number * 3 * heads.STEP_MM]
        old, new = (np.frombuffer(pixels(one), "<i2") for one in (data, now))
        assert set(np.unique(new[old != new])) <= {_AIR}
        assert b"113102" in now
        changed += int((old != new).sum())
    assert changed > 10_000
    first, again = (packed(take_in(tmp_path / name, sent)) for name, sent in (("raw", files), ("cut", written)))
    assert sorted(map(pixels, first)) == sorted(map(pixels, written)) == sorted(map(pixels, again))


def packed(done: tuple[curate.IntakeReport, Path]) -> list[bytes]:
    """The instances of an archive."""
    return [
        packs.read_instance(pack, *place)
        for pack in (done[1] / "packs").rglob("*.parquet")
        for place in packs.instance_places(pack)
    ]


def test_a_rendering_of_a_head_stays_out(tmp_path: Path) -> None:
    """A surface as a secondary capture and a radiograph, beside a head that is cut: both are refused, by name."""
    capture = synth.load_instance(0, 0, 1, 0)
    capture.SOPClassUID = capture.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    capture.ImageType = ["DERIVED", "SECONDARY", "3D_RENDER"]
    other = synth.load_instance(0, 0, 2, 0, modality="CR")
    files = slices(step=3)
    beside = [synth.to_bytes(capture), synth.to_bytes(other)]
    report, written = leave(tmp_path, [*files, *beside], more='secondary_capture = "allow"\n')
    assert (len(written), report.codes["PIXELS_FACE_REFUSED"]) == (len(files), 2)
    report, written = leave(tmp_path / "alone", beside, more='secondary_capture = "allow"\n')
    assert "PIXELS_FACE_REFUSED" not in report.codes


def test_a_face_written_before_does_not_stay(tmp_path: Path) -> None:
    """What a run without a look had written is cut by the next one; what is judged no more leaves DEST as a whole."""
    files = slices(step=3)
    _, before = leave(tmp_path, files, "allow")
    assert not any(b"113102" in one for one in before)
    report, after = leave(tmp_path, [])  # the sources lie there, no newer than what was written
    assert (len(after), report.unchanged_instances) == (len(files), 0)
    assert all(b"113102" in one for one in after)
    (tmp_path / "source" / "20.dcm").unlink()
    report, left = leave(tmp_path, [])
    assert (left, report.refused_studies, report.codes["PIXELS_FACE_UNSURE"]) == ([], 1, 1)


@pytest.mark.parametrize(("policy", "code"), [("hold", "UNSURE"), ("refuse", "REFUSED")])
def test_other_policies_let_no_head_leave(tmp_path: Path, policy: str, code: str) -> None:
    """Held or refused: nothing of it is written, each file is counted, and the finding says why."""
    files = slices(step=3)
    report, written = leave(tmp_path, files, policy)
    assert (written, report.refused_instances) == ([], len(files))
    assert f"PIXELS_FACE_{code}" in report.codes


def test_an_mr_head_leaves_cut_and_a_limb_stays(tmp_path: Path) -> None:
    """MR under deface: a head without its face, a scout of it not at all, nor what might be a head."""
    head = from_ct().thick(3)
    scout = magnetic(head.thick(9), 1)
    report, written = leave(tmp_path / "head", [*magnetic(head), *scout])
    assert (len(written), report.refused_instances) == (len(head.values), len(scout))
    assert all(b"113102" in one for one in written)
    report, written = leave(tmp_path / "limb", magnetic(body(150, 140, 100)))
    assert (written, report.codes) == ([], {"PIXELS_FACE_UNSURE": 1})


def test_a_head_that_only_its_header_tells_keeps_the_study_back(tmp_path: Path) -> None:
    """A localizer of a head, which is no volume, and a picture beside it: both stay, for nobody can tell."""
    ds = synth.load_instance(0, 0, 0, 0)
    ds.BodyPartExamined = "HEAD"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    other = synth.load_instance(0, 0, 1, 0, modality="CR")
    for policy in ("deface", "hold"):
        report, written = leave(tmp_path / policy, [synth.to_bytes(ds), synth.to_bytes(other)], policy)
        assert written == []
        assert "PIXELS_FACE_UNSURE" in report.codes
    report, written = leave(tmp_path / "refuse", [synth.to_bytes(ds), synth.to_bytes(other)], "refuse")
    assert (len(written), report.codes["PIXELS_FACE_REFUSED"]) == (1, 1)


def test_inspect_finds_the_face_of_a_volume(tmp_path: Path) -> None:
    """With --pixels each series is judged, in whatever order its files lie: a face, none, or nobody can tell."""
    named = {"face": slices(step=3), "limb": magnetic(body(150, 140, 100), 1)}
    for name, files in named.items():
        (tmp_path / name).mkdir()
        for number, data in enumerate(files):
            (tmp_path / name / f"{number}.dcm").write_bytes(data)
    _, cut = leave(tmp_path / "hospital", named["face"])
    (tmp_path / "cut").mkdir()
    for number, data in enumerate(cut):
        (tmp_path / "cut" / f"{number}.dcm").write_bytes(data)
    count = sum(len(list((tmp_path / name).iterdir())) for name in ("face", "limb", "cut"))
    told = curate_json(
        *("inspect", *(tmp_path / name for name in ("face", "limb", "cut")), "--pixels"),
        *("--temporary", tmp_path / "cache"),
        code=1,
    )
    assert (told["files"], told["instances"], told["volumes_with_warnings"]) == (count, count, 2)
    volumes = {
        (one["place"].split(":")[0], finding["rule"])
        for one in told["verdicts"]
        for finding in one["findings"]
        if one["kind"] == "series"
    }
    assert volumes == {("1", "PIXELS_FACE_FOUND"), ("2", "PIXELS_FACE_UNSURE")}
