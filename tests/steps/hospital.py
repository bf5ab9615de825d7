"""A hospital's export for tests: synthetic patients under folder and file names that must never be seen again."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests import synth

MARKS = (
    *("xyrkpujol", "zwolqferran", "nhc-447190", "tablerowqz"),  # folders, files, the table's own ids
    *("puigdom", "montserrat", "arrizabalaga", "larrea", "muntaner", "sant pau", "ctscanner3"),  # headers
    "1.2.826.0.1.3680043.10.1",  # the root of all original UIDs
)
COLUMNS = (
    *("study", "donor", "age", "sex", "region", "diagnosis", "diagnosis_basis", "consent", "consent_date"),
    *("consent_version", "consent_language", "given_by", "scope", "clinical_use_ended"),
)
ROW = {
    "age": "47",
    "region": "chest",
    "diagnosis": "C34.1",
    "diagnosis_basis": "report",
    "consent": "given",
    "consent_date": "2024-01-31",
    "consent_version": "2.1",
    "consent_language": "ca",
    "given_by": "self",
    "scope": "research",
}


@dataclass(frozen=True)
class Study:
    """One study to write: patient and study number as `synth` counts them, and what its row says."""

    patient: int
    study: int
    row: tuple[tuple[str, str], ...] = ()
    instances: int = 2
    modality: str = "CT"

    @property
    def uid(self) -> str:
        """The original StudyInstanceUID."""
        return synth.uid(self.patient, self.study)


STUDIES = (
    Study(0, 0, (("age", "61"),)),
    Study(0, 2, (("age", "61"), ("diagnosis", "none"), ("region", "head and knee"))),
    Study(1, 0, (("age", "90+"), ("region", "abdomen"))),
    Study(2, 1, (("age", ""), ("sex", ""), ("region", ""))),
)


def write(folder: Path, studies: Iterable[Study] = STUDIES) -> Path:
    """The files of the studies, in folders and under names of persons."""
    for study in studies:
        inside = folder / f"XYRKPUJOL_{study.patient}" / f"zwolqferran {study.study}"
        inside.mkdir(parents=True, exist_ok=True)
        for number in range(study.instances):
            data = synth.instance_bytes(
                study.patient, study.study, 0, number, rows=32, columns=32, modality=study.modality
            )
            (inside / f"NHC-447190-{number}.dcm").write_bytes(data)
    return folder


def table(path: Path, studies: Iterable[Study] = STUDIES) -> Path:
    """The table with the hospital's own ids."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for study in studies:
            donor = f"TABLEROWQZ-{study.patient}"
            known = {"study": study.uid, "donor": donor, "sex": "FM"[study.patient % 2]}  # as `synth` has it
            writer.writerow({**ROW, **known, **dict(study.row)})
    return path


def marks_in(text: bytes | str) -> list[str]:
    """Which marks a text or a file holds, in any of the usual encodings."""
    data = text.encode() if isinstance(text, str) else text
    folded = data.lower()
    return [
        mark
        for mark in MARKS
        if mark.encode() in folded or mark.encode("utf-16-le") in folded or mark.encode("utf-16-be") in folded
    ]


def seen_again(folder: Path) -> list[str]:
    """Where below a folder a mark stands, in a name or in bytes."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        found += [f"{name}: {mark}" for mark in marks_in(name)]
        if path.is_file():
            found += [f"{name}: {mark}" for mark in marks_in(path.read_bytes())]
    return found
