"""A small release folder in the layout of a real one, made without an archive."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CONFIGS = ("studies", "instances", "images", "previews")


def make_release(
    folder: Path,
    version: str = "1.0.0",
    studies: Sequence[int] = (1, 2, 3),
    *,
    size: int = 3000,
    note: str = "",
) -> Path:
    """A release of the given studies; a study's pack has the same bytes in every version."""
    folder.mkdir(parents=True)
    packs = {study: _pack(folder, study, size) for study in studies}
    ids = [_uid(study) for study in studies]
    versions = [version] * len(ids)
    _table(
        folder / "manifest/studies.parquet",
        study_id=ids,
        region=["chest"] * len(ids),
        release_version=versions,
    )
    _table(
        folder / "manifest/instances.parquet",
        study_id=ids,
        pack=list(packs.values()),
        release_version=versions,
    )
    gone = pa.table({"sha256": pa.array([], pa.binary(32)), "release_version": pa.array([], pa.string())})
    pq.write_table(gone, folder / "manifest/revocations.parquet")
    _previews(folder / "previews/previews.parquet", ids)
    _text(folder / "README.md", _card(version, note))
    _text(folder / "LICENSES/CC0-1.0.txt", "No rights reserved.\n")
    _text(folder / "attestations/checkpoint.txt", f"checkpoint of {version}\n")
    return seal(folder, version)


def seal(folder: Path, version: str) -> Path:
    """Write `release.json` over what the folder holds."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    listed = [
        {"path": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in ((name, (folder / name).read_bytes()) for name in names)
        if not name.startswith("attestations/") and name != "release.json"
    ]
    _text(folder / "release.json", json.dumps({"version": version, "files": listed}, indent=1))
    return folder


def tree_of(folder: Path) -> dict[str, str]:
    """SHA-256 of each file by path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def pack_of(folder: Path, study: int) -> str:
    """The pack's path of a study."""
    table = pq.read_table(folder / "manifest/instances.parquet")
    return str(dict(zip(table["study_id"].to_pylist(), table["pack"].to_pylist(), strict=True))[_uid(study)])


def _uid(study: int) -> str:
    return f"2.25.{study}"


def _pack(folder: Path, study: int, size: int) -> str:
    row = {"bytes": hashlib.sha256(str(study).encode()).digest() * (size // 32), "path": f"{study}.dcm"}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"study_id": [_uid(study)], "SOPInstanceUID": [f"2.25.{study}.1"], "dicom": pa.array([row], kind)})
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="none", use_dictionary=False)
    digest = hashlib.sha256(sink.getvalue()).hexdigest()
    path = folder / "packs" / digest[:2] / f"{digest}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sink.getvalue())
    return path.relative_to(folder).as_posix()


def _table(path: Path, **columns: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}), path)


def _previews(path: Path, ids: Sequence[str]) -> None:
    pictures = []
    for number, _ in enumerate(ids):
        sink = io.BytesIO()
        Image.new("L", (4, 4), number).save(sink, "PNG")
        pictures.append({"bytes": sink.getvalue(), "path": f"{number}.png"})
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"study_id": list(ids), "preview": pa.array(pictures, kind)}), path)


def _card(version: str, note: str) -> str:
    files = {
        "studies": "manifest/studies.parquet",
        "instances": "manifest/instances.parquet",
        "images": "packs/**/*.parquet",
        "previews": "previews/*.parquet",
    }
    configs = "".join(
        f"- config_name: {name}\n  version: {version}\n"
        + ("  default: true\n" if name == "studies" else "")
        + f"  data_files:\n  - split: train\n    path: {files[name]}\n"
        for name in CONFIGS
    )
    return f"---\nlicense: cc0-1.0\nconfigs:\n{configs}---\n# A release for tests\n\n{note}\n"


def _text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
