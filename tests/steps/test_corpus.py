"""The main job on all of the shared corpus: every file accounted for, every pixel the original's."""

from __future__ import annotations

import csv
import io
import json
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pydicom
import pytest

from curate.core.findings import Severity, rules
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from tests.corpus import corpus, study_uids, write_table
from tests.hub.server import HubServer
from tests.steps.archives import curate, curate_json, files_of, make_archive, sealed_files_of

FILES = 956


@dataclass(frozen=True)
class Taken:
    """The corpus in an archive: the intake's report, and the release that was cut of it."""

    sources: list[Path]
    archive: Path
    report: dict[str, object]
    release: Path

    @property
    def keys(self) -> Keys:
        """The archive's keys, for following an instance to its new UID."""
        return Keys.from_secret(bytes.fromhex((self.archive / "secret.key").read_text().strip()))


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taken]:
    """The corpus taken in by the real command, and released."""
    root = corpus()
    folder = tmp_path_factory.mktemp("corpus")
    sources = sorted(p for p in root.iterdir() if p.is_dir() and p.name != "LICENSES")
    table = write_table(folder / "studies.csv", study_uids(root))
    archive = make_archive(folder / "archive", hub=(folder / "hub").as_uri())
    report = curate_json("intake", archive, *sources, "--studies", table, "--deidentify")
    shutil.copytree(archive, folder / "copy")
    cut = curate_json("release", archive)
    yield Taken(sources, archive, report, Path(cut["path"]))
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_every_file_is_accounted_for(taken: Taken) -> None:
    """The numbers add up to the corpus' 956 files, and each quarantined one has a known rule code."""
    report = taken.report
    counted = [report[k] for k in ("admitted_instances", "copies", "quarantined_instances", "not_instances")]
    assert report["files"] == FILES == sum(counted)  # type: ignore[arg-type]
    assert report["admitted_instances"] >= 800  # type: ignore[operator]
    waiting = curate_json("quarantine", taken.archive)
    assert sum(entry["files"] for entry in waiting) == report["quarantined_instances"]
    assert all(entry["codes"] and set(entry["codes"]) <= rules().keys() for entry in waiting)
    assert len(report["not_instances_named"]) == report["not_instances"]  # type: ignore[arg-type]


def test_the_release_passes_its_checks(taken: Taken) -> None:
    """`curate check` finds no error in the corpus' release."""
    checked = curate_json("check", taken.release)
    assert checked["passed"], checked["codes"]


def test_two_copies_of_an_archive_give_the_same_bytes(taken: Taken) -> None:
    """A release is a function of its ledger: a copy of the archive cuts the same bytes."""
    cut = curate_json("release", taken.archive.parent / "copy")
    assert sealed_files_of(Path(cut["path"])) == sealed_files_of(taken.release)


def test_the_same_intake_again_changes_nothing(taken: Taken) -> None:
    """Taking in the same files twice admits the same instances and leaves nothing new to release."""
    table = taken.archive.parent / "studies.csv"
    again = curate_json("intake", taken.archive, *taken.sources, "--studies", table, "--deidentify")
    for name in ("files", "admitted_instances", "quarantined_instances", "not_instances"):
        assert again[name] == taken.report[name], name
    assert _errors(again) == _errors(taken.report)
    assert again["admitted_studies"] == 0
    assert curate_json("release", taken.archive)["new"] is False


def _errors(report: dict[str, Any]) -> dict[str, int]:
    return {code: n for code, n in report["codes"].items() if rules()[code].severity is Severity.ERROR}


