"""Cut a release again without studies that were withdrawn, from its own folder: same version, same date.

What remains is the same byte for byte: packs and preview shards that held nothing withdrawn are linked, the
others are written without it. Counts by sex or region are left out: their difference to those that were
published before would tell the withdrawn person's values.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import contract
from curate.archive import arrow_ipc, packs
from curate.archive.ledger_records import StudyRecord
from curate.archive.pack_consolidation import write_shard
from curate.archive.repository import Archive
from curate.core import arrays, durable
from curate.core.digests import sha256_file
from curate.core.errors import DamagedError
from curate.core.records import ReleaseSummary, Row
from curate.releases import publication_context, recall_notices, release_files
from curate.releases.attest import attest_again
from curate.releases.publication_context import PublicationContext
from curate.releases.version_history import changes_of, history_before
from curate.transparency import signing_keys

_Place = tuple[str, int]


@dataclass(slots=True)
class _Kept:
    """What is counted while the tables are written again."""

    rows: Counter[str] = field(default_factory=Counter)
    donors: Counter[str] = field(default_factory=Counter)
    licenses: Counter[str] = field(default_factory=Counter)
    modalities: Counter[str] = field(default_factory=Counter)
    size_bytes: int = 0
    packs: set[str] = field(default_factory=set)


def recut(archive: Archive, version: str, gone: frozenset[str], day: str, out: Path) -> str:
    """Write the release without the studies `gone` into a new folder; gives the digest of its seal.

    Its revocations are all that the archive knows the first version of, so that a reader of this version sees
    that it was cut again.

    Raises:
        StorageError: the disk is full or fails.
        DamagedError: what it is made of is not what was released; nothing damaged is sealed anew.
    """
    folder = archive.releases / version
    sealed = _sealed(folder)
    durable.remove(out)  # of a run that was stopped, or that met damage
    (out / "manifest").mkdir(parents=True)
    moved = _packs(archive, folder, gone)
    kept = _tables(folder, out, gone, moved)
    _revocations(archive, folder, out, kept)
    for path in sorted(kept.packs):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        if (folder / path).is_file():
            durable.link(folder / path, out / path)
        archive.packs.take(path, out / path, archive.releases)
    _previews(archive, folder, out, gone, kept)
    release_files.write_licenses(out, kept.licenses)
    summary = _summary(archive, sealed, kept, day)
    summary = replace(summary, files=release_files.entries(out))
    release_files.write_texts(out, summary)
    replaced = [*sealed.get("recut", {}).get("replaces", []), sha256_file(folder / "release.json")]
    digest = release_files.seal(
        out,
        summary,
        sealed["previous"],
        contract_version=sealed["contract"],
        recut={"date": day, "replaces": replaced},
        **{key: sealed[key] for key in ("profile", "privacy") if key in sealed},
        **_outside(archive, sealed).sealed(),
    )
    attest_again(archive, folder, out, version, digest, gone)
    return digest


def _sealed(folder: Path) -> dict[str, Any]:
    """What the version's seal says; its tables are those that it lists.

    Raises:
        DamagedError: they are not.
    """
    path = "release.json"
    try:
        sealed: dict[str, Any] = json.loads((folder / path).read_bytes())
        for path in (f"manifest/{name}.parquet" for name in contract.MANIFEST_TABLES):
            if sha256_file(folder / path) != sealed["files"][path]["sha256"]:
                raise _damaged(f"{path} of {folder.name}")
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _damaged(f"{path} of {folder.name}") from error
    return sealed


def _damaged(what: str) -> DamagedError:
    return DamagedError(f"{what} is not what was released.", hint="Run `curate doctor` on the archive.")


def _outside(archive: Archive, sealed: Mapping[str, Any]) -> PublicationContext:
    """What the version said of the world around it, and the notices of what was recalled from it."""
    stated = publication_context.of_seal(sealed)
    told = (*stated.notices, *recall_notices.of_version(archive, sealed["version"]))
    return replace(stated, notices=tuple(dict.fromkeys(told)))


def _among(column: Any, studies: frozenset[str]) -> Any:
    return pc.is_in(column, value_set=arrays.array(sorted(studies), pa.string()))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    durable.link(source, target)


def _batches(folder: Path, name: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
    for batch in contract.read_batches(folder / "manifest" / f"{name}.parquet", columns):
        yield pa.Table.from_batches([batch])


def _packs(archive: Archive, folder: Path, gone: frozenset[str]) -> dict[_Place, _Place]:
    """Write the packs that held a withdrawn study without it; old place -> new place of what stays."""
    columns = [
        "study_id",
        "SeriesInstanceUID",
        "SOPInstanceUID",
        "sha256",
        "pack",
        "offset_bytes",
        "size_bytes",
    ]
    held: set[str] = set()
    for rows in _batches(folder, "instances", ["study_id", "pack"]):
        held |= set(rows.filter(_among(rows["study_id"], gone))["pack"].to_pylist())
    by_pack: dict[str, list[Row]] = {path: [] for path in held}
    for rows in _batches(folder, "instances", columns):
        inside = pc.and_(_among(rows["pack"], frozenset(held)), pc.invert(_among(rows["study_id"], gone)))
        for row in rows.filter(inside).to_pylist():
            by_pack[row["pack"]].append(row)
    moved: dict[_Place, _Place] = {}
    for path, rows in sorted(by_pack.items()):
        rows.sort(key=lambda row: row["offset_bytes"])
        if rows:
            places = _stored_already(archive, rows, held) or _stored_now(archive, folder, rows)
            for row, place in zip(rows, places, strict=True):
                moved[path, row["offset_bytes"]] = place
    return moved


def _stored_now(archive: Archive, folder: Path, rows: list[Row]) -> list[_Place]:
    packed = packs.store_pack(_pack_rows(folder, rows), archive.packs)
    found = [(packs.pack_path(packed.sha256), offset) for offset, _ in packed.places]
    _repoint(archive, rows, found)
    return found


def _repoint(archive: Archive, rows: list[Row], places: list[_Place]) -> None:
    """Let the ledger's records of studies that lie in a damaged pack still name the sound one that was written."""
    new = {row["sha256"]: place for row, place in zip(rows, places, strict=True)}
    old, changed = {row["pack"] for row in rows}, []
    for study in sorted({row["study_id"] for row in rows}):
        record = _sound(archive, study)
        if record is None or not old & set(archive.ledger.places(study)):
            continue
        table = arrow_ipc.from_ipc(record.instances)
        here = [(row["pack"], row["offset_bytes"]) for row in table.to_pylist()]
        now = [new.get(sha, place) for sha, place in zip(table["sha256"].to_pylist(), here, strict=True)]
        table = _set(_set(table, "pack", [path for path, _ in now]), "offset_bytes", [at for _, at in now])
        changed.append(replace(record, instances=arrow_ipc.to_ipc(table)))
    if changed:
        with archive.ledger.transaction():
            for record in changed:
                archive.ledger.put_study(record)


