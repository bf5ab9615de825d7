"""Merges small packs and preview shards up to the target size; rewrites those of a withdrawn study without it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from operator import itemgetter

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import contract
from curate.archive import arrow_ipc, packs
from curate.archive.ledger_records import StudyRecord
from curate.archive.repository import Archive
from curate.archive.stores import Store
from curate.core import arrays, durable
from curate.core.digests import sha256_file
from curate.core.errors import DamagedError


def consolidate(archive: Archive, chosen: Collection[str]) -> None:
    """Merge the packs of the studies `chosen` that no release holds yet, in the order of their ids.

    What is not chosen stays in packs of its own, and leaves one that it shares with what is: a released file
    holds nothing that waits. A study of half the target size or more keeps its own packs. Each group is written,
    then recorded in one transaction; a kill in between leaves an unused file that the next run writes again or
    removes.
    """
    _part_packs(archive, chosen)
    _part_shards(archive, chosen)
    fresh = [study for study in archive.ledger.unmerged() if study in chosen]
    for group in _groups(_stream(archive, fresh), archive.config.target_pack_bytes):
        records = store(archive, group) if len(group) > 1 else group
        with archive.ledger.transaction():
            for record in records:
                archive.ledger.put_study(replace(record, merged=1))
    _shard_previews(archive, chosen)
    remove_unused(archive)


def _part_packs(archive: Archive, chosen: Collection[str]) -> None:
    """Packs that hold studies of both kinds are written again: one for those chosen, one for each other."""
    for _, studies in _mixed(archive, "packs/", chosen):
        records = list(_stream(archive, studies))
        stay = store(archive, [record for record in records if record.study_id in chosen])
        leave = [store(archive, [record])[0] for record in records if record.study_id not in chosen]
        with archive.ledger.transaction():
            for record in stay:
                archive.ledger.put_study(record)
            for record in leave:
                archive.ledger.put_study(replace(record, merged=0))


def _part_shards(archive: Archive, chosen: Collection[str]) -> None:
    """The same for shards of previews; what is not chosen keeps its previews in the ledger again."""
    for shard, studies in _mixed(archive, "previews/", chosen):
        records = list(_stream(archive, studies))
        rows = pq.read_table(archive.root / shard)
        mine = {record.study_id: rows.filter(pc.equal(rows["study_id"], record.study_id)) for record in records}
        path = write_shard(archive, pa.concat_tables(mine[study] for study in studies if study in chosen))
        with archive.ledger.transaction():
            for record in records:
                if record.study_id in chosen:
                    moved = replace(record, payload={**record.payload, "preview": path})
                else:
                    bare = {key: value for key, value in record.payload.items() if key != "preview"}
                    moved = replace(record, payload=bare, previews=arrow_ipc.to_ipc(mine[record.study_id]))
                archive.ledger.put_study(moved)


def _stream(archive: Archive, studies: Iterable[str]) -> Iterator[StudyRecord]:
    """The records of studies, one at a time."""
    return (record for study in studies if (record := archive.ledger.study(study)) is not None)


def _mixed(archive: Archive, kind: str, chosen: Collection[str]) -> list[tuple[str, list[str]]]:
    """The files of a kind that hold both studies that are chosen and such that are not, with all of them."""
    found = []
    for path, pairs in groupby(archive.ledger.stored(), key=itemgetter(0)):
        studies = [study for _, study in pairs]
        if path.startswith(kind) and 0 < sum(study in chosen for study in studies) < len(studies):
            found.append((path, studies))
    return found


def study_bytes(record: StudyRecord) -> int:
    """Size of a study's instances in bytes."""
    return sum(arrow_ipc.columns_of_ipc(record.instances, ("size_bytes",))["size_bytes"].to_pylist())


def _groups(studies: Iterable[StudyRecord], target: int) -> Iterator[list[StudyRecord]]:
    group: list[StudyRecord] = []
    total = 0
    for study in studies:
        size = study_bytes(study)
        if size * 2 >= target:
            yield [study]
            continue
        if group and total + size > target:
            yield group
            group, total = [], 0
        group.append(study)
        total += size
    if group:
        yield group


def pack_rows(store: Store, record: StudyRecord, *, proven: bool = False) -> Iterator[packs.PackRow]:
    """A study's instances out of its present packs, in their order; `proven` ones have the digest of their row.

    Raises:
        DamagedError: one is cut short; or, if all are to be proven, is not what was admitted.
    """
    for name, rows in groupby(arrow_ipc.from_ipc(record.instances).to_pylist(), key=itemgetter("pack")):
        with store.local(name) as path:
            for row in rows:
                data = packs.read_instance(path, row["offset_bytes"], row["size_bytes"])
                if proven and hashlib.sha256(data).digest() != row["sha256"]:  # nothing damaged gets a new name
                    raise DamagedError(f"{name} is damaged.", hint="Run `curate doctor` on the archive.")
                yield packs.PackRow(record.study_id, row["SeriesInstanceUID"], row["SOPInstanceUID"], data)


