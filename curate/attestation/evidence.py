"""What the tool shows a reviewer of a release: the sheet and the decisions, with its evidence and nothing answered."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from curate import contract
from curate.archive.repository import Archive
from curate.attestation.approvals import release_folder
from curate.attestation.review_sheets import (
    ACCEPT,
    EVERY_STUDY,
    QUESTIONS,
    REFUSE,
    Decisions,
    FindingDecision,
    Question,
    SeriesDecision,
    Sheet,
)
from curate.core.actor import TOOL
from curate.core.digests import sha256_file
from curate.core.errors import InputError, quoted


def sheet_of(archive: Archive, version: str) -> Sheet:
    """The sheet of a version that was cut, with the tool's evidence and no answer.

    `archive` is an open archive (`curate.archive.repository.opened(root, write=False)`). Reads the release's
    `release.json`, evidence and studies, and counts what waits in the archive.

    Raises:
        InputError: no such version.
    """
    folder = release_folder(archive, version)
    sealed = json.loads((folder / "release.json").read_bytes())
    found = _evidence(folder)
    asked = min(archive.config.approval.sample_series, sealed["counts"]["series"])
    return Sheet(
        folder.name,
        sha256_file(folder / "release.json"),
        tuple(
            Question(name, text, evidence)
            for (name, text), evidence in zip(
                QUESTIONS.items(), _evidences(archive, folder, sealed, found), strict=True
            )
        ),
        _counts(archive, folder.name, sealed),
        {
            "series": sealed["counts"]["series"],
            "opened": asked,
            "bound": bound(asked, sealed["counts"]["series"]),
            "chosen_by": "smallest SHA-256 over the release's digest (hex) and SeriesInstanceUID",
        },
        dict(found["warnings"]),
        dict(found["applied"]),
        dict(found["pixels"]),
        _consent_text(archive),
        archive.config.governance.get("dpia", ""),
        archive.config.digest,
        TOOL,
    )


def bound(opened: int, total: int) -> str:
    """The share below which faults lie at 95% when none was found in so many of `total`: 3/n, at most 1; 0 of all."""
    if opened >= total:
        return f"{0:.4f}"
    return f"{min(1.0, 3 / opened) if opened else 1.0:.4f}"


def _counts(archive: Archive, version: str, sealed: Mapping[str, Any]) -> dict[str, int]:
    names = ("studies", "series", "instances", "donors")
    cut = next(reversed(list(archive.ledger.events("released", version)))).payload
    return {
        **{name: sealed["counts"][name] for name in names},
        **{name: cut[name] for name in ("held", "added", "removed")},
        "quarantined": sum(1 for _ in archive.ledger.quarantined()),
    }


def _consent_text(archive: Archive) -> str:
    name = archive.config.governance.get("consent_text", "")
    path = archive.root / name
    if not name:
        return ""
    if not path.is_file():
        raise InputError(f"{path} is not there.", hint="Mend consent_text in [governance] of archive.toml.")
    return sha256_file(path)


def _payloads(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    columns = ["study_id", "payload"]
    for batch in contract.read_batches(folder / "manifest" / "evidence.parquet", columns):
        for study, payload in zip(*(batch.column(name).to_pylist() for name in columns), strict=True):
            yield study, json.loads(payload)


def _evidence(folder: Path) -> dict[str, Counter[str]]:
    """What the evidence of all studies counts: findings, and what was changed in headers and pixels."""
    found: dict[str, Counter[str]] = {name: Counter() for name in ("warnings", "applied", "pixels")}
    for _, payload in _payloads(folder):
        for name, counter in found.items():
            counter.update({k: n for k, n in (payload.get(name) or {}).items() if isinstance(n, int)})
    return found


def _evidences(
    archive: Archive, folder: Path, sealed: Mapping[str, Any], found: Mapping[str, Counter[str]]
) -> Iterator[dict[str, Any]]:
    """The tool's evidence for each question, in their order."""
    licenses: Counter[str] = Counter()
    for batch in contract.read_batches(folder / "manifest" / "studies.parquet", ["license"]):
        licenses.update(batch.column("license").to_pylist())
    scopes = Counter(str(study.payload["terms"].get("scope") or "not stated") for study in archive.ledger.studies())
    columns = [
        f"{name}.{column.name}"
        for name in ("studies", "series")
        for column in contract.table(name).columns
        if column.role == "quasi-identifier"
    ]
    risk = dict(sealed.get("privacy", {}))
    yield {**risk, "population": sealed["population"], "statements": list(sealed["statements"])}
    yield {"licenses": dict(sorted(licenses.items())), "terms": "LICENSES/TERMS.md", **risk}
    yield {"population": sealed["population"], "columns_about_a_person": columns}
    yield {"consented_scopes": dict(sorted(scopes.items()))}
    yield {"studies": sealed["counts"]["studies"], "findings": dict(sorted(found["warnings"].items()))}


