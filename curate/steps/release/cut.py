"""Cut a release: decide its version, write the folder beside the archive's packs, seal it by its digest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from curate import contract
from curate.archive import disclosure_history, repository
from curate.archive.ledger_records import Event, StudyRecord
from curate.archive.pack_consolidation import consolidate
from curate.archive.repository import Archive
from curate.attestation import approvals
from curate.core import clock, durable, versions
from curate.core.actor import TOOL, who
from curate.core.digests import sha256_file
from curate.core.errors import RefusedError, quoted
from curate.core.progress import Progress, silent
from curate.core.records import Changes, FileEntry, ReleaseSummary
from curate.parallel import Workers
from curate.policies import Policy
from curate.privacy.loss import Loss
from curate.releases import archive_soundness, publication_context, recall_notices, release_files
from curate.releases.attest import attest
from curate.releases.split_pseudonyms import split_donors
from curate.releases.version_history import history_before
from curate.releases.withdrawal_cleanup import finish_withdrawals
from curate.steps.release import doi, manifest
from curate.steps.release.changes import changes
from curate.steps.release.content import (
    content_of,
    contract_of,
    folder_of,
    holds,
    newest_published,
    studies_of,
)
from curate.steps.release.disclosure_decision import Decision, decide
from curate.steps.release.losses import Accept, refuse_unaccepted
from curate.steps.release.self_check import refuse_unsound
from curate.transparency import signing_keys

MAX_FILES = 90_000


@dataclass(frozen=True, slots=True)
class Cut:
    """What `release` did: the version, its folder, the digest of `release.json`, and whether it is new.

    `rejected` says who refused these bytes, and why; `loss` what a new version of persons will never show.
    """

    version: str
    path: Path
    digest: str
    new: bool
    studies: int
    instances: int
    added: int
    removed: int
    held: int
    rejected: tuple[str, ...] = ()
    loss: Loss | None = field(default=None, compare=False)


def release(
    root: Path,
    progress: Progress = silent,
    *,
    reserve: str | None = None,
    corrected: bool = False,
    workers: Workers = 1,
    accept_loss: bool | Accept = False,
) -> Cut:
    """Cut the next version of an archive, or say that there is nothing new.

    The bytes are a function of the ledger up to the `release_opened` event, the keys and the code. A run
    that was killed is finished by the next one under the same version and date. `reserve` (`zenodo://`, by
    default what `[hub] doi` says) reserves a DOI first. A `corrected` version adds no study to the last one.
    What was cut passes its own check, which reads what is new of it. `accept_loss`, or what it answers, lets a
    version of persons lose a whole column, or hold back more than it shows.

    Raises:
        RefusedError: no study may be released, a licence forbids it, there would be too many files, it would
            lose what nobody accepted, or would not pass its own check.
        HubError: no DOI can be reserved.
        LockedError, StorageError, DamagedError: as their messages say; the archive is as it was.
    """
    with repository.opened(root, write=True) as archive:
        finish_withdrawals(archive)
        archive_soundness.refuse_unsound(archive)
        previous = newest_published(archive)
        if not corrected:  # a recall waits for no clock
            _refuse_earlier(archive, previous)
        decision = decide(archive, studies_of(archive, previous).keys() if corrected else None)
        if not decision.published and not _cuts(archive):
            raise RefusedError(
                "No study may be released.", hint=f"See what waits and why: curate quarantine {quoted(root)}"
            )
        split_donors(archive, decision.parts)
        consolidate(archive, decision.published.keys())
        last = _cuts(archive)[-1] if _cuts(archive) else None
        content = content_of(archive, decision)
        wants_doi = bool(archive.config.hub_doi if reserve is None else reserve)
        told = recall_notices.pending(archive, previous)
        if last and holds(archive, last, decision) and _says(archive, last.subject, told, wants_doi):
            return _cut_of(archive, last, new=False)
        refuse_unaccepted(archive, decision.loss, accept_loss)
        opened = _open(archive, decision, content, told)
        number = doi.reserve_for(archive, opened) if wants_doi else None
        return _write(archive, decision, opened, number, progress, workers)


def _refuse_earlier(archive: Archive, previous: str | None) -> None:
    """Refuse a date before that of the version before: a clock that went back, or a fixed date.

    Raises:
        RefusedError: which two dates.
    """
    today, before = clock.now().date().isoformat(), _cut_on(archive, previous)
    if today < before:
        raise RefusedError(
            f"Today is {today} by this machine, and version {previous} was cut on {before}.",
            hint="Set the clock; or unset SOURCE_DATE_EPOCH, or give it a later date.",
        )


def _cut_on(archive: Archive, version: str | None) -> str:
    """The date that a version states; empty where there is none."""
    dates = [event.payload["date"] for event in archive.ledger.events("release_opened", version or "")]
    return str(dates[-1]) if dates else ""


def _cuts(archive: Archive) -> list[Event]:
    return list(archive.ledger.events("released"))


def _says(archive: Archive, version: str, told: tuple[str, ...], wants_doi: bool) -> bool:
    """Whether a version's folder is there and bears all notices, and a DOI if it should; a published one stays.

    Raises:
        RefusedError: it was published without the DOI that is asked for.
    """
    path = folder_of(archive, version) / "release.json"
    if not path.is_file():
        return False
    stated = publication_context.of_seal(json.loads(path.read_bytes()))
    if wants_doi and not stated.doi and version == newest_published(archive):
        raise RefusedError(
            f"{version} was published without a DOI, and nothing is new.",
            hint="The next version can have one.",
        )
    return set(told) <= set(stated.notices) and (not wants_doi or bool(stated.doi))


def _open(archive: Archive, decision: Decision, content: str, told: tuple[str, ...]) -> Event:
    """The `release_opened` event of this content: an unfinished one is taken up again."""
    opened = list(archive.ledger.events("release_opened"))
    if opened and (opened[-1].payload["content"], opened[-1].payload.get("notices", [])) == (
        content,
        list(told),
    ):
        return opened[-1]
    previous = newest_published(archive)
    before = studies_of(archive, previous)
    added = sorted(decision.published.keys() - before)
    version = versions.following(
        previous,
        contract_changed=previous is not None and contract_of(archive, previous) != contract.VERSION,
        added=bool(added),
    )
    payload = {
        "content": content,
        "config": archive.config.digest,
        "contract": contract.VERSION,
        "date": max(clock.now().date().isoformat(), _cut_on(archive, previous)),
        "previous": previous,
        "added": len(added),
        "removed": len(before.keys() - decision.published.keys()) + _withdrawn_since(archive, previous),
        **({"notices": list(told)} if told else {}),
    }
    with archive.ledger.transaction():
        archive.ledger.append(clock.stamp(), "release_opened", version, payload, who=who(), tool=TOOL)
        for digest, since in list(archive.ledger.revocations()):
            if since is None:
                archive.ledger.put_revocation(digest, version)
    return list(archive.ledger.events("release_opened"))[-1]


def _withdrawn_since(archive: Archive, version: str | None) -> int:
    """How many studies of a published version were withdrawn: its folder lost them at once."""
    return sum(version in event.payload["versions"] for event in archive.ledger.events("withdrawn"))


def _counted(records: Iterable[StudyRecord], total: int, progress: Progress) -> Iterator[StudyRecord]:
    for record in progress.over(records, "studies", total):
        yield record
        facts = record.payload["facts"]
        progress.add(instances=facts["instance_count"], size_bytes=facts["size_bytes"])


def _write(
    archive: Archive, decision: Decision, opened: Event, number: str | None, progress: Progress, workers: Workers
) -> Cut:
    version, previous = opened.subject, opened.payload["previous"]
    folder = archive.temporary / f"release-{version}"
    with durable.storage_errors("write the release"):
        (folder / "manifest").mkdir(parents=True)
        known = decision.first_versions
        before = studies_of(archive, previous) if known is None else known
        first = {study: before.get(study, version) for study in decision.published}
        chosen = (s for s in archive.ledger.studies() if s.study_id in decision.published)
        counted = _counted(chosen, len(decision.published), progress)
        revoked = ((digest, since or version) for digest, since in archive.ledger.revocations())
        durable.step("write", folder / "manifest")
        totals = manifest.write(folder / "manifest", counted, decision.published, first, version, revoked)
        if len(totals.files) > MAX_FILES:
            raise RefusedError(
                f"The release would have {len(totals.files):,} packs; hubs take {MAX_FILES:,} files.",
                hint="Raise target_size_mb in [packs] of archive.toml.",
            )
        for path in sorted(totals.files):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            archive.store_of(path).take(path, folder / path, archive.releases)
        release_files.write_licenses(folder, totals.licenses)
        said = publication_context.of_config(archive.config, number, tuple(opened.payload.get("notices", ())))
        changed = _changes(archive, decision, previous, folder, totals)
        summary = _summary(archive, decision, opened, totals, release_files.entries(folder), changed)
        summary = replace(summary, **said.fields())
        release_files.write_texts(folder, summary)
        policies = _policies(archive, decision)
        digest = release_files.seal(folder, summary, _previous(folder, opened), **policies, **said.sealed())
        refuse_unsound(archive, folder, workers, progress)
        attest(archive, folder, version, digest, approvals.asked(archive, version))
        if decision.shown is not None:
            disclosure_history.keep(archive, digest, decision.shown, decision.counts)
        repository.put_release(archive.root, folder, version)
    with archive.ledger.transaction():
        payload = {"content": opened.payload["content"], "digest": digest, "held": decision.held}
        payload |= {"studies": totals.rows["studies"], "instances": totals.rows["instances"]}
        payload |= {"added": opened.payload["added"], "removed": opened.payload["removed"]}
        payload |= {"changes": asdict(changed)} if changed else {}
        payload |= {"accepted_loss": True} if decision.loss and decision.loss.grave else {}
        archive.ledger.append(clock.stamp(), "released", version, payload, who=who(), tool=TOOL)
    return replace(_cut_of(archive, _cuts(archive)[-1], new=True), loss=decision.loss)


def _changes(
    archive: Archive, decision: Decision, previous: str | None, folder: Path, totals: manifest.Totals
) -> Changes | None:
    """How the version's tables differ from those of the one before, if there is one."""
    if previous is None:
        return None
    k = decision.privacy["k"] if decision.privacy else None
    return changes(folder_of(archive, previous) / "manifest", folder / "manifest", totals.rows, k)


