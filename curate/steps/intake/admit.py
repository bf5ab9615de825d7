"""What one worker does with one study: rewrite, verify, pack; or keep it, encrypted, for a person to decide."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from curate import contract, durable
from curate.archive import packs, tables, vault
from curate.archive.layout import vault_name
from curate.archive.ledger import QuarantineEntry, StudyRecord
from curate.dicom import identifiers, profile, references
from curate.dicom.facts import facts_of
from curate.dicom.reader import parse
from curate.dicom.rewrite import rewrite_parsed
from curate.dicom.types import Item, Keys, MalformedError, Parsed, Policy, Rewritten, StudyContext
from curate.dicom.verify import verify_rewritten
from curate.digests import canonical_json, sha256_set
from curate.donation import disclosure, faces, pixels
from curate.donation.coding import HEADER_KEYWORDS, code_study, joined, terms
from curate.findings import Finding, Severity, has_errors, merge
from curate.pixels.preview import preview
from curate.records import Row
from curate.remote import RemoteFile, ahead
from curate.steps.intake.lossless import stored
from curate.steps.intake.packing import Packer
from curate.steps.intake.series import contradictions, keywords, series_row
from curate.steps.intake.tasks import SourceInstance, StudyResult, StudyTask

_Clean = tuple[packs.Ids, tuple[packs.Bytes, ...]]


@dataclass(slots=True)
class _Work:
    """What is gathered while a study's instances pass by, the keys, and a folder for what is not finished."""

    keys: Keys
    scratch: Path
    digests: dict[str, bytes] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    facts: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    packs: list[tuple[Path, packs.Packed]] = field(default_factory=list)
    applied: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    refused: list[SourceInstance] = field(default_factory=list)
    headers: dict[str, dict[str, Any]] = field(default_factory=dict)
    references: list[references.Reference] = field(default_factory=list)
    previews: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    sources: set[bytes] = field(default_factory=set)
    refused_sources: set[bytes] = field(default_factory=set)
    already: int = 0
    size_bytes: int = 0
    looked: pixels.Tally = field(default_factory=pixels.Tally)
    places: dict[str, Row] = field(default_factory=dict)
    faces: faces.Plan = field(default_factory=faces.Plan)
    faceless: Counter[str] = field(default_factory=Counter)


class _StudyRefusedError(Exception):
    """The study as a whole goes to quarantine; the findings say why."""


def process(task: StudyTask, keys: Keys) -> StudyResult:
    """Admit a study, or as much of it as the rules allow; what they refuse is kept for a person to decide."""
    if has_errors(task.findings):
        return _refuse(task, keys, task.findings)
    with durable.storage_errors("use the store of packs"), task.packs.scratch() as scratch:
        work = _Work(keys, scratch)
        try:
            _pack_all(task, work)
            return _admitted(task, work)
        except _StudyRefusedError:
            return _refuse(task, keys, (*task.findings, *work.findings))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            # a defect of our own, met at odd data, must not stop the batch either
            place = task.instances[0].place if task.instances else ""
            return _refuse(task, keys, (*task.findings, *work.findings, Finding("PROGRAM_DEFECT", place)))


def _pack_all(task: StudyTask, work: _Work) -> None:
    """Read, judge and pack one instance after the other; only the packs' temporary files grow."""
    packer = Packer(work.scratch, task.target_pack_bytes)
    try:
        with durable.storage_errors("write a pack"):
            for ids, pieces in _clean_rows(task, work):
                packer.add(ids, pieces)
            packer.close()
    finally:
        packer.abandon()
    work.packs = packer.packs


def _clean_rows(task: StudyTask, work: _Work) -> Iterator[_Clean]:
    policy = Policy.from_mapping(task.profile)
    _plan_faces(task, work, policy)
    names = _names(task) if task.deidentify else frozenset()
    context = StudyContext(work.keys, task.donor_id, task.shift_us, task.study_date, names)
    for instance, read in zip(task.instances, ahead(i.path for i in task.instances), strict=True):
        try:
            data = read()
        except OSError:
            _set_aside(work, instance, Finding("FILE_UNREADABLE", instance.place))
            continue
        digest = identifiers.source_mark(work.keys, data)
        if instance.duplicate and work.digests.get(instance.instance_uid) not in (None, digest):
            work.findings.append(Finding("INSTANCE_UID_CONFLICT", instance.place))
            raise _StudyRefusedError
        if digest in task.known or digest in work.sources:
            work.already += 1
            continue
        if digest in work.refused_sources:
            work.refused.append(instance)
            continue
        if task.known:
            _look_only(task, work, instance, data, context, policy)
            work.refused_sources.add(digest)
            continue
        work.digests[instance.instance_uid] = digest
        row = _clean(task, work, instance, data, context, policy)
        (work.refused_sources if row is None else work.sources).add(digest)
        if row is not None:
            yield row


