"""Serve every version without what was withdrawn, and erase the rest from a hub: a purge waits for nothing else.

It needs no new version, no approval and no check. A version that is damaged here is taken back from the hub and cut
again from there; one that cannot be had whole anywhere goes off the hub.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from curate.archive.release_folders import recorded_digests
from curate.archive.repository import Archive
from curate.core import clock, durable, versions
from curate.core.actor import TOOL, who
from curate.core.errors import DamagedError, HubError, RefusedError
from curate.core.progress import Progress, silent
from curate.hub.protocol import Purged, Target
from curate.releases import hub_state
from curate.releases.hub_state import versions_at
from curate.releases.restore import take_back
from curate.releases.withdrawal_cleanup import finish_withdrawals, state_revocations

NOTHING = Purged((), (), 0, 0, ())


def stale_versions(archive: Archive, url: str) -> dict[str, str]:
    """Versions that were cut again since this target got them, with the digest that it should hold."""
    held = versions_at(archive, url)
    return {v: digest for v, digest in recorded_digests(archive).items() if v in held and held[v] != digest}


def purge(archive: Archive, target: Target, progress: Progress = silent) -> Purged:
    """Bring a target to what the archive holds of each version; `moved` are those served anew, `dropped` those gone.

    Raises:
        HubError: the hub fails, and the next run goes on; or a version could be neither cut again nor dropped, and
            the hub is closed to readers.
        RefusedError: the archive would put back what the hub knows as withdrawn.
        StorageError: the disk is full or fails.
    """
    if not target.can_erase:  # it got nothing about a person
        return NOTHING
    lost = _lost(archive, target, finish_withdrawals(archive).damaged, progress)
    stale = {*stale_versions(archive, target.url), *lost}
    old = too_old(archive, target.url, stale | cut_again(archive, target.url))
    stale |= old
    if not stale:
        return NOTHING
    _number(archive)
    lost |= _named(archive, target, stale - old - lost, progress)
    stale |= lost
    folders = {v: archive.releases / v for v in sorted(stale - old - lost, key=versions.parse)}
    hub_state.refuse_revived(archive, target, folders.values())
    try:
        with durable.public():
            purged = target.purge(folders, drop=old | lost, progress=progress)
    except DamagedError:  # found out as it was sent
        lost |= _lost(archive, target, folders, progress)
        _named(archive, target, folders.keys() - lost, progress)
        folders = {version: path for version, path in folders.items() if version not in lost}
        purged = _without(target, folders, old | lost, progress)
    except RefusedError:
        if not lost:
            raise
        _close(target, lost)
    _record(archive, target, stale, old | lost, purged)
    return replace(purged, moved=tuple(map(versions.tag, folders)))  # others lost history only


def _without(target: Target, folders: dict[str, Path], drop: frozenset[str], progress: Progress) -> Purged:
    try:
        with durable.public():
            return target.purge(folders, drop=drop, progress=progress)
    except RefusedError:
        _close(target, drop)
        raise


def _close(target: Target, lost: Iterable[str]) -> None:
    """The last resort, where the newest version can be neither cut again nor dropped: nobody reads any of it.

    Raises:
        HubError: always, to say so.
    """
    target.close_to_readers()
    raise HubError(
        f"{target.url} is closed to readers: {', '.join(sorted(lost))} holds what was withdrawn, and is damaged.",
        hint="Restore the release's folder from your backup, then run: curate purge",
    )


def _lost(archive: Archive, target: Target, damaged: Iterable[str], progress: Progress) -> frozenset[str]:
    """Those of some versions that a target holds and that cannot be cut again, not even from what it holds itself."""
    wanted = [version for version in damaged if version in versions_at(archive, target.url)]
    if not wanted:
        return frozenset()
    gone = {version for version in wanted if not take_back(archive, target, version, progress)}
    return frozenset({*gone, *set(finish_withdrawals(archive, again=True).damaged) & set(wanted)})


def _named(archive: Archive, target: Target, named: Iterable[str], progress: Progress) -> frozenset[str]:
    """Tell in versions which later one is the first without what they lost; gives those too damaged for it."""
    lost: frozenset[str] = frozenset()
    for version in sorted(named, key=versions.parse):
        try:
            state_revocations(archive, [version])
        except DamagedError:
            lost |= _lost(archive, target, [version], progress)
            if version not in lost:
                state_revocations(archive, [version])
    return lost


def _number(archive: Archive) -> None:
    """A revocation without a version yet gets the number of the next one, as if that only removed."""
    newest = max((e.subject for e in archive.ledger.events("published")), key=versions.parse, default=None)
    following = versions.following(newest, contract_changed=False, added=False)
    unnamed = [digest for digest, since in archive.ledger.revocations() if since is None]
    if unnamed:
        with archive.ledger.transaction():
            for digest in unnamed:
                archive.ledger.put_revocation(digest, following)


def _record(archive: Archive, target: Target, stale: Iterable[str], dropped: frozenset[str], purged: Purged) -> None:
    now = recorded_digests(archive)
    with archive.ledger.transaction():
        for version in sorted(stale, key=versions.parse):
            payload: dict[str, object] = {"target": target.url, "digest": now[version]}
            payload |= {"remaining": len(purged.remaining)}
            payload |= {"dropped": True} if version in dropped else {}
            archive.ledger.append(clock.stamp(), "purged", version, payload, who=who(), tool=TOOL)


def cut_again(archive: Archive, url: str) -> set[str]:
    """Versions that this target serves and that once held what was withdrawn."""
    return {event.subject for event in archive.ledger.events("recut")} & versions_at(archive, url).keys()


def too_old(archive: Archive, url: str, stale: Iterable[str]) -> frozenset[str]:
    """The versions that the archive's policy drops instead of cutting them again; never a target's newest."""
    days = archive.config.drop_after_days
    if not days:
        return frozenset()
    first = clock.now().date() - timedelta(days=days)
    cuts = {event.subject: event.payload["date"] for event in archive.ledger.events("release_opened")}
    newest = max(versions_at(archive, url), key=versions.parse, default="")
    return frozenset(v for v in stale if v != newest and date.fromisoformat(cuts[v]) < first)
