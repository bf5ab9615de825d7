"""Check on demand: the released volumes are judged again, series by series, for a face that can be rendered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from curate import parallel
from curate.archive import packs
from curate.dicom.place import KINDS
from curate.dicom.reader import parse
from curate.dicom.types import MalformedError
from curate.errors import DamagedError
from curate.findings import Finding, merge
from curate.parallel import Workers
from curate.progress import Progress, silent
from curate.records import CheckResult
from curate.verify.seal import Seal
from curate.verify.tables import connect

if TYPE_CHECKING:
    from curate.stacks import Series

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
    for _, found in progress.over(parallel.map_unordered(_look, _tasks(seal), workers), "series judged"):
        count += 1
        findings += found
    return CheckResult("faces", "No volume shows a face", count, merge(findings))


def _tasks(seal: Seal) -> Iterator[_Task]:
    with connect(seal) as db:
        cursor = db.execute(_QUERY, [sorted(KINDS)])
        while batch := cursor.fetchmany(256):
            for series, places in batch:
                yield _Task(
                    series, tuple((seal.folder / pack, offset, size) for pack, offset, size in places)
                )


def _look(task: _Task) -> list[Finding]:
    from curate.stacks import add  # what judges volumes takes half a second to import

    found: dict[str, Series] = {}
    try:
        for place in task.places:
            add(found, parse(packs.read_instance(*place)))
    except (OSError, DamagedError, MalformedError):  # another check says so
        return []
    rules = [_rule(one) for one in found.values()]
    return [Finding(rule, f"series {task.series}", "PixelData") for rule in rules if rule]


def _rule(series: Series) -> str:
    shows = series.stack.shows_face()
    if shows is None:
        return "" if series.stack.short else "PIXELS_FACE_UNSURE"
    return "PIXELS_FACE_FOUND" if shows else ""
