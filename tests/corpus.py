"""The shared corpus of real DICOM files, and a table of its studies."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "shared" / "corpus"
COLUMNS = ("study", "donor", "age", "sex", "region", "diagnosis", "consent", "consent_date")


def corpus() -> Path:
    """The corpus, or a skip that says so."""
    if not ROOT.is_dir():
        pytest.skip(f"the shared corpus is not at {ROOT.name} beside the project")
    return ROOT


def study_uids(root: Path) -> list[str]:
    """StudyInstanceUIDs that the corpus' own manifest lists, sorted."""
    with (root / "MANIFEST.csv").open(encoding="utf-8", newline="") as file:
        return sorted({row["StudyInstanceUID"] for row in csv.DictReader(file)} - {""})


def write_table(path: Path, studies: list[str], **values: str) -> Path:
    """A table with one row a study; age, sex and region stay empty, so that the header's count."""
    row = {"donor": "", "age": "", "sex": "", "region": "", "diagnosis": "none"}
    row |= {"consent": "given", "consent_date": "2020-01-31"} | values
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, study in enumerate(studies, 1):
            cells = {"study": study, **row, "donor": row["donor"] or f"P{number:04d}"}
            writer.writerow([cells[name] for name in COLUMNS])
    return path
