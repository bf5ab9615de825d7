"""Check on demand: the released pixels are looked at again, by what looked at them before."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curate import parallel
from curate.archive import packs
from curate.core.errors import DamagedError
from curate.core.findings import Finding, defect, merge
from curate.core.progress import Progress, silent
from curate.core.records import CheckResult
from curate.deid.pixeldata.pixel_module import pixels_of
from curate.deid.sop_classes import text_likely
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.parallel import Workers
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import shard_paths


@dataclass(frozen=True, slots=True)
class _Pack:
    path: Path
    place: str


def check_pixels(seal: Seal, workers: Workers, progress: Progress = silent) -> CheckResult:
    """Text and barcodes that are still found: warnings, since a person may have decided that they stay."""
    tasks = [_Pack(seal.folder / place, place) for place in shard_paths(seal, "images")]
    findings: list[Finding] = []
    count = 0
    for _, (looked, found) in progress.over(
        parallel.map_unordered(_look, tasks, workers, lost=_lost), "packs", len(tasks)
    ):
        count += looked
        findings += found
    return CheckResult("pixels", "No text or barcode is found in the pixels", count, merge(findings))


def _look(pack: _Pack) -> tuple[int, list[Finding]]:
    findings: list[Finding] = []
    try:
        places = list(packs.instance_places(pack.path))
        for number, (offset, size) in enumerate(places):
            found = _found(packs.read_instance(pack.path, offset, size))
            findings += [Finding(rule, f"{pack.place}:{number}", "PixelData", count) for rule, count in found]
    except (OSError, DamagedError):  # another check says so
        return 0, findings
    return len(places), findings


def _lost(pack: _Pack) -> tuple[int, list[Finding]]:
    return 0, [Finding("WORKER_DIED", pack.place)]


def _found(data: bytes) -> list[tuple[str, int]]:
    """What is found in one instance, whatever happens: the pack's others are looked at."""
    try:
        return _of(data)
    except MalformedError:  # nothing: another check says so
        return []
    except Exception:  # a defect of our own is told as one of this instance
        return [(defect().rule, 1)]


def _of(data: bytes) -> list[tuple[str, int]]:
    from curate.pixels.image import Image
    from curate.pixels.text.text_detection import look

    parsed = parse(data)
    fields = pixels_of(parsed)
    if fields is None:
        return []
    seen = look(Image(**fields), thorough=text_likely(parsed.dataset))
    text = sum(one.kind != "mark" for one in seen.found)
    rule = "PIXELS_DECODER_DIED" if seen.died else "PIXELS_UNREADABLE"
    unread = [(rule, 1 if seen.died else seen.unread)] if seen.unread else []
    return unread + ([("PIXELS_TEXT_FOUND", text)] if text else [])