def _plan_faces(task: StudyTask, work: _Work, policy: Policy) -> None:
    """Judge the study's volumes as a whole, before the first instance of it is cut."""
    if policy.head == "allow" or task.heads == "admit" or task.known:
        return
    work.faces = faces.plan(_parsed(task), policy)
    if work.faces.held:
        work.findings.append(Finding(faces.UNSURE, task.instances[0].place, "PixelData"))
        raise _StudyRefusedError


def _parsed(task: StudyTask) -> Iterator[Parsed]:
    """The instances that can be read, each once; the others are set aside later."""
    seen: set[str] = set()
    for instance in task.instances:
        if instance.instance_uid in seen:
            continue
        with contextlib.suppress(OSError, MalformedError):
            yield parse(instance.path.read_bytes())
            seen.add(instance.instance_uid)


def _names(task: StudyTask) -> frozenset[str]:
    """The words and numbers of the person's identifiers, by one header of each series."""
    first = {instance.series_uid: instance for instance in reversed(task.instances)}
    names: set[str] = set()
    for instance in first.values():
        with contextlib.suppress(OSError, MalformedError):
            names |= profile.identifying_words(parse(instance.path.read_bytes()).dataset)
    return frozenset(names)


def _look_only(
    task: StudyTask, work: _Work, instance: SourceInstance, data: bytes, context: StudyContext, policy: Policy
) -> None:
    """A new instance of a study that is there already waits: by its own rule, or because it comes late."""
    scratch = _Work(work.keys, work.scratch)
    if _clean(task, scratch, instance, data, context, policy) is None:
        work.findings += scratch.findings
        work.refused.append(instance)
    else:
        _set_aside(work, instance, Finding("STUDY_ALREADY_ADMITTED", instance.place))


def _set_aside(work: _Work, instance: SourceInstance, finding: Finding) -> None:
    work.findings.append(finding)
    work.refused.append(instance)


def _clean(
    task: StudyTask,
    work: _Work,
    instance: SourceInstance,
    data: bytes,
    context: StudyContext,
    policy: Policy,
) -> _Clean | None:
    """One clean instance; None where a rule refuses it."""
    try:
        parsed = parse(data)
        if not task.deidentify and (direct := profile.direct_identifiers(parsed.dataset)):
            work.findings += [Finding(f.rule, instance.place, f.tag) for f in direct]
            raise _StudyRefusedError
        if instance.series_uid not in work.headers:
            work.headers[instance.series_uid] = facts_of(parsed.dataset, HEADER_KEYWORDS)
        rewritten = rewrite_parsed(parsed, context, policy)
        rewritten, voxels = faces.clean(parsed, rewritten, work.faces, policy)
        if instance.series_uid in work.faces.planes:
            work.faceless.update(instances=1, voxels=voxels)
        rewritten = pixels.clean(rewritten, policy, work.looked, task.decision)
        rewritten = stored(rewritten, task.pixels)
        if policy.site_and_scanner and rewritten.series_uid not in work.places:
            work.places[rewritten.series_uid] = _place_ids(work.keys, facts_of(parsed.dataset, _PLACE))
        verified = verify_rewritten(rewritten, policy)
        verdict = [f for f in verified.findings if f.severity is Severity.ERROR]
    except MalformedError as error:
        _set_aside(work, instance, Finding(error.rule, instance.place, error.tag))
        return None
    if verdict:
        _set_aside(work, instance, Finding("REWRITE_NOT_CLEAN", instance.place, verdict[0].tag))
        return None
    found = [Finding(f.rule, instance.place, f.tag, f.count) for f in rewritten.findings]
    work.findings += found
    if has_errors(found) or any(_held(f.rule, policy, task) for f in found):
        raise _StudyRefusedError
    return _row(task, work, rewritten, verified.dataset)


_SITE = ("InstitutionName", "InstitutionAddress")
_SCANNER = ("Manufacturer", "ManufacturerModelName", "DeviceSerialNumber", "StationName")
_PLACE = (*_SITE, *_SCANNER)


def _place_ids(keys: Keys, facts: dict[str, Any]) -> Row:
    """Keyed pseudonyms of where a series was acquired; the scanner's rests on its serial number or station."""
    named = {key: value for key, value in facts.items() if isinstance(value, str)}
    scanner = _SCANNER if any(named.get(key) for key in _SCANNER[2:]) else ()
    return {
        "site_id": identifiers.place_id(keys, "site", tuple(named.get(key, "") for key in _SITE)),
        "scanner_id": identifiers.place_id(keys, "scanner", tuple(named.get(key, "") for key in scanner)),
    }


