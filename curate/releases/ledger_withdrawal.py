"""First half of a withdrawal: rewrites shared packs, then takes the studies out of the ledger in one transaction.

What the ledger's transaction leaves behind, in releases, quarantine and receipts, `finish_withdrawals` takes out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from curate import contract
from curate.archive import arrow_ipc
from curate.archive.ledger_records import StudyRecord
from curate.archive.pack_consolidation import rewrite_without
from curate.archive.repository import Archive
from curate.core import clock
from curate.core.actor import TOOL, who
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from curate.releases.withdrawal_cleanup import holding


@dataclass(frozen=True, slots=True)
class Removed:
    """How many records and how many waiting entries went."""

    records: int
    entries: int


def remove_studies(
    archive: Archive,
    keys: Keys,
    gone: frozenset[str],
    *,
    revoked_before: Mapping[str, Collection[bytes]] | None = None,
    first: Callable[[], None] = lambda: None,
) -> Removed:
    """Take studies out, admitted or waiting; `first` writes to the ledger in the same transaction, before.

    Of a study that no published version held, no revocation is kept: nobody has a copy; unless it was published, with
    the digests of `revoked_before`, in a version of which this archive does not know. A published version whose folder
    is lost or damaged counts as one that held it. What the log revokes already gets no second withdrawal.

    Raises:
        StorageError: the disk is full or fails; nothing was changed.
    """
    ledger, before = archive.ledger, revoked_before or {}
    records = [record for study in sorted(gone) if (record := ledger.study_as_is(study)) is not None]
    entries = [entry for entry in ledger.quarantined() if entry.study_id in gone]
    donors = dict.fromkeys(gone, "") | {entry.study_id: entry.donor_id for entry in entries}
    donors |= {record.study_id: record.donor_id for record in records}
    released = {event.subject: archive.releases / event.subject for event in ledger.events("published")}
    moved = rewrite_without(archive, records, gone)
    with ledger.transaction():
        first()
        for record in moved:
            ledger.put_study(record)
        for study in sorted(gone):
            inside = [v for v, path in released.items() if holding(path, frozenset({study})) is not False]
            waiting = [entry.id for entry in entries if entry.study_id == study]
            digests = {*(_digests(archive, study, inside, records) if inside else ()), *before.get(study, ())}
            _forget(archive, keys, study, inside, donors[study], waiting, sorted(digests))
        left = {entry.donor_id for entry in ledger.quarantined()}
        for donor in set(donors.values()) - left:
            if not ledger.study_ids(donor):
                ledger.delete_donor(donor)
    return Removed(len(records), len(entries))


def _digests(archive: Archive, study: str, inside: list[str], records: list[StudyRecord]) -> list[bytes]:
    """The digests of a study's instances that somebody may have: as the ledger and as each release states them."""
    found = set()
    for record in (record for record in records if record.study_id == study):
        try:
            found.update(arrow_ipc.columns_of_ipc(record.instances, ("sha256",))["sha256"].to_pylist())
        except (ValueError, LookupError, pa.ArrowException):  # damaged: the releases say it
            continue
    for version in inside:
        found |= _published(archive, version, study)
    return sorted(found)


def _published(archive: Archive, version: str, study: str) -> set[bytes]:
    path = archive.releases / version / "manifest" / "instances.parquet"
    found: set[bytes] = set()
    try:
        for batch in contract.read_batches(path, ["study_id", "sha256"]):
            found.update(batch.filter(pc.equal(batch["study_id"], study))["sha256"].to_pylist())
    except (OSError, ValueError, LookupError, pa.ArrowException):  # damaged: the ledger says it
        return found
    return found


def _forget(
    archive: Archive,
    keys: Keys,
    study: str,
    versions: list[str],
    donor: str,
    entries: list[str],
    digests: list[bytes],
) -> None:
    """Erase what the ledger holds of a study; what stays is that it was withdrawn, and refused from now on."""
    ledger = archive.ledger
    mark = pseudonyms.tombstone(keys, donor).hex()
    payload = {"versions": versions, "entries": entries, "donor": mark}
    ledger.append(clock.stamp(), "withdrawn", study, payload, who=who(), tool=TOOL)
    ledger.put_tombstone(pseudonyms.tombstone(keys, study))
    revoked = [hashlib.sha256(digest).digest() for digest in digests]
    for digest in revoked:
        ledger.put_revocation(digest, None)
    if revoked and ledger.log.revoked() >= set(revoked):
        ledger.log.forget(study)
    else:
        ledger.log.withdraw(study, revoked)
    ledger.unlink_receipts(study)
    ledger.delete_study(study)
    for name in entries:
        ledger.delete_quarantine(name)