def _summary(
    archive: Archive,
    decision: Decision,
    opened: Event,
    totals: manifest.Totals,
    files: tuple[FileEntry, ...],
    changed: Changes | None,
) -> ReleaseSummary:
    return ReleaseSummary(
        archive=archive.config.info,
        version=opened.subject,
        released=date.fromisoformat(opened.payload["date"]),
        previous_version=opened.payload["previous"],
        table_rows=dict(totals.rows),
        donor_count=len(totals.donors),
        size_bytes=totals.size_bytes,
        license_counts=dict(totals.licenses),
        modality_counts=dict(totals.modalities),
        tables=decision.tables,
        files=files,
        added=opened.payload["added"],
        removed=opened.payload["removed"],
        history=history_before(archive, opened.subject),
        changes=changed,
        statements=decision.statements,
        key=str(signing_keys.read(archive.log_key).public),
    )


def _policies(archive: Archive, decision: Decision) -> dict[str, Any]:
    """What `check` must know to judge the release by its own rules."""
    profile = asdict(Policy.from_mapping(archive.config.profile))
    return {"profile": profile, **({"privacy": dict(decision.privacy)} if decision.privacy else {})}


def _previous(folder: Path, opened: Event) -> dict[str, str] | None:
    version = opened.payload["previous"]
    if version is None:
        return None
    path = folder.parent.parent / "releases" / version / "release.json"
    return {"version": version, "sha256": sha256_file(path)}


def _cut_of(archive: Archive, event: Event, *, new: bool) -> Cut:
    numbers = {key: event.payload[key] for key in ("studies", "instances", "added", "removed", "held")}
    path, digest = folder_of(archive, event.subject), event.payload["digest"]
    refused = approvals.rejections(archive, event.subject, digest)
    told = tuple(f"{r.reviewer}: {r.reason}{f' ({r.text})' if r.text else ''}" for r in refused)
    return Cut(event.subject, path, digest, new, **numbers, rejected=told)
