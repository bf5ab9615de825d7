"""A receipt for each donation: the one that the table brings from the hospital, else one made here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from curate.archive import receipts
from curate.archive.ledger import Ledger
from curate.archive.repository import Archive
from curate.core.findings import Finding
from curate.keys import encrypted_log
from curate.metadata.table import StudyRow
from curate.steps.intake.tasks import StudyTask


class Given:
    """The digests that the table's rows bring; no two studies share one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._study_of: dict[bytes, str] = {}
        self._digest_of: dict[str, bytes] = {}

    def check(self, row: StudyRow, study_id: str) -> list[Finding]:
        """What is wrong with a row's receipt."""
        text = row.raw.get("receipt_sha256", "").lower()
        if not text:
            return []
        place = f"row {row.row}"
        if not receipts.is_digest(text):
            return [Finding("RECEIPT_UNREADABLE", place, "receipt_sha256")]
        digest = bytes.fromhex(text)
        holder = self._ledger.receipt(digest) or self._study_of.setdefault(digest, study_id)
        if holder != study_id:
            return [Finding("RECEIPT_TAKEN", place, "receipt_sha256")]
        self._digest_of[study_id] = digest
        return []

    def of(self, study_id: str) -> bytes | None:
        """The digest that the table brings for a study."""
        return self._digest_of.get(study_id)


def path_of(archive: Archive) -> Path:
    """Where the codes that were made here lie, encrypted, until they are handed over."""
    return archive.root / receipts.NAME


def make_missing(archive: Archive, key: bytes, tasks: Iterable[StudyTask], given: Given) -> dict[str, bytes]:
    """The digest of a code for each consented study that has none; new codes are on the disk when it returns."""
    rows = {
        task.study_id: task.row
        for task in tasks
        if task.row is not None and task.row.consent == "given" and task.donor_id
    }
    missing = [id_ for id_ in rows if given.of(id_) is None and not archive.ledger.has_receipt(id_)]
    if not missing:
        return {}
    path = path_of(archive)
    codes: dict[str, str] = {}
    if path.exists():  # a killed run may have written some that the ledger does not know
        wanted = set(missing)
        codes = {r.study_id: r.code for r in receipts.read(path, key) if r.study_id in wanted}
    new = [
        receipts.Receipt(receipts.new_code(), id_, rows[id_].study, rows[id_].donor)
        for id_ in missing
        if id_ not in codes
    ]
    with encrypted_log.appending(path, key) as log:
        log.append(receipts.record(receipt) for receipt in new)
    codes |= {receipt.study_id: receipt.code for receipt in new}
    return {id_: receipts.digest(code) for id_, code in codes.items()}
