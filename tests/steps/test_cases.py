"""Shared cases give the right result by their own README; the others are held where their subject has its tests."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from curate.core.errors import InputError
from curate.loading.volume import volume
from curate.steps.deidentify import deidentify
from curate.steps.intake import intake
from curate.steps.release import release
from tests.corpus import ROOT, write_table
from tests.steps.archives import make_archive
from tests.steps.images import errors_of, rows_of

CASES = ROOT.parent / "cases"
pytestmark = [
    pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not beside the project"),
    pytest.mark.filterwarnings("ignore::UserWarning"),  # pydicom's, of the odd files it reads
]
ALLOW = '[profile]\nburned_in = "allow"\n'


def _written(source: Path, folder: Path, text: str = ALLOW) -> tuple[dict[str, int], list[pydicom.Dataset]]:
    """The rules that a hospital's run counts, and the instances that it writes, in the order of their numbers."""
    (folder / "profile.toml").write_text(text)
    report = deidentify([source], folder / "out", profile=folder / "profile.toml", workers=1)
    made = [pydicom.dcmread(path) for path in (folder / "out").rglob("*.dcm")]
    return report.codes, sorted(made, key=lambda one: int(one.get("InstanceNumber") or 0))


def _taken_in(source: Path, folder: Path, table: Path | None = None) -> tuple[int, dict[str, int], Path]:
    """The studies that an archive admits of a case, the rules it counts, and the release; that passes its check."""
    if table is None:
        paths = [path for path in source.rglob("*") if path.suffix == ".dcm"]
        uids = sorted({str(pydicom.dcmread(path, stop_before_pixels=True).StudyInstanceUID) for path in paths})
        table = write_table(folder / "studies.csv", uids)
    archive = make_archive(folder / "archive")
    report = intake(archive, [source], table, deidentify=True, workers=1)
    cut = release(archive).path
    assert not errors_of(cut)
    return report.admitted_studies, report.codes, cut


def test_dose_absolute_offsets_prone() -> None:
    """Offsets that begin at the position's third element are z themselves (PS3.3 C.8.8.3.2 b)."""
    found = volume(CASES / "dose-absolute-offsets-prone" / "hfp.dcm")
    z = {round(float(found.array[n].max())): float((found.affine @ (n, 0, 0, 1))[2]) for n in range(3)}
    assert z == pytest.approx({1: 50, 2: 53, 3: 56})


def test_enhanced_ct_regular_volume(tmp_path: Path) -> None:
    """Eight planes of an enhanced CT, 2.5 mm apart, are a regular volume in the manifest."""
    _, _, cut = _taken_in(CASES / "enhanced-ct-regular-volume", tmp_path)
    (row,) = rows_of(cut, "series")
    assert (row["regular_volume"], row["slice_spacing_mm"]) == (True, 2.5)


def test_ge_b_values(tmp_path: Path) -> None:
    """GE's b-values of 1000 with a flag and of 30000 stay."""
    _, made = _written(CASES / "ge-b-values", tmp_path)
    assert sorted(int(one[0x00431039].value[0]) for one in made) == [1000, 30000]


def test_jpeg_jfif_labelled_rgb(tmp_path: Path) -> None:
    """The colours of a JFIF image that is called RGB are those of the original."""
    _, (made,) = _written(CASES / "jpeg-jfif-labelled-rgb", tmp_path)
    assert np.abs(made.pixel_array[150, 100].astype(int) - (200, 30, 30)).max() <= 2


def test_latin1_file_name(tmp_path: Path) -> None:
    """The instance whose name is not UTF-8 is truncated and waits; the other one enters, from a folder and a tar."""
    with tarfile.open(CASES / "latin1-file-name" / "names.tar") as packed:
        packed.extractall(tmp_path / "in", filter="data")
    names = [path.name for path in (tmp_path / "in").rglob("*") if path.is_file()]
    assert any(not name.isascii() for name in names)
    for number, source in enumerate((tmp_path / "in", CASES / "latin1-file-name" / "names.tar")):
        folder = tmp_path / str(number)
        folder.mkdir()
        admitted, codes, _ = _taken_in(source, folder, CASES / "latin1-file-name" / "t.csv")
        assert (admitted, sum(codes.values()) >= 1) == (1, True)
    _, made = _written(tmp_path / "in", tmp_path)
    assert len(made) == 1


@pytest.mark.parametrize("name", ["native", "jpeg"])
def test_number_of_frames_missing(tmp_path: Path, name: str) -> None:
    """Three frames without Number of Frames are refused, not cut to one."""
    (tmp_path / "in").mkdir()
    shutil.copy(CASES / "number-of-frames-missing" / f"{name}.dcm", tmp_path / "in")
    codes, made = _written(tmp_path / "in", tmp_path)
    assert made == []
    assert {"PIXEL_LENGTH", "FRAGMENTS_MALFORMED"} & set(codes)


def test_palette_16_bit(tmp_path: Path) -> None:
    """The three tables stay byte for byte."""
    before = pydicom.dcmread(CASES / "palette-16-bit" / "us_ramp_and_16_colours.dcm")
    _, (made,) = _written(CASES / "palette-16-bit", tmp_path)
    for colour in ("Red", "Green", "Blue"):
        keyword = f"{colour}PaletteColorLookupTableData"
        assert made[keyword].value == before[keyword].value != b""


def test_patient_id_in_one_series_only(tmp_path: Path) -> None:
    """A series without PatientID is of the patient of the same name and birth date."""
    codes, made = _written(CASES / "patient-id-in-one-series-only", tmp_path)
    assert len(made) == 2
    assert len({one.PatientID for one in made}) == 1
    assert "STUDY_SEVERAL_PATIENTS" not in codes


def test_rescale_empty() -> None:
    """An empty Rescale Slope is an error that names the series."""
    paths = sorted((CASES / "rescale-empty").glob("*.dcm"))
    uid = str(pydicom.dcmread(paths[0]).SeriesInstanceUID)
    with pytest.raises(InputError, match=uid):
        volume(paths)


def test_siemens_mosaic() -> None:
    """A mosaic is no slice."""
    with pytest.raises(InputError, match=r"[Mm]osaic"):
        volume(CASES / "siemens-mosaic" / "mosaic.dcm")


def test_study_date_before_acquisition(tmp_path: Path) -> None:
    """A study opened days before its first acquisition is released and passes its check."""
    admitted, _, cut = _taken_in(CASES / "study-date-before-acquisition", tmp_path)
    assert admitted == 1
    assert [row["days_from_first"] for row in rows_of(cut, "studies")] == [0]


def test_table_text_odd(tmp_path: Path) -> None:
    """A zero-width space before the UID, and a day with its midnight, are read."""
    folder = CASES / "table-text-odd"
    admitted, codes, _ = _taken_in(folder, tmp_path, folder / "t.csv")
    assert (admitted, {"STUDY_NOT_IN_TABLE", "DATE_UNREADABLE"} & set(codes)) == (1, set())


def test_zip_deflate64(tmp_path: Path) -> None:
    """A zip of a compression that is not supported is called that, not damaged."""
    codes, made = _written(CASES / "zip-deflate64", tmp_path)
    assert (made, codes) == ([], {"CONTAINER_DEFLATE64": 1})
