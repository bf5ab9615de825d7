"""What reading a published release costs: bytes, requests and seconds, beside loose files and tar shards.

Run: python -m benchmarks.loading [--studies 6] [--slices 100] [--latency 0.03]

A release is cut by the main job from generated CT (512 x 512), published to the HTTP hub of the tests, and
read by the real clients, each in a process of its own with an empty cache; every request waits `latency`.
Beside it the same instances lie on the same hub as loose files and as WebDataset tar shards of 32 MB.
Seconds count from the call, imports done; bytes are the bodies that the hub sent.
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks import corpus
from curate import contract
from curate.core.records import ArchiveInfo
from curate.hub import open_target
from curate.hub.protocol import RELEASE_FILE
from curate.steps.init import init
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import release
from tests.hub.fixtures import pointed_at
from tests.hub.server import HubServer
from tests.hub.small_release import seal

TAR_BYTES = 32 << 20
PRELUDE = """
import io, itertools, json, sys, time, warnings
warnings.simplefilter("ignore")
import datasets, pydicom
from datasets import load_dataset
from huggingface_hub import HfApi, HfFileSystem, hf_hub_download
from curate.loading.fetch import fetch
from curate.loading.images import read_instance
from curate.loading.load import load
datasets.disable_progress_bars(); datasets.logging.set_verbosity(50)
def first(rows, count, key="dicom"):
    for row in itertools.islice(rows, count):
        cell = row[key]
        read_instance(cell["bytes"] if isinstance(cell, dict) else cell).pixel_array
def loose(count=None):
    return sorted(p for p in HfApi().list_repo_files("org/loose", repo_type="dataset") if p.endswith(".dcm"))[:count]
def tars():
    shards = {"train": "hf://datasets/org/tar/*.tar"}
    return load_dataset("webdataset", data_files=shards, split="train", streaming=True)
def plain(name, config, **how):
    return load_dataset(name, config, revision="v1.0.0", split="train", **how)
def one(path):
    return {"dicom": open(hf_hub_download("org/loose", path, repo_type="dataset"), "rb").read()}
