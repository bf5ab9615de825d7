"""What a public converter makes of series before and after the rewriting: `python -m tests.dicom.converted`.

The converter is dcm2niix (a development dependency). `converted.json` beside this file says of each field of its
sidecar that does not come out the same why that is, and has the table that the documentation shows; run as a
program this module measures the table anew. The series are those of `../shared/series` and the MR images of
`../shared/corpus`, one folder a series.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from curate.deid.records import StudyContext
from curate.deid.rewrite import rewrite
from curate.dicom.model import MalformedError
from curate.policies import Policy
from tests import corpus
from tests.planter.system import context_of

nibabel = pytest.importorskip("nibabel")

HERE = Path(__file__).resolve().parent
REASONS = HERE / "converted.json"
SERIES = corpus.ROOT.parent / "series"
_POLICY = replace(Policy(), secondary_capture="allow", burned_in="allow", dental_and_fetal="allow")
_AFFINE = 1e-3
_VENDORS = {
    "SIEMENS": "Siemens",
    "GE MED": "GE",
    "PHILIPS": "Philips",
    "UIH": "UIH",
    "CANON": "Canon",
}


def tool() -> str:
    """The converter, or a skip that says so."""
    beside = shutil.which("dcm2niix") or shutil.which(str(Path(sys.executable).with_name("dcm2niix")))
    return beside or str(pytest.importorskip("dcm2niix").bin)


@cache
def folders() -> dict[str, Path]:
    """The folders that hold MR images, by name; none where neither the series nor the corpus are there."""
    found = {}
    for root in (SERIES, corpus.ROOT):
        for folder in sorted({path.parent for path in root.rglob("*") if path.is_file()} if root.is_dir() else ()):
            if vendor_of(folder):
                found[folder.relative_to(root).as_posix()] = folder
    return found


@cache
def vendor_of(folder: Path) -> str:
    """The vendor of a folder's MR images; empty where it has none."""
    for path in files(folder)[:3]:
        try:
            header = pydicom.dcmread(path, specific_tags=["Modality", "Manufacturer"], stop_before_pixels=True)
        except (pydicom.errors.InvalidDicomError, OSError, ValueError):  # other files lie in the folder
            continue
        if header.get("Modality") == "MR":
            name = str(header.get("Manufacturer", "")).upper()
            return next((vendor for key, vendor in _VENDORS.items() if key in name), "other")
    return ""


def files(folder: Path) -> list[Path]:
    """The files of a folder that may be DICOM."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.suffix not in (".md", ".txt", ".csv"))


def convert(folder: Path, out: Path) -> dict[str, Path]:
    """The volumes of a folder, by name."""
    out.mkdir(parents=True, exist_ok=True)
    command = [tool(), "-b", "y", "-ba", "n", "-z", "n", "-f", "s%s", "-o", str(out), str(folder)]
    subprocess.run(command, capture_output=True, check=False, timeout=600)
    return {path.name: path for path in sorted(out.glob("*.nii"))}


def rewritten(folder: Path, admitted: Path, out: Path, policy: Policy = _POLICY) -> None:
    """The files of a folder that are not refused, as they are in `admitted` and as they are released in `out`."""
    admitted.mkdir()
    out.mkdir()
    context: StudyContext | None = None
    for number, path in enumerate(files(folder)):
        data = path.read_bytes()
        try:
            context = context or context_of(data, policy)
            made = rewrite(data, context, policy)
        except MalformedError:  # refused by its code: not what is looked at here
            continue
        (out / f"{number:05}.dcm").write_bytes(b"".join(made.chunks))
        shutil.copy(path, admitted / f"{number:05}.dcm")


@contextmanager
def released(name: str) -> Iterator[tuple[list[Path], dict[str, Path]]]:
    """A folder's files as they are released, and the converter's volumes of these."""
    present()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        rewritten(folders()[name], root / "admitted", root / "released")
        yield sorted((root / "released").iterdir()), convert(root / "released", root / "after")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out otherwise: volumes (by what differs), and the sidecar's fields by name with both values."""

    volumes: int
    differences: tuple[str, ...]
    fields: dict[str, tuple[Any, Any]]


