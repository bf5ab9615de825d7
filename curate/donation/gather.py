"""What a donation holds: every file scanned and grouped, whatever its folder or name."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice, repeat
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from curate.core.findings import Finding, defect
from curate.core.progress import Progress
from curate.core.remote import RemoteFile
from curate.dicom.io.scan_record import Scan
from curate.donation import sources
from curate.donation.header_scan import FIRST_READ, nothing, scan
from curate.donation.scan_index import ScanIndex, StoredStudy
from curate.donation.sources import SourceFile
from curate.keys.derivation import Keys
from curate.parallel import Pool

_AT_ONCE, _AT_A_TIME = 16, 256
NOT_INSTANCES = frozenset(("NOT_DICOM", "DICOMDIR"))
_UNUSABLE = {
    "CONTAINER_PATH": "unsafe member",
    "CONTAINER_LINK": "unsafe member",
    "CONTAINER_BOMB": "container",
    "CONTAINER_DAMAGED": "container",
    "CONTAINER_DEFLATE64": "unread member",
    "CONTAINER_ENCRYPTED": "encrypted member",
    "CONTAINER_METHOD": "unread member",
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
    """All files of a donation, by study; `other` are no study's instances, by place and kind.

    `loose` are instances of no study; `findings` say of some others why they could not be looked into.
    """

    files: int
    studies: tuple[StoredStudy, ...]
    other: tuple[tuple[str, str], ...]
    loose: tuple[tuple[SourceFile, Finding], ...]
    findings: tuple[Finding, ...]


@dataclass(slots=True)
class _Found:
    """What is gathered while files pass by, each with its number."""

    looked: ScanIndex
    files: int = 0
    other: list[tuple[int, str, str]] = field(default_factory=list)
    loose: list[tuple[int, SourceFile, Finding]] = field(default_factory=list)
    findings: list[tuple[int, Finding]] = field(default_factory=list)

    def usable(self, files: Iterable[SourceFile]) -> Iterator[tuple[int, SourceFile]]:
        """The files that can be looked into; of the others, why not."""
        for number, file in enumerate(files):
            self.files += 1
            if file.rule:
                self.findings.append((number, sources.finding(file)))
                self.other.append((number, file.place, _UNUSABLE.get(file.rule, "unreadable")))
            else:
                yield number, file

    def take(self, numbered: Iterable[tuple[int, SourceFile]], scans: Iterable[Scan]) -> None:
        """Sort what has been looked at: a study's instance, an instance of none, or something else."""
        kept = []
        for (number, file), result in zip(numbered, scans, strict=True):
            if result.rule in NOT_INSTANCES:
                kind = "DICOMDIR" if result.rule == "DICOMDIR" else kind_of(file.path)
                self.other.append((number, file.place, kind))
            elif result.rule == "FILE_UNREADABLE":
                self.findings.append((number, Finding(result.rule, file.place)))
                self.other.append((number, file.place, "unreadable"))
            elif result.rule or not result.study_uid:
                self.loose.append((number, replace(file, content=b""), Finding(result.rule, file.place)))
            else:
                kept.append((number, file, result))
        self.looked.add(kept)


def gather(paths: Sequence[Path | str], unpack_to: Path, pool: Pool[Keys], progress: Progress) -> Donation:
    """Scan all files of the sources; memory grows with studies and with what is none, not with instances.

    Raises:
        InputError: a source does not exist.
        StorageError: there is no room to unpack a container, or to note what was found.
    """
    found = _Found(ScanIndex(unpack_to))
    keep = FIRST_READ if pool.is_here else 0  # to a worker, it would cost what it spares
    parts = _parts(found.usable(sources.find(paths, unpack_to, keep)))
    first = next(parts, ())
    several = len(first) == _AT_A_TIME
    every = chain([first] if first else (), parts)
    done = (pool if several else pool.here()).map(_scan_part, every, _lost)
    for part, scans in progress.over(done, f"batches of {_AT_A_TIME} files"):
        found.take(part, scans)
    return Donation(
        found.files,
        tuple(found.looked.studies()),
        tuple((place, kind) for _, place, kind in sorted(found.other)),
        tuple((file, finding) for _, file, finding in sorted(found.loose, key=itemgetter(0))),
        tuple(finding for _, finding in sorted(found.findings)),
    )


_Part = tuple[tuple[int, SourceFile], ...]


def _parts(files: Iterator[tuple[int, SourceFile]]) -> Iterator[_Part]:
    while part := tuple(islice(files, _AT_A_TIME)):
        yield part


def _scan_part(part: _Part, keys: Keys) -> list[Scan]:
    files = [file for _, file in part]
    if any(isinstance(file.path, RemoteFile) for file in files):  # each first look waits for an answer
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            return list(threads.map(_scan_one, files, repeat(keys)))
    return [_scan_one(file, keys) for file in files]


def _lost(part: _Part) -> list[Scan]:
    """What is known of files that two workers died of."""
    return [nothing("WORKER_DIED", file.size) for _, file in part]


def _scan_one(file: SourceFile, keys: Keys) -> Scan:
    try:
        if file.content:
            return scan(io.BytesIO(file.content), file.size, keys)
        with _opened(file.path) as opened:
            return scan(opened, file.size, keys)
    except OSError:
        return nothing("FILE_UNREADABLE", file.size)
    except Exception:  # a defect of our own is told as one of this file; the rest is looked at
        return nothing(defect().rule, file.size)


def _opened(path: Path | RemoteFile) -> BinaryIO:
    if isinstance(path, RemoteFile):
        return path.open("rb", buffering=0)
    return open(path, "rb", buffering=0)  # noqa: PTH123  half the time of a path's own


def kind_of(path: Path | RemoteFile) -> str:
    """What a file that is not DICOM seems to be: for naming it without its name."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:  # the answer asked for; the intake tells it as FILE_UNREADABLE
        return "unreadable"
    for magic, name in _KINDS:
        if head.startswith(magic):
            return name
    if not head:
        return "empty"
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:  # the answer asked for
        return "binary"
    return "text" if b"\0" not in head else "binary"


def count_kinds(other: Iterable[tuple[str, str]]) -> dict[str, int]:
    """How many files of each kind are no study's instances."""
    return dict(sorted(Counter(kind for _, kind in other).items()))
