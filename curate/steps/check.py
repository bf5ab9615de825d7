"""`curate check`: everything that a release's own bytes prove."""

from __future__ import annotations

import tempfile
from pathlib import Path

from curate import hub
from curate import version as versions
from curate.errors import InputError
from curate.hub.download import download
from curate.hub.folder import FolderHub
from curate.parallel import Workers
from curate.pixels import extra
from curate.progress import Progress, silent
from curate.records import CheckResult
from curate.verify.release import check_release


def check(
    reference: str | Path,
    version: str | None = None,
    *,
    workers: Workers = None,
    pixels: bool = False,
    progress: Progress = silent,
) -> list[CheckResult]:
    """The checks of a release: a folder, or a hub's reference with a version; with `pixels`, a look at every frame.

    Raises:
        InputError: no release there, or nothing is installed that looks at pixels.
        HubError: the hub cannot be read.
    """
    if pixels and not extra.installed():
        raise InputError("Nothing here can look at pixels.", hint=extra.HINT)
    path = Path(reference)
    if "://" not in str(reference) and (path / "release.json").is_file():
        return check_release(path, workers=workers, pixels=pixels, progress=progress)
    if version is None:
        if "://" not in str(reference) and not (path / "refs.json").is_file():
            raise InputError(
                f"{path} has no release.json: it is no release.", hint="Name a release's folder."
            )
        told = f"{reference} is a hub: it may hold several versions."
        raise InputError(told, hint="Add --version 1.0.0, for instance.")
    target = hub.open_target(str(reference))
    if isinstance(target, FolderHub):
        return check_release(target.folder_of(version), workers=workers, pixels=pixels, progress=progress)
    with tempfile.TemporaryDirectory(prefix="curate-check-") as temporary:
        folder = Path(temporary) / versions.normal(version)
        download(target, version, folder, progress)
        return check_release(folder, workers=workers, pixels=pixels, progress=progress)