def _held(rule: str, policy: Policy, task: StudyTask) -> bool:
    """Whether a person has to decide before the study may enter, and has not."""
    if rule in pixels.WAITS or (rule == "PIXELS_TEXT_LIKELY" and policy.burned_in == "hold"):
        return not task.decision
    if rule == faces.LIKELY and policy.head in ("hold", "deface"):
        return task.heads != "admit"
    return rule.startswith("HELD_")


def _row(task: StudyTask, work: _Work, rewritten: Rewritten, dataset: Item) -> _Clean:
    series, instance = rewritten.series_uid, rewritten.sop_instance_uid
    facts = facts_of(dataset, keywords())
    facts["TransferSyntaxUID"] = rewritten.transfer_syntax
    work.facts[series].append(facts)
    work.references += references.references(dataset, instance)
    work.applied.update(rewritten.applied)
    work.size_bytes += rewritten.size
    digest = hashlib.sha256()
    for piece in rewritten.chunks:
        digest.update(piece)
    work.rows.append(
        {
            "study_id": task.study_id,
            "SeriesInstanceUID": series,
            "SOPInstanceUID": instance,
            "sha256": digest.digest(),
            "size_bytes": rewritten.size,
            "SOPClassUID": rewritten.sop_class_uid,
            "transfer_syntax": rewritten.transfer_syntax,
            "frames": rewritten.frames,
        }
    )
    return packs.Ids(task.study_id, series, instance), rewritten.chunks


def _admitted(task: StudyTask, work: _Work) -> StudyResult:
    entry = _keep(task, work.keys, work.refused, work.findings, "part") if work.refused else None
    if not work.rows:
        return StudyResult(work.already, len(work.refused), merge(work.findings), None, entry)
    evidence = _evidence(
        task, work
    )  # of the images: what was wrong with the row would tell what a null hides
    coded, found = code_study(task.row, joined(work.headers.values()))
    odd = [name for facts in work.facts.values() for name in contradictions(facts)]
    found += [Finding("SERIES_CONTRADICTS", "", name) for name in odd]
    work.findings += [Finding(f.rule, task.instances[0].place, f.tag) for f in found]
    if has_errors(found):
        raise _StudyRefusedError
    record = _record(task, work, coded, evidence)
    for path, packed in work.packs:
        with durable.storage_errors("store a pack"):
            task.packs.put(path, packs.pack_path(packed.sha256))
    admitted = len(work.rows) + work.already
    findings = merge((*task.findings, *work.findings))
    return StudyResult(admitted, len(work.refused), findings, record, entry, work.size_bytes)


def _record(task: StudyTask, work: _Work, coded: Row, evidence: Row) -> StudyRecord:
    instances = _instance_rows(work)
    series_rows, previews = _series_rows(task, work, instances)
    digests = [row["sha256"] for row in instances]
    facts = {
        "modalities": sorted({row["Modality"] for row in series_rows if row["Modality"]}),
        "series_count": len(series_rows),
        "instance_count": len(instances),
        "size_bytes": work.size_bytes,
        "sha256": sha256_set(digests).hex(),
    }
    payload = {
        "license": task.license,
        "fold": task.fold,
        "day": task.day,
        "coded": coded,
        "facts": facts,
        "terms": terms(task.row),
        "evidence": evidence,
        "preview_rows": len(previews),
    }
    links = references.series_links(work.references, instances, series_rows)
    series = _table("series", series_rows)
    payload["images_say"] = disclosure.series_text(series)
    if names := _names_of_others(work, {row["SOPInstanceUID"] for row in instances}, task.study_id):
        payload["names"] = names
    return StudyRecord(
        task.study_id,
        task.donor_id,
        b"".join(sorted(work.sources)),
        payload,
        tables.to_ipc(series),
        tables.to_ipc(_table("instances", instances)),
        tables.to_ipc(_table("references", [{"study_id": task.study_id, **link} for link in links])),
        tables.to_ipc(_table("previews", previews)) if previews else None,
    )


def _names_of_others(work: _Work, instances: Collection[str], study_id: str) -> list[str]:
    """The UIDs of other studies, and of what is in them, that the study's images refer to."""
    named = {
        uid for reference in work.references for uid in (reference.target, reference.series, reference.study)
    }
    return sorted(named - {"", study_id, *instances, *work.facts})


def _table(name: str, rows: list[Row]) -> pa.Table:
    """Rows without the columns that only a release knows."""
    table = contract.to_arrow(name, rows)
    return table.drop_columns([c for c in ("license", "release_version") if c in table.schema.names])


def _instance_rows(work: _Work) -> list[Row]:
    places = [
        (packs.pack_path(packed.sha256), offset) for _, packed in work.packs for offset, _ in packed.places
    ]
    counts: Counter[str] = Counter()
    for row, (path, offset) in zip(work.rows, places, strict=True):
        row |= {"pack": path, "offset_bytes": offset, "slice_index": counts[row["SeriesInstanceUID"]]}
        counts[row["SeriesInstanceUID"]] += 1
    return work.rows


