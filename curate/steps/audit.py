"""`curate audit`: hold published releases against the archive's log, without the archive."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from curate import hub
from curate.core import versions
from curate.core.errors import HubError, InputError
from curate.core.progress import Progress, silent
from curate.core.records import CheckResult
from curate.hub.download import download
from curate.hub.folder.target import FolderHub
from curate.hub.protocol import LARGEST_RELEASE, RELEASE_FILE, Target, parse_release
from curate.untrusted import foreign_files
from curate.verify import fetched
from curate.verify.audit import audit_releases, read_key
from curate.verify.audit_sampling import to_read

_BROUGHT = "curate-audit-"  # what the folder is called that holds what was fetched


def audit(
    references: Sequence[str | Path],
    key: str = "",
    *,
    version: str | None = None,
    full: bool = False,
    progress: Progress = silent,
) -> list[CheckResult]:
    """The checks of one or several releases of one archive: folders, or hubs with all their versions or one.

    `key` is the archive's public key, or a file with it; without it the releases' own is believed, and a note
    says so. Every file's digest is compared, of packs those of a sample, or with `full` of all.

    Raises:
        InputError: no release there, or no key.
        HubError: the hub cannot be read.
    """
    trusted = read_key(key) if key else None
    with ExitStack() as stack:
        folders: list[Path] = []
        for reference in references:
            temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=_BROUGHT)))
            folders += _folders(str(reference), version, temporary, full, progress)
        brought = [folder for folder in folders if folder.parent.name.startswith(_BROUGHT)] if not full else []
        return audit_releases(folders, trusted, full=full, partly=brought)


def _folders(reference: str, version: str | None, temporary: Path, full: bool, progress: Progress) -> list[Path]:
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
            _fetch(target, each, folder, full, progress)
        held, _ = parse_release(foreign_files.read(folder, RELEASE_FILE, LARGEST_RELEASE))
        if held != each:
            raise HubError(f"{reference} holds version {held} under {versions.tag(each)}.", hint="Ask the archive.")
        found.append(folder)
    return found


def _fetch(target: Target, version: str, folder: Path, full: bool, progress: Progress) -> None:
    """What an audit reads of a version: of its packs a sample, unless all are to be read."""
    _, listed = parse_release(target.read(version, RELEASE_FILE))
    chosen = to_read([entry.path for entry in listed], full=full)
    download(target, version, folder, progress, wanted=chosen.__contains__)
    fetched.bring(target, version, folder)
