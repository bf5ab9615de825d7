"""What a donation holds: every file scanned and grouped, whatever its folder or name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from curate.dicom import sources
from curate.dicom.hierarchy import Grouped, group
from curate.dicom.scan import nothing, scan
from curate.dicom.sources import SourceFile
from curate.dicom.types import Keys, Scan
from curate.findings import Finding
from curate.parallel import Pool
from curate.progress import Progress
from curate.remote import RemoteFile

_AT_ONCE = 16
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


def gather(paths: Sequence[Path | str], unpack_to: Path, pool: Pool[Keys], progress: Progress) -> Donation:
    """Scan all files of the sources.

    Raises:
        InputError: a source does not exist.
        StorageError: a container cannot be unpacked for want of room.
    """
    found = list(sources.find(paths, unpack_to))
    findings = [sources.finding(file) for file in found if file.rule]
    other = [(file.place, _UNUSABLE.get(file.rule, "unreadable")) for file in found if file.rule]
    usable = [file for file in found if not file.rule]
    scans = _scans(usable, pool, progress)
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


def _scans(files: list[SourceFile], pool: Pool[Keys], progress: Progress) -> list[Scan]:
    parts = [tuple(files[start : start + 256]) for start in range(0, len(files), 256)]
    results: dict[str, list[Scan]] = {}
    done = (pool if len(parts) > 1 else pool.here()).map(_scan_part, parts)
    for part, scans in progress.over(done, "files", len(parts)):
        results[part[0].place] = scans
    return [scan for part in parts for scan in results[part[0].place]]


def _scan_part(files: tuple[SourceFile, ...], keys: Keys) -> list[Scan]:
    if any(isinstance(file.path, RemoteFile) for file in files):  # each first look waits for an answer
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(_scan_one, files, repeat(keys)))
    return [_scan_one(file, keys) for file in files]


def _scan_one(file: SourceFile, keys: Keys) -> Scan:
    try:
        with file.path.open("rb", buffering=0) as opened:
            return scan(opened, file.size, keys)
    except OSError:
        return nothing("FILE_UNREADABLE", file.size)


def kind_of(path: Path | RemoteFile) -> str:
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
