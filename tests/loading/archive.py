"""A real archive by the main job: synthetic studies taken in, released twice, published to a folder hub."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from curate.core.records import ArchiveInfo
from curate.steps.init import init
from curate.steps.intake import intake
from curate.steps.publish import publish
from curate.steps.release import release
from tests import synth
from tests.loading.segmented import segmented

COLUMNS = ("study", "donor", "age", "sex", "region", "diagnosis", "consent", "consent_date")
SLICES = 8
INSTANCES = {"1.0.0": 3 * SLICES, "1.1.0": 4 * SLICES + 1}


def build(root: Path) -> Path:
    """The folder hub of an archive: 1.0.0 holds two CT and an MR, 1.1.0 one CT more with a segmentation."""
    archive, hub = root / "archive", root / "hub"
    info = ArchiveInfo(title="Loading", publisher="Hospital de la Prova", license="CC-BY-4.0", population="test")
    init(archive, info, hub_target=hub.as_uri(), approvals=0)
    first = [(str(n), study(n)) for n in range(3)]
    for number, chosen in enumerate((first, [("3", study(3))])):
        _give(archive, root / f"source{number}", chosen)
        publish(archive, release(archive).version)
    return hub


def study(number: int) -> list[bytes]:
    """A study of one series: an MR where the number is 1, else CT; 3 has a segmentation beside it."""
    modality = "MR" if number == 1 else "CT"
    slices = [synth.load_instance(number, 0, 0, i, modality=modality, rows=32, columns=24) for i in range(SLICES)]
    if number == 3:
        mask = np.zeros((SLICES, 32, 24), np.uint8)
        mask[2:5, 8:20, 6:15] = 1
        slices.append(segmented(slices, mask))
    return [synth.to_bytes(one) for one in slices]


def _give(archive: Path, folder: Path, studies: Sequence[tuple[str, Sequence[bytes]]]) -> None:
    rows = []
    for name, instances in studies:
        for number, data in enumerate(instances):
            path = folder / name / f"{number}.dcm"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        region = "head" if name == "1" else "chest"
        rows.append([name, f"donor {name}", "50", "", region, "C50.9", "given", "2026-01-01"])
    table = folder.with_suffix(".csv")
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    report = intake(archive, [folder], table, deidentify=True, workers=1)
    assert not report.quarantined_instances, report