def _stored_already(archive: Archive, rows: list[Row], held: set[str]) -> list[_Place]:
    """Where the archive holds just these instances in one pack: the withdrawal has written it; else nothing."""
    studies = sorted({row["study_id"] for row in rows})
    places: dict[bytes, _Place] = {}
    count = 0
    for record in map(archive.ledger.study, studies):
        if record is None:
            return []
        columns = arrow_ipc.columns_of_ipc(record.instances, ("sha256", "pack", "offset_bytes"))
        places |= {r["sha256"]: (r["pack"], r["offset_bytes"]) for r in columns.to_pylist()}
        count += columns.num_rows
    found = [place for row in rows if (place := places.get(row["sha256"])) is not None]
    shared = {path for path, _ in found}
    if not len(found) == len(rows) == count or len(shared) != 1:
        return []
    if shared & held:  # a pack that was too damaged to be written again: it holds, or held, what goes
        return []
    (pack,) = shared
    return found if archive.ledger.sharing(pack) == studies and archive.packs.holds(pack) else []


def _pack_rows(folder: Path, rows: list[Row]) -> Iterator[packs.PackRow]:
    for row in rows:
        try:
            data = packs.read_instance(folder / row["pack"], row["offset_bytes"], row["size_bytes"])
        except OSError as error:
            raise _damaged(f"{row['pack']} of {folder.name}") from error
        if hashlib.sha256(data).digest() != row["sha256"]:
            raise _damaged(f"{row['pack']} of {folder.name}")
        yield packs.PackRow(row["study_id"], row["SeriesInstanceUID"], row["SOPInstanceUID"], data)


def _tables(folder: Path, out: Path, gone: frozenset[str], moved: Mapping[_Place, _Place]) -> _Kept:
    """Write the manifest without the rows of what is gone."""
    kept = _Kept()
    for name in (name for name in contract.MANIFEST_TABLES if name != "revocations"):
        target = out / "manifest" / f"{name}.parquet"
        durable.step("write", target)
        kept.rows[name] = 0
        with contract.TableWriter(name, target) as writer:
            for rows in _batches(folder, name):
                rows = rows.filter(pc.invert(_among(rows["study_id"], gone)))
                if name == "studies":
                    _count_studies(kept, rows)
                if name == "instances":
                    rows = _placed(rows, moved)
                    kept.packs |= set(rows["pack"].unique().to_pylist())
                kept.rows[name] += rows.num_rows
                writer.write(rows)
    if kept.rows["instances"]:
        kept.rows["images"] = kept.rows["instances"]
    return kept