def store(archive: Archive, group: list[StudyRecord], *, proven: bool = False) -> list[StudyRecord]:
    """One new pack of several studies; their records with the new places."""
    rows = (row for record in group for row in pack_rows(archive.packs, record, proven=proven))
    packed = packs.store_pack(rows, archive.packs)
    path, places, result = packs.pack_path(packed.sha256), iter(packed.places), []
    for record in group:
        instances = arrow_ipc.from_ipc(record.instances)
        offsets = [next(places)[0] for _ in range(instances.num_rows)]
        result.append(replace(record, instances=arrow_ipc.to_ipc(_placed(instances, path, offsets))))
    return result


def _placed(instances: pa.Table, path: str, offsets: list[int]) -> pa.Table:
    names = instances.schema.names
    columns = {name: instances[name] for name in names}
    columns["pack"] = arrays.array([path] * len(offsets), pa.string())
    columns["offset_bytes"] = arrays.array(offsets, pa.int64())
    return pa.table(columns, schema=instances.schema)


def rewrite_without(archive: Archive, records: Iterable[StudyRecord], gone: frozenset[str]) -> list[StudyRecord]:
    """The records that shared a pack or a preview shard with what goes, in new ones without it.

    A withdrawal waits for no repair: in a pack that is damaged, what goes becomes zeros, and what stays lies there
    still, as it is; a damaged shard of previews is removed. `doctor` tells both, and mends them.
    """
    ledger, moved = archive.ledger, dict[str, StudyRecord]()
    leaving = list(records)
    for path in sorted({path for record in leaving for path in ledger.places(record.study_id)}):
        here = [study for study in ledger.sharing(path) if study not in gone]
        if not here:
            continue
        try:
            stay = [r for study in here if (r := moved.get(study) or ledger.study(study)) is not None]
            if path.startswith("packs/"):
                moved |= {record.study_id: record for record in store(archive, stay, proven=True)}
            else:
                shard = _shard_without(archive, path, gone)
                moved |= {r.study_id: replace(r, payload={**r.payload, "preview": shard}) for r in stay}
        except (DamagedError, FileNotFoundError, pa.ArrowException):
            _blank(archive, path, leaving)
    return list(moved.values())


def _blank(archive: Archive, path: str, leaving: Iterable[StudyRecord]) -> None:
    """Write zeros where the instances lie that leave a damaged pack; a damaged shard goes as a whole.

    Raises:
        DamagedError: the pack lies where nothing can be written over.
    """
    store = archive.store_of(path)
    if not store.has(path):
        return
    if not path.startswith("packs/"):
        store.remove(path)
        return
    if store.is_remote:
        raise DamagedError(f"{path} in the store is damaged.", hint="Run `curate doctor`, then withdraw again.")
    place = store.place(path)
    with durable.storage_errors("erase from a damaged pack"):
        durable.step("write", place)
        place.chmod(0o600)
        with place.open("r+b") as file:
            for record in leaving:
                for row in arrow_ipc.from_ipc(record.instances).to_pylist():
                    if row["pack"] == path and row["offset_bytes"] < place.stat().st_size:
                        file.seek(row["offset_bytes"])
                        file.write(bytes(row["size_bytes"]))
        durable.fsync_file(place)
        place.chmod(0o400)


def _shard_without(archive: Archive, shard: str, gone: frozenset[str]) -> str:
    with durable.storage_errors("write previews"):
        rows = pq.read_table(archive.root / shard)
    keep = [study not in gone for study in rows["study_id"].to_pylist()]
    return write_shard(archive, rows.filter(arrays.array(keep, pa.bool_())))


def _shard_previews(archive: Archive, chosen: Collection[str]) -> None:
    """Write the previews of new studies as shards under content names, and note each study's shard."""
    fresh = [study for study in archive.ledger.unsharded() if study in chosen]
    for start in range(0, len(fresh), 500):
        group = list(_stream(archive, fresh[start : start + 500]))
        path = write_shard(archive, pa.concat_tables(arrow_ipc.from_ipc(s.previews or b"") for s in group))
        with archive.ledger.transaction():
            for study in group:
                payload = {**study.payload, "preview": path}
                archive.ledger.put_study(replace(study, previews=None, payload=payload))


def write_shard(archive: Archive, rows: pa.Table) -> str:
    """Write previews as one shard under its content's name; gives its path."""
    schema = contract.table("previews").schema
    temporary = archive.temporary / "previews"
    with durable.storage_errors("write previews"):
        durable.step("write", temporary)
        pq.write_table(rows.cast(schema), temporary, compression="none", store_schema=False, row_group_size=500)
        durable.fsync_file(temporary)
        digest = sha256_file(temporary)
        path = f"previews/{digest}.parquet"
        target = archive.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.chmod(0o400)
        durable.rename(temporary, target)
    return path


def unused(archive: Archive) -> list[tuple[Store, str]]:
    """Packs and previews that no study of the ledger needs, each with its store."""
    used = {path for path, _ in archive.ledger.stored()}
    stores = [(kind, archive.store_of(f"{kind}/")) for kind in ("packs", "previews")]
    return [(store, name) for kind, store in stores for name in store.names(kind) if name not in used]


def remove_unused(archive: Archive) -> None:
    """Remove packs and previews that no study of the ledger needs."""
    with durable.storage_errors("remove unused packs"):
        for store, name in unused(archive):
            store.remove(name)
