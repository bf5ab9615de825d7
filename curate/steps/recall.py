"""`curate recall`: the day a leak is found in something published. Close, withdraw, correct, purge, open again.

The one step that composes others. It closes every hub before anything else, even before it holds the
archive's lock; a journal in `recalls/` remembers who could read, so that a run that was killed goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from curate import hub
from curate.archive import repository
from curate.archive.linked_copy import linked_copy, remove_copy
from curate.archive.release_folders import holds_any_of, release_folders
from curate.archive.repository import Archive
from curate.core import clock, durable, versions
from curate.core.actor import TOOL, who
from curate.core.digests import sha256_file
from curate.core.errors import CurateError, HubError, InputError, LockedError, quoted
from curate.core.progress import Progress, silent
from curate.deid import pseudonyms
from curate.hub.folder.target import FolderHub
from curate.hub.protocol import Settings, Target
from curate.keys.derivation import Keys
from curate.releases import recall_notices, recall_state
from curate.releases.purge import stale_versions
from curate.releases.recall_journal import JOURNALS, Journal, journals, write
from curate.steps.publish import publish
from curate.steps.release import release
from curate.steps.withdraw import withdraw

DRILL = "drill"


@dataclass(frozen=True, slots=True)
class Done:
    """One step of a recall, where it happened, and how many seconds it took."""

    step: str
    place: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Recall:
    """What a recall did: `versions` held the studies, `corrected` is the one cut without them.

    `remaining` is what the hubs still show of it, found by looking. `already` is when an earlier run finished it;
    then all else is of that run.
    """

    subject: str
    reason: str
    studies: int
    versions: tuple[str, ...]
    corrected: str
    targets: tuple[str, ...]
    remaining: tuple[str, ...] = ()
    steps: tuple[Done, ...] = ()
    drill: bool = False
    already: str = ""


class _NothingError(InputError):
    """Nothing that is published goes by that name."""


def recall(root: Path, subject: str, reason: str, *, drill: bool = False, progress: Progress = silent) -> Recall:
    """Take a study, or all studies that a version brought, off every hub; `reason` is one of `notices.REASONS`.

    Needs no approval; the ledger says who did it. Repeating it goes on where it stopped. A `drill` does all of
    it to a copy of links and a folder hub, and leaves archive and hubs as they are.

    Raises:
        InputError: an unknown reason, or nothing published goes by that name.
        HubError: a hub fails, or something of it can still be read there: that hub stays closed.
        LockedError: the archive is in use; the hubs are closed already, the rest waits for the next run.
    """
    if reason not in recall_notices.REASONS:
        known = "; ".join(f"{code}: {words}" for code, words in recall_notices.REASONS.items())
        raise InputError("That is no reason for a recall.", hint=f"Give one of these. {known}.")
    try:
        return (_rehearse if drill else _recall)(root, subject, reason, progress=progress)
    except _NothingError:
        if finished := _finished(root, subject):
            return finished
        raise


def _finished(root: Path, subject: str) -> Recall | None:
    """What the ledger says of an earlier run that did all of it."""
    with repository.opened(root, write=False) as archive:
        found = recall_state.finished(archive, _names(archive, subject))
    if found is None:
        return None
    began, ended = found
    told, corrected = began.payload, ended.payload["version"]
    studies, versions_, targets = (tuple(told[name]) for name in ("studies", "versions", "targets"))
    return Recall(began.subject, told["reason"], len(studies), versions_, corrected, targets, already=ended.at)


def _recall(
    root: Path,
    subject: str,
    reason: str,
    targets: Collection[str] | None = None,
    *,
    progress: Progress,
) -> Recall:
    done: list[Done] = []
    # (1) nobody reads it any more
    journal = _journal(root, subject, reason, targets)
    _close(root, journal, done)
    # (2) the ledger knows
    with _timed(done, "recorded"):
        _record_opened(root, journal)
    # (3) it leaves the archive, and every cut of it, and is revoked
    for study in journal.studies:
        with _timed(done, "withdrawn", study):
            withdraw(root, study)
    # (4) a version without it, which adds nothing that nobody approved
    with _timed(done, "cut"):
        cut = release(root, progress, reserve="", corrected=True)
        _note(root, recall_state.CUT, cut.version, {"digest": cut.digest, **_key(journal)})
    # (5) published and purged everywhere, (6) and opened again where nothing of it can be read
    for target in sorted(journal.before):
        with _timed(done, "published and purged", target):
            _put(root, journal, cut.version, target, progress)
    for target in sorted(journal.before):
        with _timed(done, "opened", target):
            _reopen(root, journal, hub.open_target(target))
    _note(root, recall_state.DONE, journal.subject, {**_key(journal), "version": cut.version})
    with durable.storage_errors("finish the recall"):
        for left in sorted((root / JOURNALS).glob(f".{journal.name}.*.tmp")):  # a run was killed as it wrote
            durable.remove(left)
        durable.remove(root / JOURNALS / journal.name)
    return Recall(
        journal.subject,
        journal.reason,
        len(journal.studies),
        tuple(journal.versions),
        cut.version,
        tuple(sorted(journal.before)),
        tuple(journal.remaining),
        tuple(done),
    )


@contextmanager
def _timed(done: list[Done], step: str, place: str = "") -> Iterator[None]:
    started = time.monotonic()
    yield
    done.append(Done(step, place, round(time.monotonic() - started, 3)))


def _journal(root: Path, subject: str, reason: str, targets: Collection[str] | None) -> Journal:
    """What a run that was stopped wrote down, or a new one."""
    with repository.opened(root, write=False) as archive:
        names = _names(archive, subject)
        for found in journals(root):
            if found.subject in names:
                return found
        studies = _studies(archive, subject, names)
        held = {path.name for path in _published(archive) if holds_any_of(path, frozenset(studies))}
        urls = {e.payload["target"] for e in archive.ledger.events("published")} if targets is None else targets
        urls = {url for url in urls if hub.open_target(url).can_erase}  # another got nothing about a person
        held |= {v for url in urls for v in stale_versions(archive, url) if _left(archive, studies, v)}
        there = {(e.payload["target"], e.subject) for e in archive.ledger.events("published")}
        touched = sorted(url for url in urls if any((url, version) in there for version in held))
        if not touched:
            out = f"To take a study out: curate withdraw {quoted(root)} STUDY"
            raise _NothingError(
                "Nothing that is published goes by that name.",
                hint=f"Give a published version, or a study's id. {out}",
            )
        canonical = names[0] if len(names) == 1 else next(name for name in names if name in studies)
        number = sum(1 for _ in archive.ledger.events(recall_state.DONE, canonical)) + 1
        ordered = sorted(held, key=versions.parse)
        return Journal(canonical, number, reason, sorted(studies), ordered, dict.fromkeys(touched))


def _names(archive: Archive, subject: str) -> tuple[str, ...]:
    """A version's number, or a study's id as it is given and as it is published."""
    try:
        return (versions.normal(subject),)
    except InputError:
        keys = Keys.from_secret(archive.secret)
        return subject.strip(), pseudonyms.new_uid(keys, subject.strip())


def _studies(archive: Archive, subject: str, names: tuple[str, ...]) -> set[str]:
    """The studies that a version brought, or the one of that id."""
    if len(names) > 1:
        known = {name for name in names if _is_known(archive, name)}
        return known or {names[1]}
    folder = archive.releases / names[0]
    if not (folder / "release.json").is_file():
        raise InputError(f"There is no release {names[0]} in this archive.", hint="Give a published version.")
    previous = json.loads((folder / "release.json").read_bytes())["previous"]
    before = _ids(archive.releases / previous["version"]) if previous else set()
    found = _ids(folder) - before
    if not found:
        raise _NothingError(f"Version {names[0]} brought no study.", hint="Give a study's id, or the version that did.")
    return found


def _is_known(archive: Archive, study: str) -> bool:
    return archive.ledger.has_study(study) or any(archive.ledger.events("withdrawn", study))


def _ids(folder: Path) -> set[str]:
    return set(pq.read_table(folder / "manifest" / "studies.parquet", columns=["study_id"])["study_id"].to_pylist())


def _published(archive: Archive) -> list[Path]:
    names = {event.subject for event in archive.ledger.events("published")}
    return [path for path in release_folders(archive) if path.name in names]


def _left(archive: Archive, studies: Collection[str], version: str) -> bool:
    """Whether one of the studies was withdrawn from a version before."""
    events = (event for study in studies for event in archive.ledger.events("withdrawn", study))
    return any(version in event.payload["versions"] for event in events)


def _close(root: Path, journal: Journal, done: list[Done]) -> None:
    """Close every target, whichever of them fails.

    Raises:
        HubError: one failed; the others are closed.
    """
    failures: list[CurateError] = []
    for url in sorted(journal.before):
        with _timed(done, "closed", url):
            try:
                _close_one(root, journal, url)
            except CurateError as error:
                failures.append(error)
    if failures:
        raise failures[0]


def _close_one(root: Path, journal: Journal, url: str) -> None:
    target = hub.open_target(url)
    if journal.before[url] is None:
        other = (found.before.get(url) for found in journals(root) if found.name != journal.name)
        known = next((settings for settings in other if settings), None)  # it closed the target before
        journal.before[url] = known or asdict(target.readers())
        write(root, journal)
    target.close_to_readers()


def _record_opened(root: Path, journal: Journal) -> None:
    """Tell the ledger of the recall and of what was closed.

    Raises:
        LockedError: another process works with the archive.
    """
    facts = {"reason": journal.reason, "studies": journal.studies, "versions": journal.versions}
    try:
        _note(
            root,
            recall_notices.OPENED,
            journal.subject,
            {**_key(journal), **facts, "targets": sorted(journal.before)},
        )
    except LockedError as error:
        raise LockedError(
            f"The hubs are closed to readers; the rest of the recall waits. {error.message}",
            hint="As soon as it is done, run the same command again.",
        ) from None
    for url in sorted(journal.before):
        before = journal.before[url] or {}
        payload = {**_key(journal), "target": url, **{k: v for k, v in before.items() if v is not None}}
        _note(root, recall_state.CLOSED, journal.subject, payload)


def _key(journal: Journal) -> dict[str, Any]:
    return {"recall": journal.subject, "number": journal.number}


def _note(root: Path, kind: str, subject: str, payload: dict[str, Any]) -> None:
    """Add an event, unless it is there."""
    with repository.opened(root, write=True) as archive:
        if any(event.payload == payload for event in archive.ledger.events(kind, subject)):
            return
        with archive.ledger.transaction():
            archive.ledger.append(clock.stamp(), kind, subject, payload, who=who(), tool=TOOL)


def _put(root: Path, journal: Journal, version: str, url: str, progress: Progress) -> None:
    """Publish the corrected version and purge the rest; then look again, as long as something is left."""
    found = publish(root, version, url, alone=True, progress=progress)  # another hub's fault holds up none
    with repository.opened(root, write=False) as archive:
        there = {e.subject for e in archive.ledger.events("published") if e.payload["target"] == url}
        recuts = {name: archive.releases / name for name in journal.versions if name in there}
    again = hub.open_target(url).purge(recuts, progress=progress)
    left = {*found.remaining, *(f"{item.place} {item.path} ({item.what})" for item in again.remaining)}
    journal.remaining = sorted({*(text for text in journal.remaining if "(bytes)" not in text), *left})
    write(root, journal)


def _reopen(root: Path, journal: Journal, target: Target) -> None:
    """Let those read who could before, unless something can still be read, or another recall is not done.

    Raises:
        HubError: bytes are still served.
    """
    served = [text for text in journal.remaining if text.endswith("(bytes)")]
    if served:
        raise HubError(
            f"{target.url} stays closed: {len(served)} files of what was recalled can still be read there,"
            f" such as {served[0]}",
            hint="Delete them on the hub (pull requests, copies), then run the same command again.",
        )
    others = (found for found in journals(root) if found.name != journal.name)
    if any(target.url in found.before for found in others):
        return
    before = journal.before[target.url] or {}
    target.open_to_readers(Settings(before.get("private"), before.get("gated")))
    _note(root, recall_state.REOPENED, journal.subject, {**_key(journal), "target": target.url})


def _rehearse(root: Path, subject: str, reason: str, progress: Progress) -> Recall:
    """The recall of a copy, from a folder hub, both made of links inside the archive and deleted afterwards."""
    place = root / DRILL
    remove_copy(place)
    try:
        with durable.storage_errors("rehearse the recall"):
            place.mkdir(mode=0o700)
            target = FolderHub((place / "hub").absolute(), linked=True)
            with repository.opened(root, write=True) as archive:
                linked_copy(archive, place / "archive", leave_out=(DRILL, JOURNALS))
                published = _published(archive)
        for path in published:
            target.publish(place / "archive" / "releases" / path.name, progress=progress)
        for path in published:
            payload = {"target": target.url, "commit": "", "digest": sha256_file(path / "release.json")}
            _note(place / "archive", "published", path.name, payload)
        found = _recall(place / "archive", subject, reason, (target.url,), progress=progress)
        steps = tuple(Done(s.step, s.place.replace(target.url, "the folder hub"), s.seconds) for s in found.steps)
        return Recall(**{**_fields(found), "targets": _real(root), "steps": steps, "drill": True})
    finally:
        remove_copy(place)


def _fields(found: Recall) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Recall.__slots__}


def _real(root: Path) -> tuple[str, ...]:
    """The targets that a recall would close."""
    with repository.opened(root, write=False) as archive:
        urls = {event.payload["target"] for event in archive.ledger.events("published")}
    return tuple(sorted(url for url in urls if hub.open_target(url).can_erase))
