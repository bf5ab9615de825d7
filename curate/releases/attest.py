"""Attest a release when it is cut, and again when it is cut without what was withdrawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import replace
from pathlib import Path

from curate import contract
from curate.archive.config import ApprovalPolicy
from curate.archive.repository import Archive
from curate.attestation import approvals as reviews
from curate.attestation import release_attestations
from curate.attestation.release_attestations import FOLDER, LEAVES, Approved, Statement
from curate.core import durable
from curate.keys import secret_file
from curate.transparency import commitments, merkle, signing_keys
from curate.transparency.log import Opening
from curate.transparency.signed_note import Checkpoint


def attest(archive: Archive, folder: Path, version: str, digest: str, approval: ApprovalPolicy) -> None:
    """Take the consents of a release's rows into the log, and write what proves it; `digest` is its seal's.

    A second run finds the leaves of the first, and writes the same bytes.
    """
    shown = dict(_rows(folder))
    with archive.ledger.transaction():
        for study_id, license_id in shown.items():
            archive.ledger.log.consent(study_id, license_id)
        archive.ledger.log.grow()
    leaves = list(archive.ledger.log.leaves())
    release_attestations.write_leaves(folder, leaves)
    release_attestations.write_openings(folder, _opened(archive, shown.keys()))
    release_attestations.write_approvals(folder, [])
    tree = merkle.levels(commitments.leaf_hash(kind, committed) for kind, committed in leaves)
    said = Statement(version, digest, archive.ledger.head().hex(), approval, {})
    sign(archive, folder, Checkpoint("", len(leaves), merkle.root(tree), ()), said)


def _rows(folder: Path) -> Iterator[tuple[str, str]]:
    columns = ["study_id", "license"]
    for batch in contract.read_batches(folder / "manifest" / "studies.parquet", columns):
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)


def _opened(archive: Archive, studies: Set[str]) -> Iterator[Opening]:
    for opening in archive.ledger.log.openings():
        pair = commitments.studied(opening.text)
        if pair is None or pair[0] in studies:
            yield opening


def attest_again(archive: Archive, before: Path, out: Path, version: str, digest: str, gone: Set[str]) -> None:
    """The same for a release that was cut again: its log is the one of then, without what opens the studies gone.

    What reviewers signed for the bytes of before stays; their sheets and decisions, which name studies, do not.
    """
    point, said = release_attestations.read_checkpoint(before)
    (out / FOLDER).mkdir()
    durable.link(before / FOLDER / LEAVES, out / FOLDER / LEAVES)
    release_attestations.write_openings(out, _kept(before, gone))
    release_attestations.write_approvals(out, release_attestations.read_approvals(before) or [])
    said = Statement(version, digest, archive.ledger.head().hex(), said.approval, {})
    sign(archive, out, point, said)


def _kept(before: Path, gone: Set[str]) -> Iterator[Opening]:
    for row in release_attestations.read_openings(before):
        pair = commitments.studied(row["opening"])
        if pair is None or pair[0] not in gone:
            yield Opening(row["index"], "", row["salt"], row["opening"])


def sign(archive: Archive, folder: Path, point: Checkpoint, said: Statement) -> None:
    """Sign for a release and all that lies in its `attestations/`, with the archive's present key."""
    held = signing_keys.read(archive.log_key)
    release_attestations.write_keys(folder, held)
    point = Checkpoint(held.public.name, point.size, point.root, ())
    release_attestations.write_checkpoint(folder, point, said, held.signer(secret_file.VARIABLE))


def attest_review(
    archive: Archive,
    folder: Path,
    approvals: Sequence[Approved],
    sheet: tuple[str, bytes],
    decisions: tuple[str, bytes],
) -> None:
    """Put reviewers' approvals beside a release, with a sheet and decisions (digest and bytes), and sign anew."""
    point, said = release_attestations.read_checkpoint(folder)
    for kind, (digest, data) in (("sheets", sheet), ("decisions", decisions)):
        if digest:
            release_attestations.write_record(folder, kind, data, digest)
    release_attestations.write_approvals(folder, approvals)
    signed = [found for entry in approvals if (found := reviews.opened(entry))]
    needed = {name for found in signed for name in (found.sheet, found.decisions)}
    for kind in ("sheets", "decisions"):
        for path in sorted((folder / FOLDER / kind).glob("*.json")):
            if path.stem not in needed:
                durable.remove(path)
    if release_attestations.beside(folder) != said.files:  # else it was signed for before
        sign(archive, folder, point, replace(said, ledger=archive.ledger.head().hex()))
