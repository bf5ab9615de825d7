"""`curate purge`: what was withdrawn leaves every hub at once; no new version, approval or check is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from curate import hub
from curate.archive import repository
from curate.archive.repository import Archive
from curate.core.errors import CurateError
from curate.core.progress import Progress, silent
from curate.hub.protocol import Target
from curate.releases import hub_state
from curate.releases import purge as purging


@dataclass(frozen=True, slots=True)
class Purge:
    """What a purge did at one target.

    `purged` versions are served without what was withdrawn; `dropped` ones are gone, as too old by the archive's
    policy, or too damaged to be cut again; `remaining` is what the hub still shows of it, found by looking.
    """

    url: str
    purged: tuple[str, ...]
    dropped: tuple[str, ...]
    erased_files: int
    erased_bytes: int
    remaining: tuple[str, ...]


def purge(root: Path, to: str = "", *, progress: Progress = silent) -> tuple[Purge, ...]:
    """Serve every published version without what was withdrawn since, at `to` or at all hubs, and erase the rest.

    All hubs are tried, whichever of them fails. Repeating it changes nothing; a killed run is finished by the next one.

    Raises:
        HubError: a hub fails; it is the first of those that do.
        RefusedError: a hub knows as withdrawn what the archive would put back.
        LockedError, StorageError, DamagedError: as their messages say.
    """
    done, failed = [], list[CurateError]()
    with repository.opened(root, write=True) as archive:
        for target in _targets(archive, to):
            try:
                found = purging.purge(archive, target, progress)
            except CurateError as error:
                failed.append(error)
                continue
            left = tuple(f"{item.place} {item.path} ({item.what})" for item in found.remaining)
            size = (found.erased_files, found.erased_bytes)
            done.append(Purge(target.url, found.moved, found.dropped, *size, left))
    if failed:
        raise failed[0]
    return tuple(done)


def _targets(archive: Archive, to: str) -> Iterator[Target]:
    for url in [to] if to else sorted(hub_state.used_targets(archive)):
        yield hub.open_target(url)
