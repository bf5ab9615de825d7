"""`curate withdraw`: a study, all studies of a donor, or what a receipt stands for; no reason is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curate.archive import receipts, repository
from curate.archive.repository import Archive
from curate.core.errors import InputError
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from curate.releases.ledger_withdrawal import remove_studies
from curate.releases.withdrawal_cleanup import Erased, finish_withdrawals


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a withdrawal took out.

    `studies` left the archive now; `already` says that an earlier one had taken them; `versions` are the
    published versions that held one and are cut again; `dropped` cuts were not published yet; `damaged` versions
    cannot be cut again from what the archive holds of them: the purge mends them from the hub, or takes them off it.
    """

    studies: int
    already: bool
    versions: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    quarantined: int = 0
    damaged: tuple[str, ...] = ()


def withdraw(root: Path, subject: str) -> Withdrawal:
    """Take out a study, all of a donor, or what a receipt stands for, at once and for good.

    A study goes by its published or its original id, a donor as the table or a release names one; what was
    withdrawn is refused if it is sent again. Repeating it changes nothing; a killed run is finished by the next one.

    Raises:
        InputError: nothing in the archive goes by that name.
        LockedError, StorageError, DamagedError: as their messages say.
    """
    with repository.opened(root, write=True) as archive:
        keys = Keys.from_secret(archive.secret)
        before = finish_withdrawals(archive)
        studies, known = _find(archive, keys, subject.strip())
        if not studies and not known:
            hint = "Give a study's id (published or original), a donor's, or a receipt; check it for typing errors."
            raise InputError("Nothing in this archive goes by that study, donor or receipt.", hint=hint)
        if not studies:
            return Withdrawal(0, True, before.recut, before.dropped, damaged=before.damaged)
        taken = remove_studies(archive, keys, studies)
        done: Erased = finish_withdrawals(archive)
        waited = taken.entries if not taken.records else 0
        return Withdrawal(len(studies), False, done.recut, done.dropped, waited, done.damaged)


def _find(archive: Archive, keys: Keys, subject: str) -> tuple[frozenset[str], bool]:
    """The studies that are here under a name; and whether they were once, before an earlier withdrawal."""
    ledger = archive.ledger
    waiting = {entry.study_id: entry.donor_id for entry in ledger.quarantined()}
    held = ledger.receipt(receipts.digest(subject)) if _is_receipt(subject) else None
    if held is not None:
        return frozenset({held} if held else ()), not held
    studies = (subject, pseudonyms.new_uid(keys, subject))
    here = {study for study in studies if ledger.has_study(study) or study in waiting}
    if here:
        return frozenset(here), False
    donors = {subject, pseudonyms.donor_id(keys, subject)}
    marks = {pseudonyms.tombstone(keys, donor).hex() for donor in donors}
    here = {study for donor in donors for study in ledger.study_ids(donor)}
    here |= {study for study, donor in waiting.items() if donor in donors}
    here |= _of_further_id(archive, subject) if not here else frozenset()
    before = any(event.subject in studies or event.payload["donor"] in marks for event in ledger.events("withdrawn"))
    return frozenset(here), before


def _of_further_id(archive: Archive, subject: str) -> frozenset[str]:
    """All studies of the donor of whom a release shows one under this further id."""
    if not pseudonyms.is_donor_id(subject):
        return frozenset()
    studies = archive.ledger.outlines()
    owner = next((s.donor_id for s in studies if s.payload.get("further", {}).get("donor_id") == subject), None)
    return frozenset(() if owner is None else archive.ledger.study_ids(owner))


def _is_receipt(text: str) -> bool:
    try:
        return bool(receipts.normal(text))
    except InputError:  # the answer asked for
        return False
