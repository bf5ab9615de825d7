"""One file that ends its decoder, beside good studies: one finding of its instance, and every step goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="the extra `pixels` is not installed")

from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from curate import decoding
from curate.dicom.io.reader import parse
from curate.donation import head_judgement
from curate.policies import Policy
from tests import synth
from tests.corpus import write_table
from tests.steps.archives import curate, donation, make_archive

GOOD, SIDE = 3, 512
DIED = "PIXELS_DECODER_DIED"
SHORT = {"CURATE_DECODER_SECONDS": "0.02"}
"""A limit that an RLE frame of 512 x 512 in short runs does not keep, so that its decoder's process ends."""

CASE = Path(__file__).parents[3] / "shared" / "cases" / "decoder-dies" / "bad.dcm"


def deadly() -> bytes:
    """A sound instance that takes longer than `SHORT` allows."""
    ds = synth.load_instance(50, 0, 0, 0, rows=SIDE, columns=SIDE)
    noise = np.random.default_rng(1).integers(0, 4096, (SIDE, SIDE // 2)).astype("<u2")
    options = {
        "rows": SIDE,
        "columns": SIDE,
        "samples_per_pixel": 1,
        "bits_allocated": 16,
        "bits_stored": int(ds.BitsStored),
        "pixel_representation": int(ds.PixelRepresentation),
        "photometric_interpretation": "MONOCHROME2",
    }
    frame = np.repeat(noise, 2, axis=1).astype("<i2" if ds.PixelRepresentation else "<u2")
    ds.PixelData = encapsulate([decoding.encoded(frame, RLELossless, options)])
    ds["PixelData"].VR = "OB"
    ds.file_meta.TransferSyntaxUID = RLELossless
    return synth.to_bytes(ds)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Good studies and the deadly one, and the table of them."""
    folder, _ = donation(tmp_path_factory.mktemp("dies") / "in", studies=GOOD, instances=2)
    (folder / "deadly").mkdir()
    (folder / "deadly" / "0.dcm").write_bytes(deadly())
    uids = [*(synth.uid(study, 0) for study in range(GOOD)), synth.uid(50, 0)]
    return folder, write_table(folder.parent / "table.csv", uids)


def archive(root: Path, profile: str) -> Path:
    """An archive whose policy is `profile`."""
    made = make_archive(root)
    path = made / "archive.toml"
    text = path.read_text("utf-8")
    at = text.index("\n", text.index("[profile]")) + 1
    path.write_text(text[:at] + profile + text[at:], "utf-8")
    return made


def run(*arguments: object, code: int = 0, **environment: str) -> Any:
    return json.loads(curate(*arguments, "--json", code=code, **environment).stdout)


@pytest.mark.parametrize(("profile", "workers"), [('burned_in = "mask"\n', 2), ('burned_in = "allow"\n', 1)])
def test_intake_holds_the_one_study(tmp_path: Path, given: tuple[Path, Path], workers: int, profile: str) -> None:
    """Whether text is looked for, or a preview alone is drawn: the good studies are in, one waits, and exit is 0."""
    folder, table = given
    root = archive(tmp_path / "archive", profile)
    report = run("intake", root, folder, "--studies", table, "--deidentify", "--workers", workers, **SHORT)
    assert (report["admitted_studies"], report["quarantined_studies"]) == (GOOD, 1)
    assert report["codes"][DIED] == 1
    (finding,) = [finding for finding in report["findings"] if finding["rule"] == DIED]
    assert finding["place"] in ("1:1", "1:7")  # sources are read in the order of their names
    (entry,) = run("quarantine", root)
    assert DIED in entry["codes"]


def test_a_volume_whose_decoder_died_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study waits, and the reason is the decoder's death, not the head that nobody could see."""
    slow = parse(deadly())
    monkeypatch.setenv("CURATE_DECODER_SECONDS", SHORT["CURATE_DECODER_SECONDS"])
    plan = head_judgement.plan([slow], Policy(head="hold"))
    assert (plan.held, plan.failed) == (True, DIED)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_hospital_writes_all_others(tmp_path: Path, given: tuple[Path, Path], workers: int) -> None:
    """The instance stays where it was."""
    folder, _ = given
    report = run("deidentify", folder, tmp_path / "out", "--workers", workers, **SHORT)
    assert (report["written_instances"], report["refused_instances"]) == (2 * GOOD, 1)
    assert report["codes"][DIED] == 1


def test_inspect_goes_on(given: tuple[Path, Path], tmp_path: Path) -> None:
    """`inspect --pixels` names the one file."""
    folder, _ = given
    how = ("--temporary", tmp_path / "unpacked", "--workers", 1)
    done = curate("inspect", folder, "--pixels", *how, code=1, **SHORT)
    assert done.stdout.count(DIED) >= 1


def test_check_and_review_go_on(tmp_path: Path, given: tuple[Path, Path]) -> None:
    """`check --pixels` has one finding, `review` says which series it could not draw; both end well."""
    folder, table = given
    root = archive(tmp_path / "archive", 'burned_in = "allow"\n')
    run("intake", root, folder, "--studies", table, "--deidentify", "--workers", 1)
    curate("release", root)
    release = root / "releases" / "1.0.0"
    checked = run("check", release, "--pixels", "--workers", 2, **SHORT)
    assert checked["codes"][DIED] >= 1
    assert checked["passed"]
    out = tmp_path / "site"
    site = run("review", release, "--out", out, "--workers", 1, **SHORT)
    assert [finding["rule"] for finding in site["findings"]] == [DIED]
    assert sum(DIED in page.read_text("utf-8") for page in (out / "series").glob("*.html")) == 1


@pytest.mark.skipif(not CASE.exists(), reason="the shared cases are not here")
def test_the_crafted_file_costs_one_finding(tmp_path: Path) -> None:
    """A code stream of three components where the data set states one: its instance waits, the others are in."""
    import pydicom

    folder, _ = donation(tmp_path / "in", studies=GOOD, instances=2)
    (folder / "bad.dcm").write_bytes(CASE.read_bytes())
    uids = [*(synth.uid(study, 0) for study in range(GOOD)), str(pydicom.dcmread(CASE).StudyInstanceUID)]
    table = write_table(tmp_path / "table.csv", uids)
    root = archive(tmp_path / "archive", 'burned_in = "mask"\n')
    report = run("intake", root, folder, "--studies", table, "--deidentify", "--workers", 2)
    assert (report["admitted_studies"], report["quarantined_instances"]) == (GOOD, 1)
