"""`curate init`: make an archive."""

from __future__ import annotations

from pathlib import Path

from curate import hub, licenses
from curate.archive import repository
from curate.core.errors import InputError
from curate.core.records import ArchiveInfo


def init(
    root: Path,
    info: ArchiveInfo,
    *,
    hub_target: str = "",
    approvals: int = 1,
    under_passphrase: bool = False,
) -> Path:
    """Make an archive in a new or empty folder and return its path; its key under a passphrase if wanted.

    Raises:
        InputError: the folder is not empty, the licence is not in the catalogue, or the hub is none that we know.
    """
    licenses.get(info.license)
    if info.population not in ("persons", "test"):
        raise InputError("The population is neither persons nor test.", hint="Name one of the two.")
    if hub_target:
        hub.open_target(hub_target)  # refused now, not when the first release is to be published
    target = hub_target or (root.resolve().parent / f"{root.name}-hub").as_uri()
    repository.create(root, info, target, approvals, under_passphrase=under_passphrase)
    return root
