"""verify-copy knows every form in which a copy may lie on a researcher's disk, and gives no false all-clear."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from curate.loading.fetch import fetch
from curate.loading.load import load
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import release
from curate.steps.verify_copy import delete_revoked, verify_copy
from curate.steps.withdraw import withdraw
from tests import synth
from tests.hub.server import HubServer
from tests.steps.archives import curate_json, donation, make_archive

Made = Callable[[Path, Path], None]


@pytest.fixture(scope="module")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder hub as it was with three studies, and as it is after one was withdrawn."""
    root = make_archive(tmp_path_factory.mktemp("copies") / "archive")
    hub = root.parent / "archive-hub"
    source, table = donation(root.parent / "donated", studies=3, instances=2)
    intake(root, [source], table, deidentify=True, workers=1)
    publish(root, release(root).version)
    shutil.copytree(hub, root.parent / "before")
    withdraw(root, synth.uid(1, 0))
    publish(root, release(root).version)
    return root.parent / "before", hub


def _images(before: Path, cache: Path) -> datasets.Dataset:
    return load(before, "images", cache_dir=str(cache))


def _arrow_cache(before: Path, mine: Path) -> None:
    _images(before, mine)


def _save_to_disk(before: Path, mine: Path) -> None:
    _images(before, mine.parent / "cache").save_to_disk(str(mine / "saved"))


def _to_parquet(before: Path, mine: Path) -> None:
    _images(before, mine.parent / "cache").rename_column("dicom", "x").to_parquet(str(mine / "all.parquet"))


def _only_bytes(before: Path, mine: Path) -> None:
    cells = [row["bytes"] for row in _images(before, mine.parent / "cache").data.column("dicom").to_pylist()]
    feather.write_feather(pa.table({"y": pa.array(cells, pa.large_binary())}), str(mine / "bytes.feather"))


def _fetched(before: Path, mine: Path) -> None:
    fetch(before, mine)
    shutil.rmtree(mine / "manifest")


def _webdataset(before: Path, mine: Path) -> None:
    fetch(before, mine.parent / "fetched")
    for mode in ("w", "w:gz"):
        with tarfile.open(mine / f"shard{mode[1:].strip(':')}.tar", mode) as tar:
            for number, path in enumerate(sorted((mine.parent / "fetched").rglob("*.dcm"))):
                tar.add(path, f"{number:06d}.dcm")


def _zipped(before: Path, mine: Path) -> None:
    _webdataset(before, mine)
    for path in list(mine.iterdir()):
        with zipfile.ZipFile(mine / f"{path.name}.zip", "w", zipfile.ZIP_DEFLATED) as out:
            out.write(path, "inside/data.tar")
        path.unlink()


def _rows_of_tables(before: Path, mine: Path) -> None:
    load(before, "instances", cache_dir=str(mine))


FORMS: tuple[Made, ...] = (
    *(_arrow_cache, _save_to_disk, _to_parquet, _only_bytes, _fetched, _webdataset, _zipped, _rows_of_tables),
)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__.strip("_"))
def test_a_withdrawn_study_is_found_in_every_form(hubs: tuple[Path, Path], tmp_path: Path, form: Made) -> None:
    """Whatever `datasets`, this tool or a script left of a withdrawn study is revoked, and the purge deletes it."""
    before, now = hubs
    (tmp_path / "mine").mkdir()
    form(before, tmp_path / "mine")
    report = verify_copy(tmp_path / "mine", str(now))
    assert report.revoked
    delete_revoked(tmp_path / "mine", report)
    again = verify_copy(tmp_path / "mine", str(now))
    assert (again.revoked, again.altered, again.unknown, again.unread) == ((), (), (), ())


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__.strip("_"))
def test_a_sound_copy_is_cleared_in_every_form(hubs: tuple[Path, Path], tmp_path: Path, form: Made) -> None:
    """Nothing of it is unknown."""
    (tmp_path / "mine").mkdir()
    form(hubs[1], tmp_path / "mine")
    report = verify_copy(tmp_path / "mine", str(hubs[1]))
    assert (report.revoked, report.altered, report.unknown, report.unread) == ((), (), (), ())
    assert report.current or form is _rows_of_tables


def test_previews_of_a_withdrawn_study_are_not_cleared(hubs: tuple[Path, Path], tmp_path: Path) -> None:
    """Their pixels have no digest in any release; the study that they name is in none."""
    load(hubs[0], "previews", cache_dir=str(tmp_path / "mine"))
    report = curate_json("verify-copy", tmp_path / "mine", "--release", hubs[1], code=1)
    assert len(report["unknown"]) == 1


@pytest.mark.filterwarnings("ignore::curate.loading.trusted.TrustWarning")
def test_the_hub_clients_cache_loses_the_blob_too(tmp_path: Path, hub: HubServer) -> None:
    """A snapshot's link and the blob that it leads to are both revoked, and both go."""
    from huggingface_hub import snapshot_download

    root = make_archive(tmp_path / "archive", hub="hf://org/held")
    source, table = donation(tmp_path / "donated", studies=2, instances=1)
    intake(root, [source], table, deidentify=True, workers=1)
    publish(root, release(root).version)
    cache, there = tmp_path / "cache", {"repo_type": "dataset", "endpoint": os.environ["HF_ENDPOINT"]}
    snapshot = Path(snapshot_download("org/held", revision="v1.0.0", cache_dir=cache, **there))
    withdraw(root, synth.uid(1, 0))
    publish(root, release(root).version)
    report = verify_copy(snapshot, "org/held")  # the links alone are named; the blobs lie outside
    packs = [path for path in report.revoked if path.startswith("packs/")]
    assert packs
    blobs = [(snapshot / path).resolve() for path in packs]
    delete_revoked(snapshot, report)
    assert not [path for path in blobs if path.exists()]
    report = verify_copy(cache, "org/held")
    assert not report.revoked


@pytest.mark.parametrize(
    "name", ["scan.nii.gz", "x.npy", "x.npz", "x.png", "x.pt", "bad.zip", "bad.parquet", "numbers.parquet", "long.txt"]
)
def test_what_cannot_be_looked_into_is_not_cleared(hubs: tuple[Path, Path], tmp_path: Path, name: str) -> None:
    """A file that may hold images in another form is named, and the exit code is 1."""
    path = tmp_path / "mine" / name
    path.parent.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    if name == "x.npz":
        np.savez(path, noise)
    elif name == "numbers.parquet":
        pq.write_table(pa.table({"pixels": [noise.tolist()]}), path)
    elif name == "long.txt":
        path.write_text("QUJD" * 400_000)
    else:
        heads = {"bad.zip": b"PK\x03\x04", "bad.parquet": b"PAR1", "scan.nii.gz": b"\x1f\x8b\x08", "x.png": b"\x89PNG"}
        path.write_bytes(heads.get(name, b"\x93NUMPY") + os.urandom(4000))
    report = curate_json("verify-copy", tmp_path / "mine", "--release", hubs[1], code=1)
    assert (report["unread"], report["other"]) == ([name], 0)


def test_notes_and_programs_are_other_files(hubs: tuple[Path, Path], tmp_path: Path) -> None:
    """Text in any language, an empty file, and a program hold no images."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.md").write_text("Això són notes, en català.\n" * 50_000)
    (mine / "empty.lock").touch()
    (mine / "tool").write_bytes(b"\x7fELF" + os.urandom(500))
    report = verify_copy(mine, str(hubs[1]))
    assert (report.other, report.unread) == (3, ())