start = time.perf_counter()
"""
WAYS: dict[str, dict[str, str]] = {
    "metadata of all studies": {
        "curate.load": "rows = load('org/packs', 'studies', version='1.0.0').to_pandas()",
        "load_dataset": "rows = plain('org/packs', 'studies').to_pandas()",
        "loose files": "\n".join(
            (
                "fs = HfFileSystem(block_size=1 << 14)",
                "for p in loose():",
                "    with fs.open('datasets/org/loose/' + p, block_size=1 << 14) as f:",
                "        pydicom.dcmread(f, stop_before_pixels=True)",
            )
        ),
        "tar shards": "for row in tars(): pydicom.dcmread(io.BytesIO(row['dcm']), stop_before_pixels=True)",
    },
    "first image, decoded": {
        "curate.load": "first(load('org/packs', 'images', version='1.0.0', streaming=True), 1)",
        "load_dataset": "first(plain('org/packs', 'images', streaming=True), 1)",
        "loose files": "first(map(one, loose(1)), 1)",
        "tar shards": "first(tars(), 1, 'dcm')",
    },
    "first image with labels": {
        "curate.load": "first(load('org/packs', 'images', version='1.0.0', streaming=True, labels=True), 1)",
    },
    "first 10 images, decoded": {
        "curate.load": "first(load('org/packs', 'images', version='1.0.0', streaming=True), 10)",
        "load_dataset": "first(plain('org/packs', 'images', streaming=True), 10)",
        "loose files": "first(map(one, loose(10)), 10)",
        "tar shards": "first(tars(), 10, 'dcm')",
    },
    "one chosen series, as files": {
        "curate fetch": "fetch('org/packs', to, version='1.0.0', where=f\"SeriesInstanceUID = '{series}'\")",
        "loose files": "[one(p) for p in loose() if f'/{series}/' in p]",
        "tar shards": "sum(series in row['__key__'] for row in tars())",
    },
    "one slice of it": {
        "curate fetch": (
            "fetch('org/packs', to, version='1.0.0', where=f\"SeriesInstanceUID = '{series}' AND slice_index = 5\")"
        ),
        "loose files": ("one(next(p for p in loose() if f'/{series}/' in p))"),
    },
    "metadata of 1,000 studies": {
        "curate.load": "rows = load('org/thousand', 'studies', version='1.0.0').to_pandas(); assert len(rows) == 1000",
        "load_dataset": "rows = plain('org/thousand', 'studies').to_pandas()",
    },
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=6)
    parser.add_argument("--slices", type=int, default=100)
    parser.add_argument("--latency", type=float, default=0.03)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="curate-bench-") as temporary, HubServer() as hub:
        root = Path(temporary)
        folder = cut(root, asked.studies, asked.slices)
        shutil.rmtree(root / "source")
        with pointed_at(hub, root / "home"):
            open_target("hf://org/packs").publish(folder)
            open_target("hf://org/thousand").publish(thousand(folder, root / "thousand"))
            plain(root, folder)
        size = sum(path.stat().st_size for path in (folder / "packs").rglob("*.parquet"))
        packs = len(list((folder / "packs").rglob("*.parquet")))
        told = f"{asked.latency * 1e3:.0f} ms a request"
        print(f"{asked.studies * asked.slices} instances, {size / 1e6:.0f} MB in {packs} packs, {told}\n")
        hub.latency = asked.latency
        show(hub, root, folder)


def show(hub: HubServer, root: Path, folder: Path) -> None:
    """Run every way of every task, and print a line each."""
    series = pq.read_table(folder / "manifest/series.parquet")["SeriesInstanceUID"].to_pylist()[1]
    print("| task | way | MB read | requests | seconds |\n| --- | --- | ---: | ---: | ---: |")
    for task, ways in WAYS.items():
        for way, text in ways.items():
            home = Path(tempfile.mkdtemp(dir=root))
            hub.forget()
            seconds = run(hub, home, text, series)
            read, asked = hub.bytes_of(""), sum(hub.calls().values())
            print(f"| {task} | {way} | {read / 1e6:.2f} | {asked} | {seconds:.2f} |", flush=True)
            shutil.rmtree(home)


def run(hub: HubServer, home: Path, text: str, series: str) -> float:
    """Seconds of a text in a process with an empty cache."""
    given = f"series, to = {series!r}, {str(home / 'to')!r}\n"
    code = f"{given}{PRELUDE}{text}\nprint('SECONDS', time.perf_counter() - start)"
    environment = {**os.environ, **hub.environment(home), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if "SECONDS" not in done.stdout:
        raise SystemExit(done.stderr[-3000:])
    return float(done.stdout.rpartition("SECONDS")[2])


def cut(root: Path, studies: int, slices: int) -> Path:
    """A release of generated CT studies, by the main job."""
    archive = root / "archive"
    info = ArchiveInfo(title="Benchmark", publisher="curate", license="CC0-1.0", population="test")
    init(archive, info, hub_target=(root / "hub").as_uri(), approvals=0)
    (root / "source").mkdir()
    data, table = corpus.make(root / "source", studies, slices, 512)
    report = intake(archive, [data], table, deidentify=True)
    assert report.admitted_instances == studies * slices, report.codes
    publish(archive, release(archive).version)
    return root / "hub" / "v1.0.0"


def thousand(folder: Path, target: Path) -> Path:
    """The release with a table of 1,000 studies, whose values vary as those of a real archive."""
    shutil.copytree(folder, target, ignore=shutil.ignore_patterns("packs", "previews"))
    for path in target.rglob("*"):
        path.chmod(0o755)
    draw = random.Random(1)
    first = pq.read_table(folder / "manifest/studies.parquet").to_pylist()[0]
    rows = []
    for _ in range(1000):
        low = draw.randrange(20, 90, 5)
        changed = {
            "study_id": f"2.25.{draw.getrandbits(128)}",
            "donor_id": f"{draw.getrandbits(96):024x}"
            if len(first["donor_id"]) < 30
            else f"2.25.{draw.getrandbits(128)}",
            "fold": draw.randrange(10),
            "sha256": draw.randbytes(32),
            "age_low_years": low,
            "age_high_years": low + 4,
            "sex": draw.choice("FM"),
            "diagnosis_code": draw.choice(["C50", "C34", "I10", "none", "S72", "J18", "M54"]),
            "modalities": draw.choice([["CT"], ["MR"], ["CT", "SEG"], ["DX"]]),
            "series_count": draw.randrange(1, 12),
            "instance_count": draw.randrange(20, 1500),
            "size_bytes": draw.randrange(10**7, 10**9),
        }
        rows.append(first | changed)
    rows.sort(key=lambda row: str(row["study_id"]))
    contract.write_table("studies", target / "manifest/studies.parquet", [contract.to_arrow("studies", rows)])
    (target / RELEASE_FILE).unlink()
    return seal(target, "1.0.0")


def plain(root: Path, folder: Path) -> None:
    """The same instances on the same hub as loose files, and as tar shards."""
    from huggingface_hub import HfApi

    loose, tar = root / "loose", root / "tar"
    tar.mkdir()
    shard, writer, size = 0, None, 0
    for study, series, instance, data in instances(folder):
        path = loose / study / series / f"{instance}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if writer is None or size + len(data) > TAR_BYTES:
            if writer:
                writer.close()
            writer, size, shard = tarfile.open(tar / f"{shard:05d}.tar", "w"), 0, shard + 1  # noqa: SIM115
        member = tarfile.TarInfo(f"{series}/{instance.replace('.', '_')}.dcm")
        member.size = len(data)
        writer.addfile(member, io.BytesIO(data))
        size += len(data)
    if writer:
        writer.close()
    api = HfApi(endpoint=os.environ["HF_ENDPOINT"])
    for name, below in (("org/loose", loose), ("org/tar", tar)):
        (below / ".gitattributes").write_text("*.dcm filter=lfs\n*.tar filter=lfs\n")
        api.create_repo(name, repo_type="dataset")
        api.upload_folder(repo_id=name, folder_path=below, repo_type="dataset")
        shutil.rmtree(below)


def instances(folder: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Study, series, instance and bytes of every row of the packs, in the order of the manifest."""
    rows = pq.read_table(folder / "manifest/instances.parquet").to_pylist()
    for row in rows:
        with (folder / row["pack"]).open("rb") as file:
            file.seek(row["offset_bytes"])
            yield (
                row["study_id"],
                row["SeriesInstanceUID"],
                row["SOPInstanceUID"],
                file.read(row["size_bytes"]),
            )


if __name__ == "__main__":
    main()
