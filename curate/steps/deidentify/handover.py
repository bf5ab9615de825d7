"""What goes with the files: receipts for the donors, the table for the archive, a mapping if it is asked for."""

from __future__ import annotations

from pathlib import Path

from curate.archive import receipts
from curate.core.digests import canonical_json
from curate.core.findings import Finding
from curate.deid import pseudonyms
from curate.keys import encrypted_log
from curate.keys.derivation import Keys
from curate.steps.deidentify import coded_table
from curate.steps.deidentify.key_files import KeyFiles
from curate.steps.deidentify.plans import StudyPlan
from curate.steps.deidentify.work import PARTIAL


def write_table(beside: KeyFiles, path: Path, given: list[StudyPlan], gone: list[str]) -> list[Finding]:
    """Receipts first, on the disk; then the table that names their digests, with lines of earlier batches.

    `given` are the studies of which something was written, `gone` the ids of which nothing may stay in it.
    """
    codes = _codes(beside, given)
    lines = coded_table.earlier(path)
    findings: list[Finding] = []
    for study_id in gone:
        lines.pop(study_id, None)
    for plan in given:
        if plan.row is not None and plan.coded is not None:
            digest = receipts.digest(codes[plan.study_id])
            line, found = coded_table.coded_row(beside.keys, plan.study_id, plan.donor_id, plan.row, plan.coded, digest)
            lines[plan.study_id] = line
            findings += found
    coded_table.write(path, path.parent / PARTIAL / path.name, lines.values())
    return findings


def _codes(beside: KeyFiles, given: list[StudyPlan]) -> dict[str, str]:
    """A code for each donation: the one that it has, or a new one."""
    wanted = {plan.study_id for plan in given}
    codes: dict[str, str] = {}
    if beside.receipts.exists():
        for receipt in receipts.read(beside.receipts, beside.keys.storage):
            if receipt.study_id in wanted:
                codes.setdefault(receipt.study_id, receipt.code)
    new = [
        receipts.Receipt(receipts.new_code(), plan.study_id, plan.row.study, plan.row.donor)
        for plan in given
        if plan.row is not None and plan.study_id not in codes
    ]
    if new:
        with encrypted_log.appending(beside.receipts, beside.keys.storage) as log:
            log.append(receipts.record(receipt) for receipt in new)
    return codes | {receipt.study_id: receipt.code for receipt in new}


def write_mapping(keys: Keys, path: Path, planned: list[StudyPlan]) -> None:
    """Add old ids beside new ones, one record a study, encrypted; what is in the file already is not repeated."""
    known = set()
    if path.exists():
        known = {canonical_json(record) for record in encrypted_log.read(path, keys.storage)}
    records = (record for plan in planned if canonical_json(record := _mapped(keys, plan)) not in known)
    with encrypted_log.appending(path, keys.storage) as log:
        log.append(records)


def _mapped(keys: Keys, plan: StudyPlan) -> dict[str, object]:
    members = plan.study.members
    uids = sorted({m.scan.series_uid for m in members}) + sorted({m.scan.sop_instance_uid for m in members})
    return {
        "donor": plan.row.donor if plan.row else "",
        "donor_id": plan.donor_id,
        "study": plan.study.study_uid,
        "study_id": plan.study_id,
        "uids": [[uid, pseudonyms.new_uid(keys, uid)] for uid in uids],
    }
