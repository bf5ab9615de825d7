"""`curate reject`: record that a reviewer refuses a release's exact bytes, and why."""

from __future__ import annotations

from pathlib import Path

from curate.archive import repository
from curate.attestation import approvals
from curate.attestation.approvals import Reason, Rejection, release_folder
from curate.core import clock
from curate.core.actor import TOOL
from curate.core.digests import sha256_file
from curate.core.errors import InputError


def reject(root: Path, version: str, reviewer: str, reason: str, text: str = "") -> Rejection:
    """Refuse a version; it is not published until the same reviewer approves it. Twice is the same as once.

    The free text stays in the archive, where it can be erased.

    Raises:
        InputError: no such version, no name, or an unknown reason.
    """
    if not reviewer.strip():
        raise InputError("A reviewer needs a name.", hint="Give it with --as NAME.")
    if reason.upper() not in Reason.__members__:
        raise InputError(f"{reason!r} is no reason.", hint=f"Give one of {', '.join(Reason)}.")
    with repository.opened(root, write=True) as archive:
        folder = release_folder(archive, version)
        digest = sha256_file(folder / "release.json")
        made = Rejection(folder.name, digest, reviewer.strip(), Reason(reason.upper()), text.strip())
        if made not in approvals.rejections(archive, folder.name, digest):
            with archive.ledger.transaction():
                remark = archive.ledger.put_remark(made.text).hex()
                payload = {
                    "digest": digest,
                    "reviewer": made.reviewer,
                    "reason": made.reason,
                    "remark": remark,
                }
                archive.ledger.append(
                    clock.stamp(), "rejected", made.version, payload, who=made.reviewer, tool=TOOL, key=""
                )
        return made