def _series_rows(task: StudyTask, work: _Work, instances: list[Row]) -> tuple[list[Row], list[Row]]:
    by_series: dict[str, list[tuple[int, Row]]] = defaultdict(list)
    for number, row in enumerate(instances):
        by_series[row["SeriesInstanceUID"]].append((number, row))
    rows, previews = [], []
    paths = [path for path, packed in work.packs for _ in packed.places]
    for uid, members in sorted(by_series.items()):
        inside = [row for _, row in members]
        rows.append(
            {
                **series_row(work.facts[uid]),
                **work.places.get(uid, {}),
                "study_id": task.study_id,
                "SeriesInstanceUID": uid,
                "SOPClassUIDs": sorted({row["SOPClassUID"] for row in inside}),
                "instance_count": len(inside),
                "frame_count": sum(row["frames"] for row in inside),
                "size_bytes": sum(row["size_bytes"] for row in inside),
            }
        )
        number, middle = members[len(members) // 2]
        data = packs.read_instance(paths[number], middle["offset_bytes"], middle["size_bytes"])
        if middle["frames"] and (png := preview(data)) is not None:
            image = {"bytes": png, "path": f"{uid}.png"}
            previews.append({"study_id": task.study_id, "SeriesInstanceUID": uid, "image": image})
    return rows, previews


def _evidence(task: StudyTask, work: _Work) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    looked: dict[str, Any] = {"pixels": work.looked.evidence()} if work.looked.frames else {}
    if task.decision:
        looked = {"pixels": work.looked.evidence() | {"decided": task.decision}}
    if work.faceless:
        looked |= {"faces": dict(sorted(work.faceless.items()))}
    if task.heads:
        looked |= {"faces": {"decided": task.heads}}
    for finding in work.findings:
        if finding.severity is not Severity.ERROR:
            counts[finding.rule] += finding.count
    return {
        "table": {"edition": profile.EDITION, "sha256": profile.rules_digest()},
        "profile": asdict(Policy.from_mapping(task.profile)),
        "applied": dict(sorted(work.applied.items())),
        "warnings": dict(sorted(counts.items())),
        "refused_instances": len(work.refused),
        "deidentified_by": "archive" if task.deidentify else "hospital",
        "tool": task.tool,
        **looked,
    }


def _refuse(task: StudyTask, keys: Keys, findings: tuple[Finding, ...]) -> StudyResult:
    """The whole study to quarantine, what is there already apart."""
    entry = _keep(task, keys, list(task.instances), list(findings), "study")
    return StudyResult(0, len(task.instances), merge(findings), None, entry)


def quarantine_id(keys: Keys, task: StudyTask, kind: str) -> str:
    """A name for what waits: keyed, so that it says nothing, and the same when it is sent again."""
    return "Q" + identifiers.order(keys, f"quarantine {kind} {task.study_uid}").hex()[:24]


def _keep(
    task: StudyTask, keys: Keys, kept: list[SourceInstance], findings: list[Finding], kind: str
) -> QuarantineEntry:
    """Encrypt the original files under the quarantine's key; the entry says how many and why, nothing else."""
    name = quarantine_id(keys, task, kind)
    codes: Counter[str] = Counter()
    for finding in findings:
        if finding.severity is not Severity.NOTE:
            codes[finding.rule] += finding.count
    size = 0
    index = [{"place": i.place, "path": i.origin} for i in kept]
    listed = canonical_json({"files": index, "findings": _plain(findings)}).encode()
    with durable.storage_errors("write to the quarantine"), task.quarantine.scratch() as folder:
        with (
            vault.sealing(folder / "vault", keys.quarantine) as out,
            tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar,
        ):
            _add(tar, "index.json", listed)
            for number, instance in enumerate(kept, 1):
                size += _add_file(tar, f"{number:06d}.dcm", instance.path)
        task.quarantine.put(folder / "vault", vault_name(name), mode=0o600, replace=True)
    return QuarantineEntry(
        name, task.study_id, task.at, dict(sorted(codes.items())), len(kept), size, task.donor_id
    )


def _plain(findings: list[Finding]) -> list[dict[str, Any]]:
    return [{"rule": f.rule, "place": f.place, "tag": f.tag, "count": f.count} for f in merge(findings)]


def _add_file(tar: tarfile.TarFile, name: str, path: Path | RemoteFile) -> int:
    try:
        with path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            _add_stream(tar, name, file, size)
            return size
    except OSError:  # it could not be read before either; the index names it
        return 0


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    _add_stream(tar, name, io.BytesIO(data), len(data))


def _add_stream(tar: tarfile.TarFile, name: str, stream: IO[bytes], size: int) -> None:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o600
    tar.addfile(info, stream)
