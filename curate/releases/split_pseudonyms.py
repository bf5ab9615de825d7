"""Secondary donor pseudonyms: for a study that, linked to its donor's other ones, would make the donor unique.

It gets a `donor_id` of its own, which PatientID in its images is too, its dates begin on 2000-01-01, and whatever else
it has in common with the donor's other studies (a frame of reference, a reference to them) is named anew. That is done
before its first publication, after which it stays as it is; the donor's `fold` stays, so that no split parts a person.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from curate.archive import arrow_ipc, packs
from curate.archive.ledger_records import StudyRecord
from curate.archive.pack_consolidation import pack_rows, store
from curate.archive.repository import Archive
from curate.core import arrays
from curate.core.digests import sha256_set
from curate.core.errors import DamagedError
from curate.core.findings import has_errors
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from curate.policies import Policy

Rename = Callable[[str], str]


def split_donors(archive: Archive, parts: Mapping[str, int]) -> None:
    """Bring studies that were never published under the id that they are to have: 0 the donor's own, 1 the next.

    A study at a time: its packs, then the ledger. What a kill leaves undone, or what a cut that nobody saw did
    otherwise, the next run brings in order.

    Raises:
        DamagedError: a pack does not hold what the ledger says.
    """
    if not parts:
        return
    keys = Keys.from_secret(archive.secret)
    present = ((outline.study_id, part_of(outline.payload)) for outline in archive.ledger.outlines())
    for study, part in [(study, parts[study]) for study, now in present if parts.get(study, now) != now]:
        _alone(archive, study)
        record = archive.ledger.study(study)
        if record is not None:
            changed = _under(archive, keys, record, part)
            with archive.ledger.transaction():
                archive.ledger.put_study(changed)


def part_of(payload: Mapping[str, object]) -> int:
    """Which of its donor's ids a study goes under: 0 for the donor's own."""
    further = payload.get("further")
    return int(further["part"]) if isinstance(further, dict) else 0


def digests_under(archive: Archive, record: StudyRecord, part: int, *, first: bool = False) -> Iterator[bytes]:
    """The digests that a study's instances would have under another of its donor's ids, or that of the `first` alone.

    Raises:
        DamagedError: a pack does not hold what the ledger says.
    """
    from curate.deid.repseudonymize import repseudonymize

    keys, policy = Keys.from_secret(archive.secret), Policy.from_mapping(archive.config.profile)
    (donor, days), rename = _donor_and_days(keys, record, part), _renamer(keys, record, part)
    for row in islice(pack_rows(archive.packs, record, proven=True), 1 if first else None):
        yield hashlib.sha256(repseudonymize(row.data, donor, days, rename, policy)).digest()


def _alone(archive: Archive, study: str) -> None:
    """Give every study that shares a pack with this one packs of its own: what it was must not stay in theirs."""
    record = archive.ledger.study(study)
    shared = {path: archive.ledger.sharing(path) for path in (record.files if record is not None else ())}
    packed = {other for path, held in shared.items() if path.startswith("packs/") for other in held}
    for other in sorted(packed) if len(packed) > 1 else ():
        record = archive.ledger.study(other)
        if record is not None:
            apart = store(archive, [record])[0]
            with archive.ledger.transaction():
                archive.ledger.put_study(replace(apart, merged=0))


def _under(archive: Archive, keys: Keys, record: StudyRecord, part: int) -> StudyRecord:
    """The study's record and packs under one of its donor's ids."""
    policy = Policy.from_mapping(archive.config.profile)
    donor, days = _donor_and_days(keys, record, part)
    rename = _renamer(keys, record, part)
    rows = list(_rows(archive, record, donor, days, rename, policy))
    packed = packs.store_pack(rows, archive.packs)
    digests = [hashlib.sha256(row.data).digest() for row in rows]
    sizes = [len(row.data) for row in rows]
    facts = {**record.payload["facts"], "sha256": sha256_set(digests).hex(), "size_bytes": sum(sizes)}
    payload = {key: value for key, value in record.payload.items() if key != "further"} | {"facts": facts}
    if part:
        payload["further"] = {"part": part, "donor_id": donor}
    per_series: dict[str, int] = defaultdict(int)
    for row in rows:
        per_series[row.series] += len(row.data)
    stored: dict[str, Sequence[object]] = {"sha256": digests, "size_bytes": sizes}
    stored["pack"] = [packs.pack_path(packed.sha256)] * len(rows)
    stored["offset_bytes"] = [at for at, _ in packed.places]
    series = arrow_ipc.from_ipc(record.series)
    frames = [uid and rename(uid) for uid in series["FrameOfReferenceUID"].to_pylist()]
    total = [per_series[uid] for uid in series["SeriesInstanceUID"].to_pylist()]
    return replace(
        record,
        payload=payload,
        series=_with(record.series, {"FrameOfReferenceUID": frames, "size_bytes": total}),
        instances=_with(record.instances, stored),
        links=_renamed_links(record.links, rename),
        merged=0,
    )


def _donor_and_days(keys: Keys, record: StudyRecord, part: int) -> tuple[str, int]:
    """The id under which a study is to go, and by how many days its dates move for that."""
    day = record.payload["day"] or 0
    donor = pseudonyms.further_donor_id(keys, record.donor_id, part) if part else record.donor_id
    return donor, (0 if part else day) - (0 if part_of(record.payload) else day)


def _rows(
    archive: Archive, record: StudyRecord, donor: str, days: int, rename: Rename, policy: Policy
) -> Iterator[packs.PackRow]:
    # most releases name nothing anew, and these bring pydicom, a quarter of a second to import
    from curate.deid.repseudonymize import repseudonymize
    from curate.deid.verify import verify

    for row in pack_rows(archive.packs, record):
        clean = repseudonymize(row.data, donor, days, rename, policy)
        if has_errors(verify(clean, policy)) or (donor != record.donor_id and record.donor_id.encode() in clean):
            raise DamagedError(
                f"Study {record.study_id} cannot be named anew.",
                hint="Report this; nothing of it was released.",
            )
        yield replace(row, data=clean)


def _renamer(keys: Keys, record: StudyRecord, part: int) -> Rename:
    """A new name for every UID that is not the study's own; none where it goes back to its donor's own id."""
    own = record.own_uids
    if not part:
        return lambda uid: uid
    return lambda uid: uid if uid in own else pseudonyms.new_uid(keys, f"{record.study_id} {part} {uid}")


def _renamed_links(data: bytes, rename: Rename) -> bytes:
    names = ("referenced_study_id", "ReferencedSeriesInstanceUID")
    links = arrow_ipc.from_ipc(data)
    return _with(data, {name: _each(rename, links[name].to_pylist()) for name in names})


def _each(rename: Rename, uids: Iterable[str | None]) -> list[str | None]:
    return [uid and rename(uid) for uid in uids]


def _with(data: bytes, columns: Mapping[str, Sequence[object]]) -> bytes:
    """A table of the ledger with other values in some columns."""
    table = arrow_ipc.from_ipc(data)
    for name, values in columns.items():
        at = table.schema.get_field_index(name)
        table = table.set_column(at, table.schema.field(at), arrays.array(values, table.schema.field(at).type))
    return arrow_ipc.to_ipc(table)
