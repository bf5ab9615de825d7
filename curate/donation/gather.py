"""What a donation holds: every file scanned and grouped, whatever its folder or name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from curate import parallel
from curate.dicom import sources
from curate.dicom.hierarchy import Grouped, group
from curate.dicom.scan import nothing, scan
from curate.dicom.sources import SourceFile
from curate.dicom.types import Keys, Scan
from curate.findings import Finding
from curate.progress import Progress

NOT_INSTANCES = frozenset(("NOT_DICOM", "DICOMDIR"))
_UNUSABLE = {
    "CONTAINER_PATH": "unsafe member",
    "CONTAINER_LINK": "unsafe member",
    "CONTAINER_BOMB": "container",
    "CONTAINER_DAMAGED": "container",
    "CONTAINER_ENCRYPTED": "encrypted member",
    "FILE_NOT_REGULAR": "special file",
    "FOLDER_LINK": "link",
}
_KINDS = (
    (b"%PDF", "PDF"),
    (b"\x89PNG", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"PAR1", "Parquet"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
)


@dataclass(frozen=True, slots=True, repr=False)
class Donation:
    """All files of a donation: `grouped` by study; `other` are no study's instances, by place and kind.

    `loose` are instances of no study; `findings` say of some others why they could not be looked into.
    """

    files: int
    grouped: Grouped[SourceFile]
    other: tuple[tuple[str, str], ...]
    loose: tuple[tuple[SourceFile, Finding], ...]
    findings: tuple[Finding, ...]


def gather(paths: list[Path], unpack_to: Path, keys: Keys, workers: int, progress: Progress) -> Donation:
    """Scan all files of the sources.

    Raises:
        InputError: a source does not exist.
        StorageError: a container cannot be unpacked for want of room.
    """
    found = list(sources.find(paths, unpack_to))
    findings = [sources.finding(file) for file in found if file.rule]
    other = [(file.place, _UNUSABLE.get(file.rule, "unreadable")) for file in found if file.rule]
    usable = [file for file in found if not file.rule]
    scans = _scans(usable, keys, workers, progress)
    instances: list[tuple[SourceFile, Scan]] = []
    for file, result in zip(usable, scans, strict=True):
        if result.rule in NOT_INSTANCES:
            other.append((file.place, "DICOMDIR" if result.rule == "DICOMDIR" else kind_of(file.path)))
        elif result.rule == "FILE_UNREADABLE":
            findings.append(Finding(result.rule, file.place))
            other.append((file.place, "unreadable"))
        else:
            instances.append((file, result))
    grouped = group(instances)
    loose = tuple((m.place, Finding(m.scan.rule, m.place.place)) for m in grouped.loose)
    return Donation(len(found), grouped, tuple(other), loose, tuple(findings))


def _scans(files: list[SourceFile], keys: Keys, workers: int, progress: Progress) -> list[Scan]:
    parts = [tuple(files[start : start + 256]) for start in range(0, len(files), 256)]
    results: dict[str, list[Scan]] = {}
    done = parallel.map_unordered(partial(_scan_part, keys), parts, workers if len(parts) > 1 else 1)
    for part, scans in progress.over(done, "files", len(parts)):
        results[part[0].place] = scans
    return [scan for part in parts for scan in results[part[0].place]]


def _scan_part(keys: Keys, files: Iterable[SourceFile]) -> list[Scan]:
    return [_scan_one(keys, file) for file in files]


def _scan_one(keys: Keys, file: SourceFile) -> Scan:
    try:
        with file.path.open("rb", buffering=0) as opened:
            return scan(opened, file.size, keys)
    except OSError:
        return nothing("FILE_UNREADABLE", file.size)


def kind_of(path: Path) -> str:
    """What a file that is not DICOM seems to be: for naming it without its name."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return "unreadable"
    for magic, name in _KINDS:
        if head.startswith(magic):
            return name
    if not head:
        return "empty"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:
        return "binary"
    return "text" if b"\0" not in head else "binary"


def count_kinds(other: Iterable[tuple[str, str]]) -> dict[str, int]:
    """How many files of each kind are no study's instances."""
    return dict(sorted(Counter(kind for _, kind in other).items()))
