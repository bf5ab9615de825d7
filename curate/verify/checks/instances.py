"""Check `instances`: every instance lies where the manifest says, has its digest, parses, and obeys the profile."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate import contract, parallel
from curate.archive.packs import instance_places
from curate.core.errors import DamagedError
from curate.core.findings import Finding, defect, merge
from curate.core.progress import Progress, silent
from curate.core.records import CheckResult
from curate.deid.verify import verify_parsed
from curate.dicom.attributes import facts_of
from curate.dicom.io.reader import parse
from curate.dicom.model import MalformedError
from curate.parallel import Workers
from curate.policies import Policy
from curate.verify import verified_cache
from curate.verify.checks import recomputed
from curate.verify.checks.recomputed import Recomputed
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import connect, shard_paths
from curate.verify.verified_cache import Remembered

_FACTS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "PatientID", "StudyDate")
_DUMMY = "REMOVED"  # what an attribute that may not be empty says instead
_FIRST_STUDY = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class _PackTask:
    """One pack with the manifest's rows of its instances, in the order of their offsets."""

    path: Path
    place: str
    rows: tuple[tuple[Any, ...], ...]
    profile: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _PackVerdict:
    sha256: str
    instances: int
    findings: tuple[Finding, ...]
    series: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    parts: recomputed.Parts = field(default_factory=dict)


def check_instances(
    seal: Seal, workers: Workers, progress: Progress = silent, known: Remembered | None = None
) -> tuple[CheckResult, dict[str, str]]:
    """The verdict on all instances, and the digest of every pack that was read on the way, or before."""
    findings: list[Finding] = []
    digests: dict[str, str] = {}
    listed = set(shard_paths(seal, "images"))
    before: dict[str, int] = {}
    fresh_marks: list[str] = []
    fresh = _not_known(_tasks(seal), known, before)
    done = parallel.map_unordered(_check_pack, fresh, workers, [seal.folder / "release.json"], _lost)
    count = 0
    with Recomputed(recomputed.counts(seal)) as series:
        for task, verdict in progress.over(done, "packs", len(listed)):
            digests[task.place] = verdict.sha256
            count += verdict.instances
            progress.add(instances=verdict.instances, size_bytes=sum(row[2] for row in task.rows))
            findings += verdict.findings
            series.add(verdict.series, verdict.parts)
            if known is not None and not verdict.findings and verdict.sha256 == task.path.stem:
                fresh_marks.append(_mark(task))
        said = series.findings(seal)
    findings += said
    if known is not None and not said:
        for one in fresh_marks:
            known.add(one)
    findings += [Finding("PACK_UNKNOWN", path) for path in sorted(listed - digests.keys() - before.keys())]
    count += sum(before.values())
    digests |= {place: Path(place).stem for place in before}
    title = "Every instance has its digest, parses, and obeys the profile"
    return CheckResult("instances", title, count, merge(findings)), digests


def _mark(task: _PackTask) -> str:
    return verified_cache.mark(task.path, task.place, task.rows, sorted(task.profile.items()))


def _not_known(tasks: Iterable[_PackTask], known: Remembered | None, before: dict[str, int]) -> Iterator[_PackTask]:
    """The packs that must be read; of those that passed before, `before` counts the instances."""
    for task in tasks:
        if known is not None and known.holds(_mark(task)):
            before[task.place] = len(task.rows)
        else:
            yield task


def _tasks(seal: Seal) -> Iterable[_PackTask]:
    query = (
        "SELECT pack, offset_bytes, i.size_bytes, i.sha256, i.study_id, SeriesInstanceUID, SOPInstanceUID,"
        " SOPClassUID, transfer_syntax, frames, donor_id, days_from_first, slice_index, series.instance_count,"
        f" hashed, {', '.join(_counted().values())}"
        " FROM instances i LEFT JOIN studies s USING (study_id)"
        # the version stands in every row, and says nothing of the images: else each release would read all packs again
        " LEFT JOIN (SELECT *, hash(held) AS hashed FROM (SELECT * EXCLUDE (release_version) FROM series) AS held)"
        " AS series USING (study_id, SeriesInstanceUID)"
        " ORDER BY pack, offset_bytes"
    )
    with connect(seal) as db:
        cursor = db.execute(query)
        held: list[tuple[Any, ...]] = []
        while batch := cursor.fetchmany(10_000):
            for row in batch:
                if held and row[0] != held[0][0]:
                    yield _PackTask(seal.folder / held[0][0], held[0][0], tuple(held), seal.profile)
                    held = []
                held.append(row)
        if held:
            yield _PackTask(seal.folder / held[0][0], held[0][0], tuple(held), seal.profile)


