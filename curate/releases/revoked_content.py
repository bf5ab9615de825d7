"""The studies that are here and that a release revokes: by their bytes, as they are or as they went out.

A study that first came out after the backup may have done so under a further id (`split_pseudonyms.py`): with other
bytes than it has here. The ids are keyed, so the archive can tell what its bytes would have been.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from curate.archive import arrow_ipc
from curate.archive.ledger_records import StudyRecord
from curate.archive.release_folders import release_folders, studies_in
from curate.archive.repository import Archive
from curate.releases.split_pseudonyms import digests_under, part_of

_MORE_IDS = 8  # of a donor's studies that are not here, each of which may have got a further id first


def revoked_studies(archive: Archive, revoked: Collection[bytes], public: Collection[str]) -> dict[str, list[bytes]]:
    """The studies of which an instance is revoked, each with the digests of its instances as they were published.

    What a `public` version shows still is looked for as it is, under no other id.

    Raises:
        DamagedError: a pack does not hold what the ledger says.
    """
    if not revoked:
        return {}
    ours = archive.ledger.study_ids()
    found = {study: digests for study in ours if _any(digests := digests_of(archive, study), revoked)}
    rest = set(revoked) - {hashlib.sha256(digest).digest() for digests in found.values() for digest in digests}
    if not rest or archive.config.info.population == "test":  # no donors, no further ids
        return found
    others = frozenset(ours) - found.keys()
    others -= frozenset[str]().union(
        *(studies_in(folder, others) for folder in release_folders(archive) if folder.name in public)
    )
    for study in sorted(others):
        record = archive.ledger.study(study)
        if record is not None and (digests := under_other_id(archive, record, rest)):
            found[study] = digests
    return found


def under_other_id(archive: Archive, record: StudyRecord, revoked: Collection[bytes]) -> list[bytes]:
    """The digests of a study under the one of its donor's ids under which it is revoked; nothing where it is not.

    Raises:
        DamagedError: a pack does not hold what the ledger says.
    """
    now, most = part_of(record.payload), len(archive.ledger.study_ids(record.donor_id)) + _MORE_IDS
    for part in (part for part in range(most + 1) if part != now):
        if _any(digests_under(archive, record, part, first=True), revoked):
            return list(digests_under(archive, record, part))
    return []


def digests_of(archive: Archive, study: str) -> list[bytes]:
    """The digests of a study's instances as the ledger has them, sound or not."""
    record = archive.ledger.study_as_is(study)
    return digests_in(record) if record else []


def digests_in(record: StudyRecord) -> list[bytes]:
    """The digests of the instances of a record."""
    found: list[bytes] = arrow_ipc.columns_of_ipc(record.instances, ("sha256",))["sha256"].to_pylist()
    return found


def _any(digests: Iterable[bytes], revoked: Collection[bytes]) -> bool:
    return any(hashlib.sha256(digest).digest() in revoked for digest in digests)