def sampled(folder: Path, release: str, count: int) -> list[str]:
    """The series to open: those whose SHA-256 with the release's digest is smallest, which nobody can choose."""
    batches = contract.read_batches(folder / "manifest" / "series.parquet", ["SeriesInstanceUID"])
    uids = (uid for batch in batches for uid in batch.column(0).to_pylist())
    return heapq.nsmallest(count, uids, key=lambda uid: hashlib.sha256((release + uid).encode()).digest())


def decisions_of(archive: Archive, version: str) -> Decisions:
    """The decisions that a version asks for, none of them taken.

    Raises:
        InputError: no such version.
    """
    folder = release_folder(archive, version)
    release = sha256_file(folder / "release.json")
    findings = [FindingDecision(code, study) for code, study in _found(folder)]
    series = sampled(folder, release, archive.config.approval.sample_series)
    return Decisions(folder.name, release, tuple(findings), tuple(map(SeriesDecision, series)))


def _found(folder: Path) -> Iterator[tuple[str, str]]:
    """Code and study of each finding that came with a study into the release."""
    for study, payload in _payloads(folder):
        yield from ((code, study) for code in sorted(payload.get("warnings") or {}))


def refuse_unanswered(sheet: Sheet, shown: Sheet, path: Path) -> None:
    """Refuse a sheet whose questions are not all answered with yes, or that is not what `sheet_of` shows now.

    Raises:
        InputError: which one, and what to do.
    """
    _same_release(sheet.release, shown.release, path)
    if _without_answers(sheet) != _without_answers(shown):
        raise InputError(f"{path} shows other evidence than the tool does.", hint="Make it anew: curate sheet")
    for number, question in enumerate(sheet.questions, 1):
        if question.answer != "yes":
            said = "answered no" if question.answer == "no" else "not answered"
            hint = "Answer yes or no and say why; a release with a no is for `curate reject`."
            raise InputError(f"Question {number} of {path} is {said}.", hint=hint)


def refuse_undecided(decisions: Decisions, folder: Path, release: str, sample: int, path: Path) -> None:
    """Refuse decisions of other bytes, or that leave a finding or a series of the sample open.

    Raises:
        InputError: how many, and what to do.
    """
    _same_release(decisions.release, release, path)
    place, version = quoted(folder.parent.parent), folder.name
    if refused := next((entry for entry in decisions.findings if entry.decision == REFUSE), None):
        study = refused.study_id if refused.study_id != EVERY_STUDY else "STUDY_ID"
        raise InputError(
            f"{path} refuses {refused.code} of {'every study' if study == 'STUDY_ID' else f'study {study}'}.",
            hint=f"Reject the release: curate reject {place} {version} --as NAME --reason CODE. Its maintainer takes "
            f"the study out with: curate withdraw {place} {quoted(study)}; then cuts anew: curate release {place}",
        )
    accepted = {(d.code, d.study_id) for d in decisions.findings if d.decision == ACCEPT and d.by}
    undecided = [found for found in _found(folder) if not {found, (found[0], EVERY_STUDY)} & accepted]
    if undecided:
        decided = {(d.code, d.study_id) for d in decisions.findings if d.decision == ACCEPT}
        _refuse_unsigned(path, "findings", sum(bool({f, (f[0], EVERY_STUDY)} & decided) for f in undecided))
        code, study = undecided[0]
        hint = f'Set decision to "accept" or "refuse" and by to your name; the first is {code} of study {study}.'
        raise InputError(f"{path} leaves {len(undecided):,} findings undecided.", hint=hint)
    opened = {entry.SeriesInstanceUID for entry in decisions.series if entry.opened and entry.by}
    unopened = [series for series in sampled(folder, release, sample) if series not in opened]
    if unopened:
        seen = {entry.SeriesInstanceUID for entry in decisions.series if entry.opened}
        _refuse_unsigned(path, "series", sum(series in seen for series in unopened))
        hint = f"Look through each, then set opened to true and by to your name; the first is {unopened[0]}."
        raise InputError(f"{path} leaves {len(unopened):,} series of the sample unopened.", hint=hint)


def _refuse_unsigned(path: Path, what: str, count: int) -> None:
    if count:
        message = f"{path} does not say who {'decided' if what == 'findings' else 'opened'} {count:,} {what}."
        raise InputError(message, hint='Each needs your name: set by, as in "by": "Anna Puig".')


def _without_answers(sheet: Sheet) -> Sheet:
    """A sheet as the tool makes it; what waits, and the tool itself, may have changed meanwhile."""
    questions = tuple(replace(question, answer="", reason="") for question in sheet.questions)
    return replace(sheet, questions=questions, counts=dict(sheet.counts) | {"quarantined": 0}, tool="")


def _same_release(said: str, release: str, path: Path) -> None:
    if said != release:
        raise InputError(f"{path} is of other bytes than this release.", hint="Make it anew: curate sheet")
