"""`curate approve`: record that a reviewer approves a release's exact bytes."""

from __future__ import annotations

from pathlib import Path

from curate import clock
from curate.archive import layout
from curate.archive.reviews import Approval, approvals, release_folder
from curate.digests import sha256_file
from curate.errors import InputError
from curate.identity import TOOL, who


def approve(root: Path, version: str, reviewer: str) -> Approval:
    """Record a reviewer's approval of a version; twice is the same as once.

    Raises:
        InputError: no such version, or no name.
    """
    if not reviewer.strip():
        raise InputError("A reviewer needs a name.", hint="Give it with --as NAME.")
    with layout.opened(root, write=True) as archive:
        folder = release_folder(archive, version)
        approval = Approval(folder.name, sha256_file(folder / "release.json"), reviewer.strip())
        if approval not in approvals(archive, folder.name):
            payload = {"digest": approval.digest, "reviewer": approval.reviewer}
            with archive.ledger.transaction():
                archive.ledger.append(clock.stamp(), "approved", folder.name, payload, who=who(), tool=TOOL)
        return approval
