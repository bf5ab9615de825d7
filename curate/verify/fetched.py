"""Downloads a release's attestations next to its files."""

from __future__ import annotations

from pathlib import Path

from curate.attestation import release_attestations
from curate.attestation.release_attestations import CHECKPOINT, FOLDER
from curate.core.errors import DamagedError
from curate.hub.download import copy
from curate.hub.protocol import Target


def bring(target: Target, version: str, folder: Path) -> None:
    """Fetch the checkpoint, if the version has one, and every file that it names; what is wrong is told by checks.

    Raises:
        HubError: the hub fails.
    """
    held = target.holds(version)
    if f"{FOLDER}/{CHECKPOINT}" not in held:
        return
    copy(target, version, f"{FOLDER}/{CHECKPOINT}", folder)
    try:
        _, said = release_attestations.read_checkpoint(folder)
    except DamagedError:
        return  # the checks say what is wrong with it
    for name in said.files:
        if f"{FOLDER}/{name}" in held:
            copy(target, version, f"{FOLDER}/{name}", folder)