def revoked(folder: Path) -> dict[bytes, str]:
    """Hashed digest -> version, as a release's `revocations` states."""
    batches = contract.read_batches(folder / "manifest" / "revocations.parquet")
    return {row["sha256_of_sha256"]: row["version"] for batch in batches for row in batch.to_pylist()}


def revoked_since(archive: Archive) -> dict[bytes, str]:
    """What a release without them states already: hashed digest -> its version."""
    return {digest: since for digest, since in archive.ledger.revocations() if since is not None}


def _revocations(archive: Archive, folder: Path, out: Path, kept: _Kept) -> None:
    rows = sorted((revoked(folder) | revoked_since(archive)).items())
    target = out / "manifest" / "revocations.parquet"
    durable.step("write", target)
    named = [{"sha256_of_sha256": digest, "version": since} for digest, since in rows]
    contract.write_table("revocations", target, [contract.to_arrow("revocations", named)])
    kept.rows["revocations"] = len(rows)


def _set(rows: pa.Table, name: str, values: list[Any]) -> pa.Table:
    at = rows.schema.get_field_index(name)
    return rows.set_column(at, rows.schema.field(at), arrays.array(values, rows.schema.field(at).type))


def _placed(rows: pa.Table, moved: Mapping[_Place, _Place]) -> pa.Table:
    places = list(zip(rows["pack"].to_pylist(), rows["offset_bytes"].to_pylist(), strict=True))
    new = [moved.get(place, place) for place in places]
    return _set(_set(rows, "pack", [path for path, _ in new]), "offset_bytes", [offset for _, offset in new])


def _count_studies(kept: _Kept, rows: pa.Table) -> None:
    kept.donors.update(rows["donor_id"].to_pylist())
    kept.licenses.update(rows["license"].to_pylist())
    for modalities in rows["modalities"].to_pylist():
        kept.modalities.update(modalities)
    kept.size_bytes += pc.sum(rows["size_bytes"]).as_py() or 0


def _previews(archive: Archive, folder: Path, out: Path, gone: frozenset[str], kept: _Kept) -> None:
    """Link the shards that held nothing withdrawn; write the others without it."""
    for shard in sorted((folder / "previews").glob("*.parquet")):
        try:
            source, rows = shard, pq.read_table(shard, columns=["study_id"])
        except (OSError, pa.ArrowException) as error:
            raise _damaged(f"previews/{shard.name} of {folder.name}") from error
        leave = _among(rows["study_id"], gone)
        count = rows.num_rows - (pc.sum(leave).as_py() or 0)
        if count and count < rows.num_rows:
            if sha256_file(shard) != shard.stem:
                raise _damaged(f"previews/{shard.name} of {folder.name}")
            path = write_shard(archive, pq.read_table(shard).filter(pc.invert(leave)))
            _repoint_previews(archive, f"previews/{shard.name}", path)
            source = archive.root / path
        if count:
            _link(source, out / "previews" / source.name)
            kept.rows["previews"] += count


def _sound(archive: Archive, study: str) -> StudyRecord | None:
    """A study's record, if it is what was written: an edited one never gets a new seal."""
    try:
        return archive.ledger.study(study)
    except DamagedError:  # release and `doctor` tell it
        return None


def _repoint_previews(archive: Archive, old: str, new: str) -> None:
    """The same of a shard of previews that was too damaged to be written again, and is gone."""
    records = [r for study in archive.ledger.sharing(old) if (r := _sound(archive, study)) is not None]
    if records:
        with archive.ledger.transaction():
            for record in records:
                archive.ledger.put_study(replace(record, payload={**record.payload, "preview": new}))


def _summary(archive: Archive, sealed: Mapping[str, Any], kept: _Kept, day: str) -> ReleaseSummary:
    version = sealed["version"]
    note = f"Studies were withdrawn after this version was published; it was cut again without them on {day}."
    info = replace(archive.config.info, **{k: sealed[k] for k in ("title", "publisher", "population")})
    previous = sealed["previous"]
    opened = {event.subject: event.payload for event in archive.ledger.events("release_opened")}[version]
    return ReleaseSummary(
        archive=info,
        version=version,
        released=date.fromisoformat(sealed["date"]),
        previous_version=previous["version"] if previous else None,
        table_rows=dict(kept.rows),
        donor_count=len(kept.donors),
        size_bytes=kept.size_bytes,
        license_counts=dict(kept.licenses),
        modality_counts=dict(kept.modalities),
        tables={},
        files=(),
        added=opened["added"],
        removed=opened["removed"],
        history=history_before(archive, version),
        changes=changes_of(archive, version),
        statements=(*(s for s in sealed["statements"] if not s.startswith(note[:40])), note),
        key=str(signing_keys.read(archive.log_key).public),
        **_outside(archive, sealed).fields(),
    )
