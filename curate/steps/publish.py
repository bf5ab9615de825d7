"""`curate publish`: only what passes every check, has its approvals, and holds nothing withdrawn."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from curate import hub
from curate.archive import repository
from curate.archive.repository import Archive
from curate.attestation.approvals import lacking, release_folder
from curate.core import clock, durable, versions
from curate.core.actor import TOOL, who
from curate.core.digests import sha256_file
from curate.core.errors import InputError, RefusedError, quoted
from curate.core.findings import Severity
from curate.core.progress import Progress, silent
from curate.hub.protocol import Gated, Purged, Settings, Target, UploadPlan, contents_of
from curate.releases import archive_soundness, hub_state, publication_context, purge, recall_state
from curate.releases.withdrawal_cleanup import finish_withdrawals
from curate.verify import verified_cache
from curate.verify.release import check_release
from curate.verify.verified_cache import Remembered


@dataclass(frozen=True, slots=True)
class Publication:
    """What `publish` did, or with `dry_run` would do: files and bytes sent, files that were there already.

    `purged` versions are served without what was withdrawn from now on; `remaining` is what the hub still
    shows of it, found by looking. `dropped` versions, too old by the archive's policy to be cut again, are gone.
    """

    version: str
    tag: str
    url: str
    commit: str
    sent_files: int
    sent_bytes: int
    unchanged_files: int
    already: bool
    dry_run: bool = False
    purged: tuple[str, ...] = ()
    erased_files: int = 0
    erased_bytes: int = 0
    remaining: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def publish(
    root: Path,
    version: str,
    to: str = "",
    *,
    dry_run: bool = False,
    gated: str | None = None,
    private: bool | None = None,
    full: bool = False,
    alone: bool = False,
    workers: int | None = 1,
    progress: Progress = silent,
) -> Publication:
    """Publish a version to `to`, or to the hub that `archive.toml` names; its tag comes last.

    What was withdrawn since leaves the hub first, whatever keeps this version back. The archive's other hubs are
    asked whether they know a later state of it, unless it is to go on `alone`.

    `gated` (auto, manual, off) and `private` say who may read, by default as `[hub]` does. Packs that passed
    before and did not change since are not read again, unless `full`.

    Raises:
        RefusedError: the release does not pass its checks, lacks approvals, or holds a withdrawn study; or a hub
            knows a later state of the archive.
        DamagedError: ledger, log or key are not what they were, or the release changed after its check.
        InputError: no such version or target.
        HubError: the hub refuses, fails, or holds something else than what was sent.
    """
    with repository.opened(root, write=not dry_run) as archive:
        folder = release_folder(archive, version)
        target = hub.open_target(to or archive.config.hub_target)
        if dry_run:
            _settings(archive, folder, target, gated, private)
            return _planned(archive, folder, target)
        # (1) what older versions must lose, for which nothing waits
        finish_withdrawals(archive)
        purged = purge.purge(archive, target, progress)
        settings = _settings(archive, folder, target, gated, private)
        # (2) the archive is sound, and no older than its hubs, (3) the release approved, (4) without what was
        # withdrawn, (5) in order
        archive_soundness.refuse_unsound(archive)
        hub_state.refuse_behind(archive, [target] if alone else hub_state.hubs_of(archive, target))
        _refuse_unapproved(archive, folder)
        _refuse_withdrawn(archive, folder)
        hub_state.refuse_revived(archive, target, [folder])
        contents = contents_of(folder)
        _refuse_unchecked(archive, folder, workers, progress, full=full)
        # (6) the release, as it was checked
        with durable.public():
            published = target.publish(folder, settings=settings, expected=contents, progress=progress)
        _record(archive, folder, target.url, published.commit)
        # (7) what was too old, and the newest until now
        purged = _together(purged, purge.purge(archive, target, progress))
        return Publication(
            folder.name,
            published.tag,
            published.url,
            published.commit,
            published.sent_files,
            published.sent_bytes,
            published.unchanged_files,
            published.already,
            purged=purged.moved,
            erased_files=purged.erased_files,
            erased_bytes=purged.erased_bytes,
            remaining=tuple(f"{left.place} {left.path} ({left.what})" for left in purged.remaining),
            dropped=purged.dropped,
        )


def _together(first: Purged, then: Purged) -> Purged:
    """What two purges of one hub did, by what is left after both."""
    return Purged(
        tuple(tag for tag in dict.fromkeys((*first.moved, *then.moved)) if tag not in then.dropped),
        tuple(dict.fromkeys((*first.dropped, *then.dropped))),
        first.erased_files + then.erased_files,
        first.erased_bytes + then.erased_bytes,
        first.remaining if then is purge.NOTHING else then.remaining,
    )


def _planned(archive: Archive, folder: Path, target: Target) -> Publication:
    before = [e.subject for e in archive.ledger.events("published") if e.payload["target"] == target.url]
    previous = archive.releases / before[-1] if before else None
    plan: UploadPlan = target.plan(folder, previous if previous and previous.is_dir() else None)
    sizes = (len(plan.send), plan.send_bytes, len(plan.unchanged))
    stale = tuple(versions.tag(v) for v in (purge.stale_versions(archive, target.url) if target.can_erase else {}))
    return Publication(folder.name, plan.tag, target.url, "", *sizes, plan.is_empty, dry_run=True, purged=stale)


def _refuse_unapproved(archive: Archive, folder: Path) -> None:
    if recall_state.is_cut_of(archive, folder.name, sha256_file(folder / "release.json")):
        return
    if lack := lacking(archive, folder):
        place = quoted(archive.root)
        raise RefusedError(
            f"{lack}.",
            hint=f"Why: curate ledger {place}. If a study has to go: curate withdraw {place} STUDY_ID, then curate "
            f"release {place}. To approve: curate approve {place} {folder.name} --as NAME",
        )


def _refuse_withdrawn(archive: Archive, folder: Path) -> None:
    present = set(archive.ledger.study_ids())
    listed = pq.read_table(folder / "manifest" / "studies.parquet", columns=["study_id"])
    gone = set(listed["study_id"].to_pylist()) - present
    if gone:
        raise RefusedError(
            f"Release {folder.name} holds {len(gone)} studies that the archive no longer has.",
            hint=f"Cut it again without them: curate release {quoted(archive.root)}",
        )


def _refuse_unchecked(archive: Archive, folder: Path, workers: int | None, progress: Progress, *, full: bool) -> None:
    place = archive.root / verified_cache.NAME
    known = Remembered() if full else Remembered.read(place)
    results = check_release(folder, workers=workers, progress=progress, known=known)
    errors = [f for result in results for f in result.findings if f.severity is Severity.ERROR]
    if errors:
        raise RefusedError(
            f"Release {folder.name} does not pass its checks: {', '.join(sorted({f.rule for f in errors}))}.",
            hint=f"See them: curate check {quoted(folder)}",
        )
    known.keep(place)


def _record(archive: Archive, folder: Path, target: str, commit: str) -> None:
    payload = {"target": target, "commit": commit, "digest": sha256_file(folder / "release.json")}
    before = archive.ledger.events("published", folder.name)
    if any(event.payload == payload for event in before):
        return
    with archive.ledger.transaction():
        archive.ledger.append(clock.stamp(), "published", folder.name, payload, who=who(), tool=TOOL)


def _settings(archive: Archive, folder: Path, target: Target, gated: str | None, private: bool | None) -> Settings:
    """Who may read: as asked, else as the archive says, else as the hub has it; closed while a recall runs.

    Raises:
        InputError: another word than auto, manual or off.
        RefusedError: the release's card says otherwise, or it is safe for gated access only.
    """
    if gated not in (None, "auto", "manual", "off"):
        raise InputError("--gated takes auto, manual or off.", hint="Write --gated manual, for instance.")
    sealed = json.loads((folder / "release.json").read_bytes())
    stated = publication_context.of_seal(sealed)
    wanted = gated or archive.config.hub_gated or stated.gated or ""
    hint = f"Set gated in [hub] of archive.toml, then: curate release {quoted(archive.root)}"
    if wanted in ("auto", "manual") and not stated.gated:
        raise RefusedError(f"The card of {folder.name} does not ask readers to accept the terms.", hint=hint)
    only_gated = sealed.get("privacy", {}).get("access") == "gated"
    if only_gated and wanted not in ("auto", "manual") and target.url.startswith("hf:"):
        raise RefusedError(f"{folder.name} is safe for gated access only, by [privacy] access.", hint=hint)
    closed = recall_state.is_closed(archive, target.url)
    gates: dict[str, Gated] = {"auto": "auto", "manual": "manual", "off": False}
    asked = archive.config.hub_private if private is None else private
    return Settings(private=True if closed else asked, gated=gates.get(wanted))
