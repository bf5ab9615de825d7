"""`curate check`: everything that a release's own bytes prove, and who made it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from curate import hub
from curate.core import versions
from curate.core.errors import InputError
from curate.core.findings import Finding
from curate.core.progress import Progress, silent
from curate.core.records import CheckResult
from curate.hub.download import download
from curate.hub.folder.target import FolderHub
from curate.parallel import Workers
from curate.pixels import optional_deps
from curate.verify import fetched
from curate.verify.checks import seal
from curate.verify.checks.origin import check_origin
from curate.verify.release import check_release


def check(
    reference: str | Path,
    version: str | None = None,
    *,
    workers: Workers = None,
    pixels: bool = False,
    key: str = "",
    progress: Progress = silent,
) -> list[CheckResult]:
    """The checks of a release: a folder, or a hub's reference with a version; with `pixels`, a look at every frame.

    The last one says who made it: the archive's key is pinned when it is first met; `key` is its public key, or a
    file with it.

    Raises:
        InputError: no release there, nothing is installed that looks at pixels, or no key.
        HubError: the hub cannot be read.
    """
    if pixels and not optional_deps.installed():
        raise InputError("Nothing here can look at pixels.", hint=optional_deps.HINT)
    path = Path(reference)
    if "://" not in str(reference) and (path / "release.json").is_file():
        results = check_release(path, workers=workers, pixels=pixels, progress=progress)
        return [*results, *_origin(path, str(reference), "", key)]
    if version is None:
        if "://" not in str(reference) and not (path / "refs.json").is_file():
            raise InputError(f"{path} has no release.json: it is no release.", hint="Name a release's folder.")
        told = f"{reference} is a hub: it may hold several versions."
        raise InputError(told, hint="Add --version 1.0.0, for instance.")
    target = hub.open_target(str(reference))
    if isinstance(target, FolderHub):
        folder = target.folder_of(version)
        results = check_release(folder, workers=workers, pixels=pixels, progress=progress)
        served = _served(folder, version, target.digest_of(version))
        return [*results, *served, *_origin(folder, str(reference), target.root.resolve().as_uri(), key)]
    with tempfile.TemporaryDirectory(prefix="curate-check-") as temporary:
        folder = Path(temporary) / versions.normal(version)
        download(target, version, folder, progress)
        fetched.bring(target, version, folder)
        results = check_release(folder, workers=workers, pixels=pixels, progress=progress)
        return [*results, *_served(folder, version), *_origin(folder, str(reference), target.url, key)]


def _served(folder: Path, version: str, digest: str = "") -> list[CheckResult]:
    """Whether a hub serves the version that was asked for, by the digest that it names where it names one."""
    found, _ = seal.read(folder)
    if found is None:
        return []
    wrong = found.version != versions.normal(version) or (digest and found.digest != digest)
    findings = (Finding("VERSION_SERVED", versions.tag(version), found.version),) if wrong else ()
    return [CheckResult("served", "The hub serves the version that was asked for", 1, findings)]


def _origin(folder: Path, reference: str, place: str, key: str) -> list[CheckResult]:
    found, _ = seal.read(folder)
    return [check_origin(found, reference, place, key=key)] if found else []
