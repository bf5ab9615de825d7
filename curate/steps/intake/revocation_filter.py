"""Recognises a withdrawn study by the digests of its de-identified instances, where the archive has no record."""

from __future__ import annotations

import hashlib
from functools import cached_property

from curate.archive.ledger_records import StudyRecord
from curate.archive.repository import Archive
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from curate.releases.hub_state import ADOPTED
from curate.releases.revoked_content import digests_in, under_other_id
from curate.steps.intake import late_batch
from curate.steps.intake.tasks import StudyResult, StudyTask

RULE = "STUDY_WITHDRAWN"


class RevocationFilter:
    """What an archive knows as withdrawn, by the hashed digests of its instances, and refuses."""

    def __init__(self, archive: Archive, keys: Keys) -> None:
        self.archive, self.keys = archive, keys

    @cached_property
    def revoked(self) -> frozenset[bytes]:
        """The hashed digests."""
        return frozenset(digest for digest, _ in self.archive.ledger.revocations())

    @cached_property
    def _further(self) -> bool:
        """Whether a study may have gone out under an id of which the archive does not know."""
        return self.archive.config.info.population != "test" and any(self.archive.ledger.events(ADOPTED))

    def refused(self, task: StudyTask, result: StudyResult) -> StudyResult | None:
        """What becomes of a study in place of a result that would let it in again; None where that stands.

        It is refused from then on, before anything of it is read; its packs are left to be removed.
        """
        if result.record is None or not self.revoked or not self._is_withdrawn(result.record, result.joined):
            return None
        if not result.joined:
            with self.archive.ledger.transaction():
                self.archive.ledger.put_tombstone(pseudonyms.tombstone(self.keys, task.study_id))
        return late_batch.refuse(task, self.keys, RULE)

    def _is_withdrawn(self, record: StudyRecord, joined: int) -> bool:
        if any(hashlib.sha256(digest).digest() in self.revoked for digest in digests_in(record)):
            return True
        return not joined and self._further and bool(under_other_id(self.archive, record, self.revoked))
