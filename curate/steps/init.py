"""`curate init`: make an archive."""

from __future__ import annotations

from pathlib import Path

from curate import licenses
from curate.archive import layout
from curate.errors import InputError
from curate.records import ArchiveInfo


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
        InputError: the folder is not empty, or the licence is not in the catalogue.
    """
    licenses.get(info.license)
    if info.population not in ("persons", "test"):
        raise InputError("The population is neither persons nor test.", hint="Name one of the two.")
    target = hub_target or (root.resolve().parent / f"{root.name}-hub").as_uri()
    layout.create(root, info, target, approvals, under_passphrase=under_passphrase)
    return root