def _published(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for path in sorted(folder.glob("packs/*/*.parquet")):
        for row in pq.read_table(path).to_pylist():
            found[row["SOPInstanceUID"]] = row["dicom"]["bytes"]
    return found


def test_every_published_instance_decodes_to_the_original_pixels(taken: Taken) -> None:
    """Instance by instance, the released pixels are those of the file that was donated."""
    released, compared, undecodable = _published(taken.release), set(), set()
    keys = taken.keys
    for source in taken.sources:
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            original = _read(path.read_bytes())
            uid = original.get("SOPInstanceUID") if original is not None else None
            data = released.get(pseudonyms.new_uid(keys, str(uid))) if uid else None
            if original is None or data is None or "PixelData" not in original:
                continue
            clean = _read(data)
            assert clean is not None
            try:
                expected = _pixels(original)
            except Exception:  # no decoder for it here: then its coded bytes must be the same
                undecodable.add(data)
                continue
            np.testing.assert_array_equal(_pixels(clean), expected, err_msg=path.name)
            compared.add(data)
    images = {data for data in released.values() if "PixelData" in (_read(data) or ())}
    assert compared | undecodable == images
    assert len(undecodable - compared) <= 5, len(undecodable)


def _read(data: bytes) -> pydicom.Dataset | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return pydicom.dcmread(io.BytesIO(data), force=True)
        except Exception:  # broken on purpose
            return None


def _pixels(dataset: pydicom.Dataset) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dataset.pixel_array


def test_published_to_a_folder_it_loads_by_tag(taken: Taken) -> None:
    """The folder hub's `DIR/v1.0.0` loads with `datasets` in every config, streaming and not."""
    curate("publish", taken.archive, "1.0.0")
    _load_all(str(taken.archive.parent / "hub" / "v1.0.0"), None, taken)


def test_published_to_a_hub_it_loads_by_tag(taken: Taken, hub: HubServer, tmp_path: Path) -> None:
    """A hub that speaks the Hub's protocol serves every config by tag to the real clients."""
    environment = hub.environment(tmp_path / "home")
    curate("publish", taken.archive, "1.0.0", "--to", "hf://org/corpus", **environment)
    assert list(hub.repo("org/corpus").tags) == ["v1.0.0"]
    _load_all("org/corpus", "v1.0.0", taken, **environment)
    curate("check", "hf://org/corpus", "--version", "1.0.0", **environment)


_LOAD = """
import io, json, sys, warnings
warnings.simplefilter("ignore")
from datasets import disable_progress_bars, load_dataset
disable_progress_bars()
where, revision = json.loads(sys.argv[1])
found = {}
for config in ("studies", "series", "instances", "references", "images", "previews"):
    for streaming in (False, True):
        rows = load_dataset(where, config, revision=revision, split="train", streaming=streaming)
        held = [row for row in rows]
        found[f"{config} {streaming}"] = len(held)
        if config == "previews":
            found["preview"] = held[0]["image"].size
        if config == "images":
            import pydicom
            read = (pydicom.dcmread(io.BytesIO(row["dicom"]["bytes"])) for row in held)
            found["pixels"] = next(ds.pixel_array.ndim for ds in read if "PixelData" in ds)
print("FOUND", json.dumps(found))
"""


def _load_all(where: str, revision: str | None, taken: Taken, **environment: str) -> None:
    import os
    import subprocess
    import sys

    home = str(taken.archive.parent / "hf-home")
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, json.dumps([where, revision])],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": home, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("FOUND "))
    found = json.loads(line.removeprefix("FOUND "))
    counts = json.loads((taken.release / "release.json").read_text())["counts"]
    for config in ("studies", "series", "instances", "references", "images", "previews"):
        assert found[f"{config} False"] == found[f"{config} True"] == counts[config], config
    assert found["pixels"] >= 2
    assert max(found["preview"]) <= 192


def test_no_original_identifier_is_in_the_release(taken: Taken) -> None:
    """No UID, patient id or name that the corpus' own manifest lists stands in any released byte."""
    with (corpus() / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    words = {row[k] for row in rows for k in ("StudyInstanceUID", "SeriesInstanceUID")} - {""}
    everything = b"\n".join(files_of(taken.release).values())
    assert [word for word in sorted(words) if word.encode() in everything] == []
