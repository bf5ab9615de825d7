"""Reviewers' words on exact bytes: what `approve` signs, what `reject` records, what `publish` asks for."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from curate.archive.config import ApprovalPolicy as Asked
from curate.archive.repository import Archive
from curate.attestation import release_attestations
from curate.attestation.release_attestations import Approved
from curate.core import versions
from curate.core.digests import canonical_json, sha256_file
from curate.core.errors import InputError, quoted
from curate.transparency import signed_note, signing_keys
from curate.transparency.signed_note import PublicKey, Signer

_FORMAT = "curate/approval/v1"


class Reason(StrEnum):
    """Why a release is rejected."""

    CONSENT = "CONSENT"
    COUNTS = "COUNTS"
    HEADERS = "HEADERS"
    LICENSE = "LICENSE"
    METADATA = "METADATA"
    PIXELS = "PIXELS"
    RISK = "RISK"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class Approval:
    """What a reviewer signs: it holds for these bytes only.

    `release`, `sheet`, `decisions` and `policy` are SHA-256 digests in hex; sheet and decisions may be empty.
    """

    version: str
    release: str
    reviewer: str
    sheet: str
    decisions: str
    policy: str
    tool: str
    at: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A reviewer's refusal of exact bytes; `text` stays in the archive."""

    version: str
    release: str
    reviewer: str
    reason: Reason
    text: str


def signed(approval: Approval, signer: Signer) -> str:
    """The note of an approval."""
    return signed_note.sign(canonical_json(asdict(approval) | {"format": _FORMAT}) + "\n", [signer])


def opened(approved: Approved) -> Approval | None:
    """What a note says, if its key signed it; None where it did not, or the note says anything else."""
    text = signed_note.verified(approved.note, [approved.public])
    try:
        said = json.loads(text or "")
        if said.pop("format") != _FORMAT:
            return None
        found = Approval(**said)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    strings = all(isinstance(value, str) for value in asdict(found).values())
    return found if strings and canonical_json(asdict(found) | {"format": _FORMAT}) + "\n" == text else None


def counted(approved: Iterable[Approved], asked: Asked, digests: Collection[str]) -> set[PublicKey]:
    """The reviewers whose approval counts by what is asked; of a version cut again, those of the same bytes.

    `digests` are what the version has and had: all that it needs were given to one of them. Two halves, of which
    each was given to other bytes, are no whole. A key that took over from another one is the same reviewer.
    """
    listed = list(approved)
    return max((_who_approved(listed, asked, digest) for digest in digests), key=len, default=set())


def _who_approved(listed: Sequence[Approved], asked: Asked, digest: str) -> set[PublicKey]:
    named = [signed_note.public_key(text) for text in asked.reviewers]
    rotations = [note for entry in listed for note in entry.rotations]
    found = set()
    for entry in listed:
        said = opened(entry)
        if said is None or said.release != digest or (asked.sheet and not said.sheet):
            continue
        same = signing_keys.related([entry.public], rotations)
        person = next((key for key in named if key in same), None) if named else min(same, key=str)
        if person is not None:
            found.add(person)
    return found


def asked(archive: Archive, version: str) -> Asked:
    """What the policy asks for before a version is published: a release that only removes is never held up."""
    cuts = list(archive.ledger.events("release_opened", version))
    said = cuts[-1].payload if cuts else {}
    only_removes = said.get("previous") and not said.get("added") and said.get("removed")
    return Asked(required=0) if only_removes else archive.config.approval


def cutter(archive: Archive, version: str) -> str:
    """Who cut a version."""
    return next((event.who for event in reversed(list(archive.ledger.events("released", version)))), "")


def same_person(one: str, other: str) -> bool:
    """Whether two names are the same person's, as names of keys are formed."""
    return signed_note.key_name(one) == signed_note.key_name(other)


def rejections(archive: Archive, version: str, digest: str) -> list[Rejection]:
    """The rejections of these bytes whose reviewers have not approved them since."""
    last: dict[str, Rejection] = {}
    events = [*archive.ledger.events("approved", version), *archive.ledger.events("rejected", version)]
    for event in sorted(events, key=lambda event: event.seq):
        if event.payload["digest"] != digest:
            continue
        last.pop(signed_note.key_name(event.payload["reviewer"]), None)
        if event.kind == "rejected":
            text = archive.ledger.remark(bytes.fromhex(event.payload["remark"]))
            reviewer, reason = event.payload["reviewer"], Reason(event.payload["reason"])
            last[signed_note.key_name(reviewer)] = Rejection(version, digest, reviewer, reason, text)
    return list(last.values())


def lacking(archive: Archive, folder: Path) -> str:
    """What keeps a release from being published, in one sentence; empty where nothing does.

    Raises:
        DamagedError: its checkpoint cannot be read.
    """
    version, digest = folder.name, sha256_file(folder / "release.json")
    published = next(archive.ledger.events("published", version), None)
    said = release_attestations.read_checkpoint(folder)[1]
    if published is None and said.approval != asked(archive, version):
        return f"The approval policy changed since release {version} was cut: cut it again"
    if not said.approval.required:
        return ""
    if refused := rejections(archive, version, digest):
        told = ", ".join(f"{r.reviewer} ({r.reason})" for r in refused)
        return f"Release {version} was rejected by {told}"
    approved = release_attestations.read_approvals(folder) or []
    eyes = _other_eyes(archive, folder, approved, said.approval)
    have = counted(eyes, said.approval, _same_cut(archive, version, digest))
    if len(have) >= said.approval.required:
        return ""
    before = [event for event in archive.ledger.events("approved", version) if event.payload["digest"] != digest]
    stale = "; its bytes changed after an approval" if before and not have else ""
    return f"Release {version} has {len(have)} of {said.approval.required} approvals{stale}"


def _same_cut(archive: Archive, version: str, digest: str) -> list[str]:
    """The digests under which this cut was known: its own, and those that withdrawals replaced since."""
    events = [*archive.ledger.events("released", version), *archive.ledger.events("recut", version)]
    events.sort(key=lambda event: event.seq)
    cut = max((at for at, event in enumerate(events) if event.kind == "released"), default=0)
    known = [str(event.payload["digest"]) for event in events[cut:]]
    return known if known and known[-1] == digest else [digest]


def _other_eyes(archive: Archive, folder: Path, approved: list[Approved], asked: Asked) -> list[Approved]:
    by = cutter(archive, folder.name)
    return [a for a in approved if not (asked.four_eyes and same_person(a.public.name, by))]


def release_folder(archive: Archive, version: str) -> Path:
    """The folder of a version that was cut.

    Raises:
        InputError: there is no such version.
    """
    folder = archive.releases / versions.normal(version)
    if not (folder / "release.json").is_file():
        known = sorted((p.name for p in archive.releases.glob("*.*.*")), key=versions.parse)
        cut = f"Cut so far: {', '.join(known)}." if known else f"Cut one: curate release {quoted(archive.root)}"
        raise InputError(f"There is no release {versions.normal(version)} in this archive.", hint=cut)
    return folder
