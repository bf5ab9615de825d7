"""Archives of synthetic donors of population persons: small images, headers like a scanner's."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from curate.records import ArchiveInfo
from curate.steps.init import init
from curate.steps.intake import IntakeReport, intake
from tests import synth
from tests.corpus import COLUMNS

PRIVACY = 'access = "gated"\nlargest_suppressed_share = 0.2\n'


def make_archive(root: Path, privacy: str = PRIVACY) -> Path:
    """An empty archive of persons whose releases need k = 5."""
    archive = init(root, ArchiveInfo("Donors", "Tests", "CC-BY-4.0", "persons"), approvals=0)
    path = archive / "archive.toml"
    text = path.read_text("utf-8")
    at = text.index("\n", text.index("[privacy]")) + 1
    path.write_text(text[:at] + privacy + text[at:], "utf-8")
    return archive


def take_in(
    archive: Path, folder: Path, donors: Iterable[int], *, study: int = 0, **values: str
) -> IntakeReport:
    """Take one study of each donor in: ages 30 to 69, both sexes, chest CT, three diagnoses.

    `values` stand in the table for all of them.
    """
    rows = []
    for donor in donors:
        path = folder / f"d{donor}-{study}" / "0.dcm"
        path.parent.mkdir(parents=True)
        path.write_bytes(synth.instance_bytes(donor, study, rows=8, columns=8))
        rows.append({"study": synth.uid(donor, study), **_row(donor), **values})
    table = folder / "studies.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "license"])
        writer.writeheader()
        writer.writerows(rows)
    return intake(archive, [folder], table, deidentify=True, workers=1)


def _row(donor: int) -> Mapping[str, str]:
    return {
        "donor": f"P{donor:04d}",
        "age": str(30 + donor * 7 % 40),
        "sex": "FM"[donor % 2],
        "region": ("chest", "lung")[donor % 3 == 0],
        "diagnosis": ("C34.1", "J18.9", "none")[donor % 3],
        "consent": "given",
        "consent_date": "2020-01-31",
        "license": "",
    }
