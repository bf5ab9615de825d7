"""`curate audit`: hold published releases against the archive's log, without the archive."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from curate import hub
from curate import version as versions
from curate.archive import attestations
from curate.archive.attestations import CHECKPOINT, FOLDER
from curate.errors import DamagedError, HubError, InputError
from curate.hub.download import copy, download
from curate.hub.folder import FolderHub
from curate.hub.protocol import RELEASE_FILE, Target, parse_release
from curate.progress import Progress, silent
from curate.records import CheckResult
from curate.verify.attested import TABLES
from curate.verify.audit import audit_releases, read_key


def audit(
    references: Sequence[str | Path],
    key: str = "",
    *,
    version: str | None = None,
    progress: Progress = silent,
) -> list[CheckResult]:
    """The checks of one or several releases of one archive: folders, or hubs with all their versions or one.

    `key` is the archive's public key, or a file with it; without it the releases' own is believed, and a note
    says so.

    Raises:
        InputError: no release there, or no key.
        HubError: the hub cannot be read.
    """
    trusted = read_key(key) if key else None
    with ExitStack() as stack:
        folders: list[Path] = []
        for reference in references:
            temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="curate-audit-")))
            folders += _folders(str(reference), version, temporary, progress)
        return audit_releases(folders, trusted)


def _folders(reference: str, version: str | None, temporary: Path, progress: Progress) -> list[Path]:
    path = Path(reference)
    if "://" not in reference and (path / "release.json").is_file():
        return [path]
    if "://" not in reference and not (path / "refs.json").is_file():
        raise InputError(f"{path} is neither a release nor a hub's folder.", hint="Name a release's folder.")
    target = hub.open_target(reference)
    chosen = [versions.normal(version)] if version else target.versions()
    if not chosen:
        raise InputError(f"{reference} holds no release.", hint="Check the name.")
    found = []
    for each in chosen:
        folder = target.folder_of(each) if isinstance(target, FolderHub) else temporary / each
        if not isinstance(target, FolderHub):
            _fetch(target, each, folder, progress)
        held, _ = parse_release((folder / RELEASE_FILE).read_bytes())
        if held != each:
            raise HubError(
                f"{reference} holds version {held} under {versions.tag(each)}.", hint="Ask the archive."
            )
        found.append(folder)
    return found


def _fetch(target: Target, version: str, folder: Path, progress: Progress) -> None:
    """What an audit reads of a version: no pack, no preview."""
    download(target, version, folder, progress, wanted=TABLES.__contains__)
    copy(target, version, f"{FOLDER}/{CHECKPOINT}", folder)
    try:
        _, said = attestations.read_checkpoint(folder)
    except DamagedError:
        return  # the audit says what is wrong with it
    for name in said.files:
        copy(target, version, f"{FOLDER}/{name}", folder)
