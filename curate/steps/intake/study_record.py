"""What the ledger keeps of an admitted study: its rows for the manifest, its facts, and what was done to it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from curate import contract
from curate.archive import arrow_ipc, packs
from curate.archive.ledger_records import StudyRecord
from curate.core.digests import sha256_set
from curate.core.findings import Finding, Severity
from curate.core.records import Row
from curate.decoding import DecoderDiedError
from curate.deid import profile
from curate.dicom import series_references
from curate.dicom.series_rows import series_row
from curate.donation import quasi_identifiers
from curate.donation.burned_in_annotation import DIED
from curate.donation.study_metadata import terms
from curate.pixels.render.preview import preview
from curate.policies import Policy
from curate.steps.intake import batch_state
from curate.steps.intake.tasks import StudyTask
from curate.steps.intake.work import Work


def record(task: StudyTask, work: Work, coded: Row, evidence: Row) -> StudyRecord:
    """The record of a study whose packs are written."""
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
    links = series_references.series_links(work.references, instances, series_rows)
    series = _table("series", series_rows)
    payload["images_say"] = quasi_identifiers.series_text(series)
    if names := _names_of_others(work, {row["SOPInstanceUID"] for row in instances}, task.study_id):
        payload["names"] = names
    return StudyRecord(
        task.study_id,
        task.donor_id,
        b"".join(sorted(work.sources)),
        payload,
        arrow_ipc.to_ipc(series),
        arrow_ipc.to_ipc(_table("instances", instances)),
        arrow_ipc.to_ipc(_table("references", [{"study_id": task.study_id, **link} for link in links])),
        arrow_ipc.to_ipc(_table("previews", previews)) if previews else None,
        notes=_notes(task, work).stored(),
    )


def _notes(task: StudyTask, work: Work) -> batch_state.Notes:
    """What a later batch of the study must know."""
    return batch_state.Notes(
        batch_state.row_mark(work.keys, task.row),
        task.moment,
        task.shift_us,
        task.study_date,
        tuple(order[1:4] for order in work.order),
        {order.series: (order, batch_state.coded_facts(told)) for order, told in work.headers.values()},
        frozenset(batch_state.word_marks(work.keys, work.names)),
        frozenset(mark.hex() for mark in work.refused_sources),
        work.renumbered,
    )


def _names_of_others(work: Work, instances: Collection[str], study_id: str) -> list[str]:
    """The UIDs of other studies, and of what is in them, that the study's images refer to."""
    named = {uid for reference in work.references for uid in (reference.target, reference.series, reference.study)}
    return sorted(named - {"", study_id, *instances, *work.facts})


def _table(name: str, rows: list[Row]) -> pa.Table:
    """Rows without the columns that only a release knows."""
    table = contract.to_arrow(name, rows)
    return table.drop_columns([c for c in ("license", "release_version") if c in table.schema.names])


def _instance_rows(work: Work) -> list[Row]:
    places = [(packs.pack_path(packed.sha256), offset) for _, packed in work.packs for offset, _ in packed.places]
    counts: Counter[str] = Counter()
    for row, (path, offset) in zip(work.rows, places, strict=True):
        row |= {"pack": path, "offset_bytes": offset, "slice_index": counts[row["SeriesInstanceUID"]]}
        counts[row["SeriesInstanceUID"]] += 1
    return work.rows


def _series_rows(task: StudyTask, work: Work, instances: list[Row]) -> tuple[list[Row], list[Row]]:
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
        if middle["frames"] and (png := _preview(work, middle["SOPInstanceUID"], data)) is not None:
            image = {"bytes": png, "path": f"{uid}.png"}
            previews.append({"study_id": task.study_id, "SeriesInstanceUID": uid, "image": image})
    return rows, previews


def _preview(work: Work, instance: str, data: bytes) -> bytes | None:
    """The preview of an instance, or None; that its decoder died is a finding of the instance."""
    try:
        return preview(data)
    except DecoderDiedError:
        work.findings.append(Finding(DIED, work.came.get(instance, ""), "PixelData"))
        return None


def evidence(task: StudyTask, work: Work) -> dict[str, Any]:
    """By what table and policy the images were rewritten, how often each rule applied, and what was looked at."""
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
