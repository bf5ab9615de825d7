"""Check on demand: the released volumes are judged again, series by series, for a face that can be rendered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curate import parallel
from curate.archive import packs
from curate.core.errors import DamagedError
from curate.core.findings import Finding, defect, merge
from curate.core.progress import Progress, silent
from curate.core.records import CheckResult
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.parallel import Workers
from curate.pixels.head.slice_geometry import KINDS
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import connect

if TYPE_CHECKING:
    from curate.pixels.head.volumes import Series

_QUERY = (
    "SELECT SeriesInstanceUID, list((pack, offset_bytes, size_bytes) ORDER BY pack, offset_bytes) FROM instances"
    " WHERE SOPClassUID IN (SELECT unnest(?)) GROUP BY study_id, SeriesInstanceUID ORDER BY study_id, 1"
)


@dataclass(frozen=True, slots=True)
class _Task:
    series: str
    places: tuple[tuple[Path, int, int], ...]


def check_faces(seal: Seal, workers: Workers, progress: Progress = silent) -> CheckResult:
    """Faces that are found, and volumes of which it cannot be told: warnings, since a person may have decided."""
    findings: list[Finding] = []
    count = 0
    for _, found in progress.over(_judged(seal, workers), "series judged"):
        count += 1
        findings += found
    return CheckResult("faces", "No volume shows a face", count, merge(findings))


def _judged(seal: Seal, workers: Workers) -> Iterator[tuple[_Task, list[Finding]]]:
    return parallel.map_unordered(_look, _tasks(seal), workers, lost=_lost)


def _lost(task: _Task) -> list[Finding]:
    return [Finding("WORKER_DIED", f"series {task.series}", "PixelData")]


def _tasks(seal: Seal) -> Iterator[_Task]:
    with connect(seal) as db:
        cursor = db.execute(_QUERY, [sorted(KINDS)])
        while batch := cursor.fetchmany(256):
            for series, places in batch:
                yield _Task(series, tuple((seal.folder / pack, offset, size) for pack, offset, size in places))


def _look(task: _Task) -> list[Finding]:
    try:
        rules = rules_of(parse(packs.read_instance(*place)) for place in task.places)
    except (OSError, DamagedError, MalformedError):  # another check says so
        return []
    except Exception:  # a defect of our own is told as one of this series; the others are judged
        return [defect(f"series {task.series}")]
    return [Finding(rule, f"series {task.series}", "PixelData") for rule in rules]


def rules_of(instances: Iterable[Parsed]) -> list[str]:
    """What is said of the volumes among instances: of each with a face, and each of which it cannot be told.

    Raises:
        OSError, DamagedError, MalformedError: one of the instances cannot be had.
    """
    from curate.pixels.head.volumes import stacked  # what judges volumes takes half a second to import

    return [rule for one in stacked(instances).values() if (rule := _rule(one))]


def _rule(series: Series) -> str:
    if series.died:
        return "PIXELS_DECODER_DIED"
    shows = series.stack.shows_face()
    if shows is None:
        return "" if series.stack.short else "PIXELS_FACE_UNSURE"
    return "PIXELS_FACE_FOUND" if shows else ""