def _check_pack(task: _PackTask) -> _PackVerdict:
    try:
        with task.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        places = list(instance_places(task.path))
        ids = _ids(task.path)
    except (OSError, DamagedError, pa.ArrowException):
        return _PackVerdict("", 0, (Finding("PACK_UNREADABLE", task.place),))
    findings = _check_places(task, places, ids)
    policy = Policy.from_mapping(task.profile)
    parts: recomputed.Parts = defaultdict(list)
    with task.path.open("rb") as file:
        for row in task.rows:
            file.seek(row[1])
            found, facts = _checked(row, file.read(max(row[2], 0)), policy)
            findings += found
            if facts is not None:
                parts[row[5]].append((row[12], facts))
    series, rest = recomputed.whole(parts, {row[5]: row[13] for row in task.rows})
    return _PackVerdict(digest, len(places), tuple(findings), series, rest)


def _ids(path: Path) -> list[tuple[str, str, str, str]]:
    columns = ["study_id", "SeriesInstanceUID", "SOPInstanceUID", "dicom.path"]
    with pq.ParquetFile(path) as file:
        table = file.read(columns=columns)
    names = table["dicom"].combine_chunks().field("path").to_pylist()
    return list(zip(*(table[c].to_pylist() for c in columns[:3]), names, strict=True))


def _check_places(
    task: _PackTask, places: list[tuple[int, int]], ids: list[tuple[str, str, str, str]]
) -> list[Finding]:
    """The pack's own rows and the manifest's rows of it are the same instances at the same places."""
    stated = [(row[1], row[2], row[4], row[5], row[6], f"{row[6]}.dcm") for row in task.rows]
    held = [(*place, *names) for place, names in zip(places, ids, strict=True)]
    missing, unknown = set(held) - set(stated), set(stated) - set(held)
    findings = [Finding("INSTANCE_NOT_LISTED", task.place, count=len(missing))] if missing else []
    return findings + ([Finding("INSTANCE_NOT_THERE", task.place, count=len(unknown))] if unknown else [])


@cache
def _counted() -> dict[str, str]:
    """The attributes of images that say something of a person, and the columns of `series` that count them."""
    columns = contract.table("series").columns
    return {c.source: f'series."{c.name}"' for c in columns if c.role == "quasi-identifier" and c.source}


def _uncounted(facts: Mapping[str, Any], row: tuple[Any, ...]) -> Iterator[str]:
    """The attributes of which an image says what the row of its series does not, so that nobody counted it."""
    for name, counted in zip(_counted(), row[-len(_counted()) :], strict=True):
        value = facts.get(name)
        said = [v for v in (value if isinstance(value, list) else [value]) if v not in (None, "", _DUMMY)]
        if not set(said) <= set(counted if isinstance(counted, list) else [counted]):
            yield name


def _study_date(days: int | None) -> str | None:
    """The date that the images must state: it says how far apart a donor's studies are, as the manifest does."""
    return None if days is None else f"{_FIRST_STUDY + timedelta(days=days):%Y%m%d}"


def _lost(task: _PackTask) -> _PackVerdict:
    return _PackVerdict("", 0, (Finding("WORKER_DIED", task.place),))


def _checked(row: tuple[Any, ...], data: bytes, policy: Policy) -> tuple[list[Finding], dict[str, Any] | None]:
    """What is wrong with an instance, whatever happens: the pack's others are checked."""
    try:
        return _check_instance(row, data, policy)
    except Exception:  # a defect of our own is told as one of this instance
        return [defect(f"instance {row[6]}")], None


def _check_instance(row: tuple[Any, ...], data: bytes, policy: Policy) -> tuple[list[Finding], dict[str, Any] | None]:
    """What is wrong with an instance, and what it tells of its series."""
    instance = f"instance {row[6]}"
    if hashlib.sha256(data).digest() != bytes(row[3]):
        return [Finding("INSTANCE_DIGEST", instance)], None
    try:
        parsed = parse(data)
    except MalformedError as error:
        return [Finding(error.rule, instance, error.tag)], None
    findings = [Finding(f.rule, instance, f.tag, f.count) for f in verify_parsed(parsed, data, policy)]
    facts = facts_of(parsed.dataset, (*_FACTS, *_counted()))
    stated = dict(zip(_FACTS, (row[4], row[5], row[6], row[7], row[10], _study_date(row[11])), strict=True))
    findings += [Finding("ROW_DIFFERS", instance, k) for k, v in stated.items() if facts.get(k) != v]
    findings += [Finding("ROW_DIFFERS", instance, name) for name in _uncounted(facts, row)]
    if parsed.transfer_syntax != row[8]:
        findings.append(Finding("ROW_DIFFERS", instance, "transfer_syntax"))
    return findings, recomputed.facts(parsed)
