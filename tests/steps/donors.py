"""Archives of synthetic donors of population persons: small images, headers like a scanner's."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from curate.core.progress import Progress, silent
from curate.core.records import ArchiveInfo
from curate.steps.init import init
from curate.steps.intake import IntakeReport, intake
from curate.steps.release import Cut
from curate.steps.release import release as cut
from tests import synth
from tests.corpus import COLUMNS

GATED = 'access = "gated"\nlargest_suppressed_share = 0.2\n'
_MODELS = ("Sensation 64", "SOMATOM Definition AS", "Emotion 16")
_PARTS = ("CHEST", "LUNG", "CHESTABDPELVIS")
RARE = 19  # one donor of 30 was on a scanner of a rarer vendor


def make_archive(root: Path, privacy: str = GATED) -> Path:
    """An empty archive of persons; of gated access, so that k is 5."""
    archive = init(root, ArchiveInfo("Donors", "Tests", "CC-BY-4.0", "persons"), approvals=0)
    (archive / "secret.key").write_text("60" * 32 + "\n")  # ids decide whose cells go first: the same each time
    path = archive / "archive.toml"
    text = path.read_text("utf-8")
    at = text.index("\n", text.index("[privacy]")) + 1
    path.write_text(text[:at] + privacy + text[at:], "utf-8")
    return archive


def release(archive: Path, progress: Progress = silent, **more: Any) -> Cut:
    """Cut a version whatever it loses: so few donors lose whole columns, and these tests are not of that."""
    return cut(archive, progress, **{"accept_loss": True, **more})


def take_in(
    archive: Path,
    folder: Path,
    donors: Iterable[int],
    *,
    study: int | Mapping[int, int] = 0,
    licenses: tuple[str, ...] = ("",),
) -> IntakeReport:
    """Take in one study of each donor: ages 30 to 69, both sexes, chest CT of several models, three diagnoses."""
    rows = []
    for donor in donors:
        number = study if isinstance(study, int) else study[donor]
        path = folder / f"d{donor}-{number}" / "0.dcm"
        path.parent.mkdir(parents=True)
        path.write_bytes(_instance(donor, number))
        chosen = licenses[donor // 3 % len(licenses)]
        rows.append({"study": synth.uid(donor, number), **_row(donor), "license": chosen})
    table = folder / "studies.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*COLUMNS, "license"])
        writer.writeheader()
        writer.writerows(rows)
    return intake(archive, [folder], table, deidentify=True, workers=1)


def _instance(donor: int, study: int) -> bytes:
    ds = synth.load_instance(donor, study, rows=8, columns=8)
    ds.ManufacturerModelName = _MODELS[donor % 3]
    ds.SoftwareVersions = f"VA{donor % 5}0A"
    ds.BodyPartExamined = _PARTS[donor % 3]
    ds.SeriesDescription = f"Thorax {('LUNG', 'HEART', 'T12')[donor % 3]} B30f"
    ds.Laterality = "LR"[donor % 2]
    if donor % 30 == RARE:
        ds.Manufacturer = "TOSHIBA"
    return synth.to_bytes(ds)


def _row(donor: int) -> Mapping[str, str]:
    return {
        "donor": f"P{donor:04d}",
        "age": str(30 + donor * 7 % 40),
        "sex": "FM"[donor % 2],
        "region": ("chest", "lung")[donor % 3 == 0],
        "diagnosis": ("C34.1", "J18.9", "none")[donor % 3],
        "consent": "given",
        "consent_date": "2020-01-31",
    }