def outcome(folder: Path, policy: Policy = _POLICY) -> Outcome:
    """A folder converted before and after, compared: voxels, affine to 1e-3, b-values, directions, sidecar."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        rewritten(folder, root / "admitted", root / "released", policy)
        before, after = convert(root / "admitted", root / "before"), convert(root / "released", root / "after")
        differences = [f"{len(before)} volumes, now {len(after)}"] if len(before) != len(after) else []
        fields: dict[str, tuple[Any, Any]] = {}
        for old, new in _pairs(before, after):
            differences += [f"{old.name}: {what}" for what in _differences(old, new)]
            fields |= _fields(old, new)
        return Outcome(len(before), tuple(differences), fields)


def _pairs(before: dict[str, Path], after: dict[str, Path]) -> Iterator[tuple[Path, Path]]:
    """Volumes of the same voxels, then those of the same name: several of one number are named by their order."""
    left = dict(after)
    for name, old in before.items():
        order = sorted(left, key=lambda other, name=name: other != name)
        alike = next((other for other in order if not {*_differences(old, left[other])} & {"voxels", "affine"}), name)
        if alike in left:
            yield old, left.pop(alike)


def _differences(before: Path, after: Path) -> Iterator[str]:
    old, new = nibabel.load(before), nibabel.load(after)
    if old.shape != new.shape or not np.array_equal(np.asanyarray(old.dataobj), np.asanyarray(new.dataobj)):
        yield "voxels"
    if np.abs(old.affine - new.affine).max() > _AFFINE:
        yield "affine"
    for suffix in (".bval", ".bvec"):
        first, second = before.with_suffix(suffix), after.with_suffix(suffix)
        if first.exists() and not (second.exists() and _same_numbers(np.loadtxt(first), np.loadtxt(second))):
            yield suffix


def _same_numbers(old: np.ndarray, new: np.ndarray) -> bool:
    return old.shape == new.shape and bool(np.allclose(old, new, atol=1e-4))


def _fields(before: Path, after: Path) -> dict[str, tuple[Any, Any]]:
    old, new = (_sidecar(path.with_suffix(".json")) for path in (before, after))
    return {name: (value, new.get(name)) for name, value in old.items() if not _same(value, new.get(name))}


def _sidecar(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8", errors="replace")) if path.exists() else {}


def _same(old: Any, new: Any) -> bool:
    """Numbers to 1e-5, texts but for their case; times of slices to 1/50 s.

    Where these are differences of times of day, the converter's floats have no more, and another hour has other ones.
    """
    if isinstance(old, list) and isinstance(new, list):
        if len(old) == len(new) and all(isinstance(one, int | float) for one in (*old, *new)):
            return bool(np.allclose(old, new, atol=0.02, rtol=1e-5))
        return len(old) == len(new) and all(map(_same, old, new))
    if isinstance(old, int | float) and isinstance(new, int | float):
        return abs(old - new) <= 1e-5 * max(abs(old), 1e-9)
    if isinstance(old, str) and isinstance(new, str):
        return old.upper() == new.upper()
    return bool(old == new)


@cache
def reasons() -> dict[str, Any]:
    """Fields that identify, and by vendor those that are lost or rounded, each with its reason."""
    return json.loads(REASONS.read_text(encoding="utf-8"))


def lost(folder: Path, found: Outcome) -> dict[str, tuple[Any, Any]]:
    """The fields that came out otherwise and do not identify."""
    return {name: pair for name, pair in found.fields.items() if name not in reasons()["identifying"]}


def measured() -> list[dict[str, Any]]:
    """A row for each source and vendor: series, volumes, what differs, fields lost; by default, and without headers."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for name, folder in folders().items():
        key = (name.partition("/")[0], vendor_of(folder))
        row = rows.setdefault(key, {"source": key[0], "vendor": key[1], "series": 0, "volumes": 0})
        row["series"] += 1
        for what, policy in (("rebuilt", _POLICY), ("removed", replace(_POLICY, vendor_headers="remove"))):
            found = outcome(folder, policy)
            row["volumes"] += found.volumes if what == "rebuilt" else 0
            for kind in ("affine", "voxels", "bvec"):
                count = sum(kind in difference for difference in found.differences)
                row[f"{what}_{kind}"] = row.get(f"{what}_{kind}", 0) + count
            row.setdefault(f"{what}_fields", []).extend(lost(folder, found))
    for row in rows.values():
        for what in ("rebuilt", "removed"):
            row[f"{what}_fields"] = sorted(set(row[f"{what}_fields"]))
    return list(rows.values())


def present() -> None:
    """A skip that says so, where the series are absent."""
    if not SERIES.is_dir():
        pytest.skip(f"the shared series are not at {SERIES.name} beside the project")


if __name__ == "__main__":
    content = reasons()
    content["measured"] = measured()
    REASONS.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
