"""`curate inspect`: the checker for anybody's data: by rule, tag and place, never the value; decides nothing."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from curate import parallel
from curate.archive import packs
from curate.core import durable, leftovers
from curate.core.errors import DamagedError, InputError
from curate.core.findings import Finding, defect
from curate.core.progress import Progress, silent
from curate.core.remote import TooLargeError, whole
from curate.deid.inspection import inspect_bytes
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.donation import burned_in_annotation as looks
from curate.donation import effective_profile as policies
from curate.donation import sources
from curate.donation.gather import kind_of
from curate.donation.sources import SourceFile
from curate.pixels import optional_deps
from curate.pixels.head.slice_geometry import kind_of as volume_of
from curate.pixels.head.slice_geometry import series_of
from curate.policies import Policy

_BATCH = 32
_NO_DICOM = "NOT_DICOM"


@dataclass(frozen=True, slots=True, repr=False)
class Verdict:
    """What was found in one file, in one instance of a pack, or in the volume that a series is.

    `kind` is `instance`, `directory` (DICOMDIR), or what a file that is no DICOM seems to be; `series` for a volume, at
    the place of one of its instances. `path` is for the owner's eyes, since it may name a person.
    """

    place: str
    path: str
    kind: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, repr=False)
class _Part:
    """Bytes to look at: a whole file, or with `size` a piece of one."""

    place: str
    path: Path
    origin: str
    policy: Policy
    offset: int = 0
    size: int = -1
    pixels: bool = False


def inspect(
    paths: list[Path],
    *,
    profile_file: Path | None = None,
    temporary: Path | None = None,
    pixels: bool = False,
    workers: int | None = None,
    progress: Progress = silent,
) -> Iterator[Verdict]:
    """The verdict on each file of folders, files, containers and releases, as workers finish them.

    `pixels`: look for text in every frame, and then for faces in the volumes, too. `temporary` is where containers are
    unpacked; a folder of the user's own by default, emptied afterwards.

    Raises:
        InputError: a path does not exist, the profile cannot be used, or nothing is installed that looks at pixels.
    """
    if pixels and not optional_deps.installed():
        raise InputError("Nothing here can look at pixels.", hint=optional_deps.HINT)
    policy = policies.of_file(profile_file)
    released = [None if profile_file else policies.of_release(path) for path in paths]
    by_source = [found or policy for found in released]
    with _private_folder(temporary) as folder:
        skipped: list[Verdict] = []
        parts = (replace(part, pixels=pixels) for part in _parts(paths, folder, by_source, skipped))
        volumes: dict[str, list[_Part]] = {}
        for batch, looked in parallel.map_unordered(_look_at_all, _batches(parts), workers, lost=_lost):
            for part, (_, series) in zip(batch, looked, strict=True):
                if series:
                    volumes.setdefault(series, []).append(part)
            yield from progress.over((verdict for verdict, _ in looked), "files")
            yield from _taken(skipped)
        yield from _taken(skipped)
        tasks = (tuple(volumes.pop(series)) for series in sorted(volumes))
        for _, found in parallel.map_unordered(_judged, tasks, workers, lost=_unjudged):
            yield from found


def _taken(skipped: list[Verdict]) -> list[Verdict]:
    taken = list(skipped)
    skipped.clear()
    return taken


def _parts(paths: list[Path], folder: Path, policies_: list[Policy], skipped: list[Verdict]) -> Iterator[_Part]:
    """What is to be looked at; what cannot be read at all goes to `skipped`."""
    for file in sources.find(paths, folder):
        source = int(file.place.split(":")[0]) - 1
        origin = file.origin
        if file.rule:
            skipped.append(Verdict(file.place, origin, "unusable", (sources.finding(file),)))
        elif _holds_instances(file.on_disk):
            yield from _of_pack(file, origin, policies_[source], skipped)
        else:
            yield _Part(file.place, file.on_disk, origin, policies_[source])


def _holds_instances(path: Path) -> bool:
    """Whether a file is a pack: Parquet with a column of DICOM bytes."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PAR1":
                return False
            with pq.ParquetFile(file) as parquet:  # Arrow takes no path that is not UTF-8
                return "dicom" in parquet.schema_arrow.names
    except (OSError, pa.ArrowException):
        return False


