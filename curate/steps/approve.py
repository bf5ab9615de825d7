"""`curate approve`: a reviewer signs a release's exact bytes, the sheet and the decisions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from curate.archive import repository
from curate.archive.repository import Archive
from curate.attestation import approvals, release_attestations
from curate.attestation.approvals import Approval, release_folder
from curate.attestation.evidence import refuse_unanswered, refuse_undecided, sheet_of
from curate.attestation.release_attestations import Approved
from curate.attestation.review_sheets import read_decisions, read_sheet
from curate.core import clock
from curate.core.actor import TOOL
from curate.core.digests import sha256_file
from curate.core.errors import InputError, RefusedError, quoted
from curate.releases.attest import attest_review
from curate.transparency import signing_keys
from curate.transparency.signing_keys import KeyFile


@dataclass(frozen=True, slots=True)
class _Papers:
    """Digest and bytes of the sheet and of the decisions; empty where not given."""

    sheet: tuple[str, bytes] = ("", b"")
    decisions: tuple[str, bytes] = ("", b"")


def approve(
    root: Path,
    version: str,
    reviewer: str,
    key: Path | None = None,
    *,
    sheet: Path | None = None,
    decisions: Path | None = None,
) -> Approval:
    """Sign a version with the reviewer's key, by default the one that `curate key new --as NAME` made.

    Twice is the same as once; another sheet takes the place of the first.

    Raises:
        InputError: no such version or key; no name, or not the key's; a sheet or decisions that do not fit.
        RefusedError: the policy names other reviewers, or asks for a sheet, or the version is published.
    """
    held = _key(reviewer, key)
    with repository.opened(root, write=True) as archive:
        folder = release_folder(archive, version)
        _refuse(archive, folder.name, held, reviewer, sheet)
        papers = _papers(archive, folder, sheet, decisions)
        digest = sha256_file(folder / "release.json")
        said = Approval(
            folder.name,
            digest,
            reviewer.strip(),
            papers.sheet[0],
            papers.decisions[0],
            archive.config.digest,
            TOOL,
            clock.stamp(),
        )
        said = _sign(archive, folder, held, said, papers)
        payload = {"digest": said.release, "reviewer": said.reviewer}
        payload |= {"sheet": said.sheet, "decisions": said.decisions}
        before = list(archive.ledger.events("approved", said.version))
        rejected = approvals.rejections(archive, said.version, digest)
        if not any(e.payload == payload for e in before) or any(r.reviewer == said.reviewer for r in rejected):
            with archive.ledger.transaction():
                archive.ledger.append(
                    clock.stamp(), "approved", said.version, payload, who=said.reviewer, tool=TOOL,
                    key=held.public.id.hex(),
                )  # fmt: skip
        return said


def _key(reviewer: str, path: Path | None) -> KeyFile:
    if not reviewer.strip():
        raise InputError("A reviewer needs a name.", hint="Give it with --as NAME.")
    path = path or signing_keys.default_path(reviewer)
    if not path.is_file():
        hint = f"Make one: curate key new --as {quoted(reviewer)}; or name yours with --key FILE."
        raise InputError(f"{reviewer} has no key in {path}.", hint=hint)
    held = signing_keys.read(path)
    if not approvals.same_person(held.public.name, reviewer):
        raise InputError(f"{path} is the key of {held.public.name}, not of {reviewer}.", hint="Give your own.")
    return held


def _refuse(archive: Archive, version: str, held: KeyFile, reviewer: str, sheet: Path | None) -> None:
    asked = archive.config.approval
    if next(archive.ledger.events("published", version), None) is not None:
        raise RefusedError(f"Release {version} is published already.", hint="Approve the next version.")
    known = {str(key) for key in signing_keys.related([held.public], held.rotations)}
    if asked.reviewers and not known & set(asked.reviewers):
        hint = f'Have its maintainer add to reviewers in [approval] of archive.toml: "{held.public}"'
        raise RefusedError(f"The key of {held.public.name} is not one that this archive names.", hint=hint)
    if asked.four_eyes and approvals.same_person(reviewer, approvals.cutter(archive, version)):
        raise RefusedError(
            f"{reviewer} cut release {version}: the policy asks for other eyes.", hint="Ask somebody else."
        )
    if asked.sheet and sheet is None:
        hint = f"Make one, answer it, and add --sheet: curate sheet {quoted(archive.root)} {version} --out sheet.json"
        raise RefusedError("The policy asks for the five questions to be answered.", hint=hint)


def _papers(archive: Archive, folder: Path, sheet: Path | None, decisions: Path | None) -> _Papers:
    papers = _Papers()
    digest = sha256_file(folder / "release.json")
    if sheet is not None:
        refuse_unanswered(read_sheet(sheet), sheet_of(archive, folder.name), sheet)
        papers = replace(papers, sheet=(sha256_file(sheet), sheet.read_bytes()))
    if decisions is not None:
        asked = archive.config.approval.sample_series
        refuse_undecided(read_decisions(decisions), folder, digest, asked, decisions)
        papers = replace(papers, decisions=(sha256_file(decisions), decisions.read_bytes()))
    return papers


def _sign(archive: Archive, folder: Path, held: KeyFile, said: Approval, papers: _Papers) -> Approval:
    """Put the signed approval in place of the reviewer's earlier one; the same one keeps its date."""
    before = release_attestations.read_approvals(folder) or []
    mine = signing_keys.related([held.public], held.rotations)
    for entry in before:
        found = approvals.opened(entry)
        if entry.public == held.public and found and replace(found, at=said.at, tool=said.tool) == said:
            attest_review(archive, folder, before, papers.sheet, papers.decisions)
            return found
    made = Approved(approvals.signed(said, held.signer()), held.public, held.rotations)
    others = [entry for entry in before if entry.public not in mine]
    attest_review(archive, folder, [*others, made], papers.sheet, papers.decisions)
    return said
