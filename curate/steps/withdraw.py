"""`curate withdraw`: a study, all studies of a donor, or what a receipt stands for; no reason is asked."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from curate import clock
from curate.archive import layout, receipts, tables
from curate.archive.consolidate import without
from curate.archive.cuts import cuts, holds
from curate.archive.layout import Archive
from curate.cutting.erase import Erased, settle
from curate.dicom import identifiers
from curate.dicom.types import Keys
from curate.errors import InputError
from curate.identity import TOOL, who


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a withdrawal took out.

    `studies` left the archive now; `already` says that an earlier one had taken them; `versions` are the
    published versions that held one and are cut again; `dropped` cuts were not published yet.
    """

    studies: int
    already: bool
    versions: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    quarantined: int = 0


def withdraw(root: Path, subject: str) -> Withdrawal:
    """Take out a study, all of a donor, or what a receipt stands for, at once and for good.

    A study goes by its published or its original id, a donor as the table or a release names one; what was
    withdrawn is refused if it is sent again. Repeating it changes nothing; a killed run is finished by the next one.

    Raises:
        InputError: nothing in the archive goes by that name.
        LockedError, StorageError, DamagedError: as their messages say.
    """
    with layout.opened(root, write=True) as archive:
        keys = Keys.from_secret(archive.secret)
        before = settle(archive)
        studies, known = _find(archive, keys, subject.strip())
        if not studies and not known:
            hint = "Give a study's id (published or original), a donor's, or a receipt; check it for typing errors."
            raise InputError("Nothing in this archive goes by that study, donor or receipt.", hint=hint)
        if not studies:
            return Withdrawal(0, True, before.recut, before.dropped)
        entries, records = _take(archive, keys, studies)
        done: Erased = settle(archive)
        return Withdrawal(len(studies), False, done.recut, done.dropped, entries if not records else 0)


def _find(archive: Archive, keys: Keys, subject: str) -> tuple[frozenset[str], bool]:
    """The studies that are here under a name; and whether they were once, before an earlier withdrawal."""
    ledger = archive.ledger
    waiting = {entry.study_id: entry.donor_id for entry in ledger.quarantined()}
    held = ledger.receipt(receipts.digest(subject)) if _is_receipt(subject) else None
    if held is not None:
        return frozenset({held} if held else ()), not held
    studies = (subject, identifiers.new_uid(keys, subject))
    here = {study for study in studies if ledger.study(study) is not None or study in waiting}
    if here:
        return frozenset(here), False
    donors = {subject, identifiers.donor_id(keys, subject)}
    marks = {identifiers.tombstone(keys, donor).hex() for donor in donors}
    here = {study for donor in donors for study in ledger.study_ids(donor)}
    here |= {study for study, donor in waiting.items() if donor in donors}
    here |= _of_further_id(archive, subject) if not here else frozenset()
    before = any(
        event.subject in studies or event.payload["donor"] in marks for event in ledger.events("withdrawn")
    )
    return frozenset(here), before


def _of_further_id(archive: Archive, subject: str) -> frozenset[str]:
    """All studies of the donor of whom a release shows one under this further id."""
    if not identifiers.is_donor_id(subject):
        return frozenset()
    studies = archive.ledger.outlines()
    owner = next((s.donor_id for s in studies if s.payload.get("further", {}).get("donor_id") == subject), None)
    return frozenset(() if owner is None else archive.ledger.study_ids(owner))


def _is_receipt(text: str) -> bool:
    try:
        return bool(receipts.normal(text))
    except InputError:  # the answer asked for
        return False


def _take(archive: Archive, keys: Keys, gone: frozenset[str]) -> tuple[int, int]:
    """Write what stays without what goes, then tell the ledger, all at once."""
    ledger = archive.ledger
    records = [record for study in sorted(gone) if (record := ledger.study(study)) is not None]
    entries = [entry for entry in ledger.quarantined() if entry.study_id in gone]
    donors = dict.fromkeys(gone, "") | {entry.study_id: entry.donor_id for entry in entries}
    donors |= {record.study_id: record.donor_id for record in records}
    published = {event.subject for event in ledger.events("published")}
    released = {path.name: path for path in cuts(archive) if path.name in published}
    moved = without(archive, records, gone)
    with ledger.transaction():
        for record in moved:
            ledger.put_study(record)
        for study in sorted(gone):
            inside = [version for version, path in released.items() if holds(path, frozenset({study}))]
            _forget(
                archive, keys, study, inside, donors[study], [e.id for e in entries if e.study_id == study]
            )
        left = {entry.donor_id for entry in ledger.quarantined()}
        for donor in set(donors.values()) - left:
            if not ledger.study_ids(donor):
                ledger.delete_donor(donor)
    return len(entries), len(records)


def _forget(
    archive: Archive, keys: Keys, study: str, versions: list[str], donor: str, entries: list[str]
) -> None:
    """Erase what the ledger holds of a study; what stays is that it was withdrawn, and refused from now on.

    Of a study that no published version held, no revocation is kept: nobody has a copy.
    """
    ledger = archive.ledger
    mark = identifiers.tombstone(keys, donor).hex()
    payload = {"versions": versions, "entries": entries, "donor": mark}
    ledger.append(clock.stamp(), "withdrawn", study, payload, who=who(), tool=TOOL)
    ledger.put_tombstone(identifiers.tombstone(keys, study))
    record, revoked = ledger.study(study), []
    if record is not None and versions:
        digests = tables.from_ipc(record.instances)["sha256"].to_pylist()
        revoked = [hashlib.sha256(digest).digest() for digest in digests]
    for digest in revoked:
        ledger.put_revocation(digest, None)
    ledger.log.withdraw(study, revoked)
    ledger.unlink_receipts(study)
    ledger.delete_study(study)
    for name in entries:
        ledger.delete_quarantine(name)