def _of_pack(file: SourceFile, origin: str, policy: Policy, skipped: list[Verdict]) -> Iterator[_Part]:
    try:
        for number, (offset, size) in enumerate(packs.instance_places(file.on_disk), 1):
            yield _Part(f"{file.place}.{number}", file.on_disk, origin, policy, offset, size)
    except DamagedError:
        skipped.append(Verdict(file.place, origin, "pack", (Finding("PACK_UNREADABLE", file.place),)))


def _batches(parts: Iterator[_Part]) -> Iterator[tuple[_Part, ...]]:
    batch: list[_Part] = []
    for part in parts:
        batch.append(part)
        if len(batch) == _BATCH:
            yield tuple(batch)
            batch = []
    if batch:
        yield tuple(batch)


def _look_at_all(parts: tuple[_Part, ...]) -> list[tuple[Verdict, str]]:
    return [_look_at(part) for part in parts]


def _look_at(part: _Part) -> tuple[Verdict, str]:
    """One file's verdict, and the series if it is part of a volume; whatever happens, the batch goes on."""
    series = ""
    try:
        data = _read(part)
        kind, findings = judge(data, part.policy)
        if part.pixels and kind == "instance":
            more, series = _of_pixels(data)
            findings += more
    except TooLargeError:
        return _verdict(part, "unusable", Finding("INSTANCE_TOO_LARGE")), ""
    except (OSError, DamagedError):
        return _verdict(part, "unusable", Finding("FILE_UNREADABLE")), ""
    except Exception:  # a defect of our own is told as one of this file; the rest is looked at
        return _verdict(part, "instance", defect()), series
    if not kind:
        return _verdict(part, kind_of(part.path), Finding(_NO_DICOM)), ""
    return _verdict(part, kind, *findings), series


def _lost(parts: tuple[_Part, ...]) -> list[tuple[Verdict, str]]:
    return [(_verdict(part, "instance", Finding("WORKER_DIED")), "") for part in parts]


def _verdict(part: _Part, kind: str, *findings: Finding) -> Verdict:
    placed = tuple(Finding(f.rule, part.place, f.tag, f.count) for f in findings)
    return Verdict(part.place, part.origin, kind, placed)


def _of_pixels(data: bytes) -> tuple[tuple[Finding, ...], str]:
    """What is found in the pixels, and the series of an instance that is part of a volume."""
    try:
        item = parse(data).dataset
        return looks.findings_of(data), series_of(item)[0] if volume_of(item) else ""
    except MalformedError as error:
        return (Finding(error.rule, "", error.tag),), ""


def _judged(parts: tuple[_Part, ...]) -> list[Verdict]:
    """What the volume shows that instances of one series are, where it is a face or cannot be told."""
    from curate.verify.checks import faces  # what finds them takes half a second to import

    try:
        rules = faces.rules_of(parse(_read(part)) for part in parts)
    except (OSError, DamagedError, MalformedError):  # it was there a moment ago
        return [_verdict(parts[0], "series", Finding("FILE_UNREADABLE"))]
    except Exception:  # a defect of our own is told as one of this series; the others are judged
        return [_verdict(parts[0], "series", defect())]
    return [_verdict(parts[0], "series", Finding(rule, tag="PixelData")) for rule in rules]


def _unjudged(parts: tuple[_Part, ...]) -> list[Verdict]:
    return [_verdict(parts[0], "series", Finding("WORKER_DIED"))]


def _read(part: _Part) -> bytes:
    if part.size < 0:
        return whole(part.path)
    return packs.read_instance(part.path, part.offset, part.size)


def judge(data: bytes, policy: Policy) -> tuple[str, tuple[Finding, ...]]:
    """What a file's bytes are, and everything that the rules and the alarms say of them; no DICOM: ''."""
    try:
        findings = inspect_bytes(data, policy)
    except MalformedError as error:
        return ("", ()) if error.rule == _NO_DICOM else ("instance", (Finding(error.rule, "", error.tag),))
    return "directory" if any(f.rule == "DICOMDIR" for f in findings) else "instance", findings


@contextmanager
def _private_folder(given: Path | None) -> Iterator[Path]:
    """A folder for unpacked members: never the system's temporary one, since what is in them is not yet safe."""
    base = given or leftovers.cache()
    with durable.storage_errors("make a folder to unpack containers in; name another with --temporary"):
        base.mkdir(parents=True, exist_ok=True, mode=0o700)
        leftovers.sweep(base)
        folder = base / f"{leftovers.PREFIX}{os.getpid()}"
        folder.mkdir(mode=0o700)
        with (folder / leftovers.LOCK).open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield folder / "unpacked"
            finally:
                durable.remove(folder)
