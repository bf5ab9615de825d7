"""`curate publish`: only what passes every check, has its approvals, and holds nothing withdrawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq

from curate import clock, hub
from curate import version as versions
from curate.archive import layout
from curate.archive.layout import Archive
from curate.archive.reviews import lacking, release_folder
from curate.cutting.erase import name_revocations, settle
from curate.digests import sha256_file
from curate.errors import InputError, RefusedError
from curate.findings import Severity
from curate.hub.protocol import Plan, Purged, Settings, Target
from curate.identity import TOOL, who
from curate.progress import Progress, silent
from curate.verify import check_release, remembered
from curate.verify.remembered import Remembered


@dataclass(frozen=True, slots=True)
class Publication:
    """What `publish` did, or with `dry_run` would do: files and bytes sent, files that were there already.

    `purged` versions are served without what was withdrawn from now on; `remaining` is what the hub still
    shows of it, found by looking.
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


def publish(
    root: Path,
    version: str,
    to: str = "",
    *,
    dry_run: bool = False,
    gated: str | None = None,
    full: bool = False,
    workers: int = 1,
    progress: Progress = silent,
) -> Publication:
    """Publish a version to `to`, or to the hub that `archive.toml` names; its tag comes last.

    Packs and previews that an earlier `publish` verified, and that nobody touched since, are not read again,
    unless `full`.

    Raises:
        RefusedError: the release does not pass its checks, lacks approvals, or holds a withdrawn study.
        InputError: no such version or target.
        HubError: the hub refuses, fails, or holds something else than what was sent.
    """
    settings = _settings(gated)
    with layout.opened(root, write=not dry_run) as archive:
        folder = release_folder(archive, version)
        target = hub.open_target(to or archive.config.hub_target)
        if dry_run:
            return _planned(archive, folder, target)
        settle(archive)
        _refuse_unapproved(archive, folder)
        _refuse_withdrawn(archive, folder)
        _refuse_unchecked(archive, folder, workers, progress, full=full)
        published = target.publish(folder, settings=settings)
        _record(archive, folder, target.url, published.commit)
        purged = _purge(archive, target, progress)
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
        )


def _planned(archive: Archive, folder: Path, target: Target) -> Publication:
    before = [e.subject for e in archive.ledger.events("published") if e.payload["target"] == target.url]
    previous = archive.releases / before[-1] if before else None
    plan: Plan = target.plan(folder, previous if previous and previous.is_dir() else None)
    sizes = (len(plan.send), plan.send_bytes, len(plan.unchanged))
    stale = tuple(versions.tag(version) for version in _to_purge(archive, target.url))
    return Publication(
        folder.name, plan.tag, target.url, "", *sizes, plan.is_empty, dry_run=True, purged=stale
    )


def _to_purge(archive: Archive, url: str) -> dict[str, str]:
    """Versions that were cut again since this target got them, with the digest that it should hold."""
    recorded = {event.subject: event.payload["digest"] for event in archive.ledger.events("recut")}
    there: dict[str, str] = {}
    for kind in ("published", "purged"):
        for event in archive.ledger.events(kind):
            if event.payload["target"] == url:
                there[event.subject] = event.payload["digest"]
    return {v: digest for v, digest in recorded.items() if v in there and there[v] != digest}


def _purge(archive: Archive, target: Target, progress: Progress) -> Purged:
    """Serve every version without what was withdrawn since, and erase the rest from the target's history.

    Raises:
        HubError: the hub fails; the next `publish` of the same version goes on.
    """
    stale = _to_purge(archive, target.url)
    if not stale:
        return Purged((), (), 0, 0, ())
    folders = {version: release_folder(archive, version) for version in stale}
    name_revocations(archive, stale)
    purged = target.purge(folders, progress=progress)
    with archive.ledger.transaction():
        for version, digest in _to_purge(archive, target.url).items():
            payload = {"target": target.url, "digest": digest, "remaining": len(purged.remaining)}
            archive.ledger.append(clock.stamp(), "purged", version, payload, who=who(), tool=TOOL)
    return replace(
        purged, moved=tuple(versions.tag(version) for version in folders)
    )  # others lost history only


def _refuse_unapproved(archive: Archive, folder: Path) -> None:
    if lack := lacking(archive, folder):
        raise RefusedError(
            f"{lack}.",
            hint=f"See curate ledger {archive.root}; approve with: curate approve {archive.root} {folder.name}"
            " --as NAME",
        )


def _refuse_withdrawn(archive: Archive, folder: Path) -> None:
    present = set(archive.ledger.study_ids())
    listed = pq.read_table(folder / "manifest" / "studies.parquet", columns=["study_id"])
    gone = set(listed["study_id"].to_pylist()) - present
    if gone:
        raise RefusedError(
            f"Release {folder.name} holds {len(gone)} studies that the archive no longer has.",
            hint=f"Cut it again without them: curate release {archive.root}",
        )


def _refuse_unchecked(
    archive: Archive, folder: Path, workers: int, progress: Progress, *, full: bool
) -> None:
    place = archive.root / remembered.NAME
    known = Remembered() if full else Remembered.read(place)
    results = check_release(folder, workers=workers, progress=progress, known=known)
    errors = [f for result in results for f in result.findings if f.severity is Severity.ERROR]
    if errors:
        raise RefusedError(
            f"Release {folder.name} does not pass its checks: {', '.join(sorted({f.rule for f in errors}))}.",
            hint=f"See them: curate check {folder}",
        )
    known.keep(place)


def _record(archive: Archive, folder: Path, target: str, commit: str) -> None:
    payload = {"target": target, "commit": commit, "digest": sha256_file(folder / "release.json")}
    before = archive.ledger.events("published", folder.name)
    if any(event.payload == payload for event in before):
        return
    with archive.ledger.transaction():
        archive.ledger.append(clock.stamp(), "published", folder.name, payload, who=who(), tool=TOOL)


def _settings(text: str | None) -> Settings | None:
    """The settings of `--gated auto|manual|off`.

    Raises:
        InputError: another word.
    """
    if text is None:
        return None
    if text == "auto":
        return Settings(gated="auto")
    if text == "manual":
        return Settings(gated="manual")
    if text == "off":
        return Settings(gated=False)
    raise InputError("--gated takes auto, manual or off.", hint="Write --gated manual, for instance.")
