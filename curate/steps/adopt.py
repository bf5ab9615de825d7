"""`curate adopt`: an archive that was restored from a backup takes over what its hubs know and it has forgotten.

What was withdrawn since the backup is withdrawn here too; versions that were published or cut again since come back;
the public log goes on from where the hubs have it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate import contract, hub
from curate.archive import ledger_head, repository
from curate.archive.release_folders import recorded_digests, release_folders
from curate.archive.repository import Archive
from curate.attestation import release_attestations
from curate.core import clock, durable, versions
from curate.core.actor import TOOL, who
from curate.core.errors import DamagedError, HubError, RefusedError
from curate.core.progress import Progress, silent
from curate.donation.disclosure_rebuilt import keep_forgotten
from curate.hub.protocol import Target
from curate.keys.derivation import Keys
from curate.releases import hub_state, ledger_withdrawal
from curate.releases.hub_state import ADOPTED, HubCheckpoint
from curate.releases.restore import bring
from curate.releases.revoked_content import revoked_studies
from curate.releases.withdrawal_cleanup import finish_withdrawals
from curate.transparency import commitments, merkle
from curate.transparency.log import Opening

Event = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Adoption:
    """What an archive took over from one hub.

    `versions` came back, or are known as published from now on; `studies` were withdrawn here, as they had been
    withdrawn there; `leaves` came to the log. `already`: the archive knew all that the hub does.
    """

    url: str
    versions: tuple[str, ...]
    studies: int
    leaves: int
    already: bool


def adopt(root: Path, of: str = "", *, progress: Progress = silent) -> tuple[Adoption, ...]:
    """Take over from a hub, or from all that the archive publishes to, what this archive has forgotten.

    What was taken in since the backup is not on a hub: take it in again. Repeating it changes nothing; a killed run is
    finished by the next one.

    Raises:
        RefusedError: the hub's history and this archive's are two, or a version there is not this archive's.
        HubError: the hub cannot be read.
        LockedError, StorageError, DamagedError: as their messages say.
    """
    with repository.opened(root, write=True) as archive:
        first = hub.open_target(of or archive.config.hub_target)
        hubs = [first] if of else [t for t in hub_state.hubs_of(archive, first) if t.can_erase]
        done = tuple(_adopted(archive, target, progress) for target in hubs)
        finish_withdrawals(archive, again=True)
        ledger_head.keep(root, archive.ledger, anyway=True)
        return done


def _adopted(archive: Archive, target: Target, progress: Progress) -> Adoption:
    seen = hub_state.hub_checkpoints(archive, target)
    foreign = [one for one in seen if one.said.release not in _known(archive, one.version)]
    for one in foreign:
        _bring(archive, target, one, progress)
    keep_forgotten(archive, [(one.version, one.said.release) for one in seen])
    unknown = hub_state.unknown(archive, seen)
    newest = max(seen, key=lambda one: one.point.size, default=None)
    leaves, openings = _log(archive, newest) if newest and unknown else ([], [])
    heads = {one.said.ledger for one in unknown} | set(_dropped_or_kept(archive, seen, leaves))
    revocations = _revocations(archive, foreign)
    public = {*(one.version for one in seen), *(event.subject for event in archive.ledger.events("published"))}
    gone = revoked_studies(archive, {digest for digest, _ in archive.ledger.revocations()} | revocations.keys(), public)
    events = list(_events(archive, target, seen, foreign))
    added = max(0, len(leaves) - archive.ledger.log.size())
    told = sorted({subject for _, subject, _ in events}, key=versions.parse)
    already = not (events or gone or heads or added or revocations.keys() - dict(archive.ledger.revocations()).keys())
    if already:
        return Adoption(target.url, (), 0, 0, already=True)

    def write() -> None:
        if leaves:
            archive.ledger.log.take_over(leaves, openings)
        for digest, since in revocations.items():
            archive.ledger.put_revocation(digest, since)
        for kind, subject, payload in events:
            archive.ledger.append(clock.stamp(), kind, subject, payload, who=who(), tool=TOOL)
        of_gone = {hashlib.sha256(digest).digest() for digests in gone.values() for digest in digests}
        known = {digest for digest, _ in archive.ledger.revocations()}
        if rest := known - archive.ledger.log.revoked() - of_gone:  # of what the archive does not even know
            archive.ledger.log.revoke(rest)
        payload = {"heads": sorted(heads), "versions": told, "leaves": added, "studies": len(gone)}
        archive.ledger.append(clock.stamp(), ADOPTED, target.url, payload, who=who(), tool=TOOL)

    keys = Keys.from_secret(archive.secret)
    ledger_withdrawal.remove_studies(archive, keys, frozenset(gone), revoked_before=gone, first=write)
    return Adoption(target.url, tuple(told), len(gone), added, already=False)


def _known(archive: Archive, version: str) -> set[str]:
    """The digests that the ledger knows a version by."""
    kinds = ("released", "recut", "restored", "published", "purged")
    return {str(event.payload["digest"]) for kind in kinds for event in archive.ledger.events(kind, version)}


def _bring(archive: Archive, target: Target, one: HubCheckpoint, progress: Progress) -> None:
    """See that a version lies here as the hub signed it.

    Raises:
        HubError: the hub holds something else than it signed.
    """
    seal = archive.releases / one.version / "release.json"
    if seal.is_file() and hashlib.sha256(seal.read_bytes()).hexdigest() == one.said.release:
        return  # a run that was killed brought it
    if bring(archive, target, one.version, progress) != one.said.release:
        raise HubError(
            f"{versions.tag(one.version)} at {target.url} is not what its checkpoint signs.",
            hint="See what is wrong: curate audit",
        )


def _log(archive: Archive, newest: HubCheckpoint) -> tuple[list[tuple[str, bytes]], list[Opening]]:
    """The leaves and openings of a version that lies here, under the head that it signed.

    Raises:
        DamagedError: they are not.
    """
    folder = archive.releases / newest.version
    try:
        rows = pq.read_table(
            folder / release_attestations.FOLDER / release_attestations.LEAVES, columns=["kind", "commitment"]
        )
        leaves = list(zip(rows["kind"].to_pylist(), rows["commitment"].to_pylist(), strict=True))
        read = list(release_attestations.read_openings(folder))
        tree = merkle.levels(commitments.leaf_hash(kind, made) for kind, made in leaves)
    except (OSError, ValueError, LookupError, pa.ArrowException):
        tree, leaves, read = [[]], [], []
    if (len(leaves), merkle.root(tree)) != (newest.point.size, newest.point.root):
        raise DamagedError(f"The log of {newest.version} is damaged.", hint="Get it again: curate doctor")
    openings = []
    for row in read:
        kind, made = leaves[row["index"]]
        if commitments.commitment(row["salt"], row["opening"]) == made:
            openings.append(Opening(row["index"], kind, row["salt"], row["opening"]))
    return leaves, openings


def _dropped_or_kept(archive: Archive, seen: Iterable[HubCheckpoint], leaves: list[tuple[str, bytes]]) -> Iterator[str]:
    """Remove cuts that nobody saw and that were signed over a lost state; the heads of those that stay.

    Raises:
        RefusedError: a version that another hub got does not go together with this hub's log.
    """
    there = {one.version for one in seen}
    there |= {event.subject for event in archive.ledger.events("published")}
    heads = {head.hex() for _, head in archive.ledger.heads()} | hub_state.accepted_heads(archive)
    mine = leaves or list(archive.ledger.log.leaves())
    tree = merkle.levels(commitments.leaf_hash(kind, made) for kind, made in mine)
    for folder in release_folders(archive):
        try:
            point, said = release_attestations.read_checkpoint(folder)
        except DamagedError:  # `doctor` tells it
            continue
        whole = hub_state.is_prefix(tree, point)
        if folder.name in there and not whole:
            raise RefusedError(
                f"Version {folder.name} was published from another history of this archive than the hub holds.",
                hint="Restore a later backup; or ask for help: two archives have published under one name.",
            )
        if not whole or said.ledger not in heads:
            if folder.name in there:
                yield said.ledger
            else:
                durable.remove(folder)


def _revocations(archive: Archive, foreign: Iterable[HubCheckpoint]) -> dict[bytes, str]:
    """What the versions that came back revoke, each with the first version without it."""
    found: dict[bytes, str] = {}
    for one in foreign:
        path = archive.releases / one.version / "manifest" / "revocations.parquet"
        for batch in contract.read_batches(path, ["sha256_of_sha256", "version"]):
            found |= zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)
    return found


def _events(
    archive: Archive, target: Target, seen: Iterable[HubCheckpoint], foreign: Iterable[HubCheckpoint]
) -> Iterator[Event]:
    """What the ledger is to know of the versions on a hub, oldest first."""
    held, own = hub_state.versions_at(archive, target.url), recorded_digests(archive)
    brought = {one.version for one in foreign}
    for one in seen:
        digest = {"target": target.url, "digest": one.said.release}
        if one.version in brought and one.version in own:
            yield "restored", one.version, {"digest": one.said.release}
            yield "purged", one.version, {**digest, "remaining": 0}
        elif one.version in brought:
            yield from _as_cut(archive, one)
        if one.version not in held:
            yield "published", one.version, {**digest, "commit": ""}
    for version in sorted(held.keys() - {one.version for one in seen}, key=versions.parse):
        yield "purged", version, {"target": target.url, "digest": held[version], "remaining": 0, "dropped": True}


def _as_cut(archive: Archive, one: HubCheckpoint) -> Iterator[Event]:
    """The events of a cut that the ledger has lost, from what the version says itself."""
    folder = archive.releases / one.version
    sealed: Mapping[str, Any] = json.loads((folder / "release.json").read_bytes())
    before = sealed["previous"]["version"] if sealed["previous"] else None
    new, old = _ids(folder), _ids(archive.releases / before) if before else set()
    changed = {"added": len(new - old), "removed": len(old - new)}
    cut = {"content": "", "config": archive.config.digest, "contract": sealed["contract"], "date": sealed["date"]}
    yield "release_opened", one.version, {**cut, "previous": before, **changed}
    counts = {name: sealed["counts"][name] for name in ("studies", "instances")}
    yield "released", one.version, {"content": "", "digest": one.said.release, "held": 0, **counts, **changed}


def _ids(folder: Path) -> set[str]:
    path = folder / "manifest" / "studies.parquet"
    if not path.is_file():
        return set()
    return {s for batch in contract.read_batches(path, ["study_id"]) for s in batch.column(0).to_pylist()}
