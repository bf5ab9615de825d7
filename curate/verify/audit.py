"""The audit of one or several releases from their own bytes: consents, withdrawals, and a log that only grows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from curate.attestation import approvals, release_attestations
from curate.attestation.release_attestations import APPROVALS, FOLDER, OPENINGS
from curate.core import versions
from curate.core.errors import CurateError
from curate.core.findings import merge
from curate.core.records import CheckResult
from curate.transparency import commitments, merkle, signed_note
from curate.transparency.commitments import CONSENT, WITHDRAWAL
from curate.transparency.signed_note import PublicKey
from curate.verify import attestation_reader
from curate.verify.attestation_reader import Attested, Found
from curate.verify.audit_sampling import check_sealed
from curate.verify.checks.seal import Seal

_TITLES = {
    "signature": "Each checkpoint is signed by the archive's key",
    "files": "Each checkpoint signs this release, and for all that lies beside it",
    "sealed": "Every file has its digest; of many packs, a sample",
    "tree": "The leaves of each log are those of its signed head",
    "openings": "Each opening fits its leaf, which is in the log",
    "consents": "Every published study has one logged consent, under its licence",
    "withdrawals": "Every withdrawal is opened, and none touches a published instance",
    "growth": "Each log extends the one before, and each release names the one before",
    "approvals": "As many reviewers have signed as the archive's policy asks for",
}
_OF_AUDIT = {"ATTESTATION_APPROVALS_LACKING", "ATTESTATION_KEY_NOT_GIVEN", "CHAIN_UNKNOWN"}


def audit_releases(
    folders: Sequence[Path],
    key: PublicKey | None = None,
    *,
    files: bool = True,
    full: bool = False,
    partly: Collection[Path] = (),
) -> list[CheckResult]:
    """All checks of releases of one archive, whatever their order; without a key, theirs is believed.

    `files`: the digests of all files that are no packs, and of a sample of these, or of all (`full`); of the folders
    `partly`, of those packs that are there.

    Raises:
        InputError: a folder is no release at all.
    """
    found = Found()
    # (1) to (3) each release's checkpoint is signed, signs what is there, and its leaves give its head
    made = [attestation_reader.read(folder, found) for folder in folders]
    releases = sorted((r for r in made if r), key=lambda r: (versions.parse(r.name), r.digest, str(r.seal.folder)))
    attestation_reader.trusted(releases, key, found)
    # (4) to (6) each row has its consent, and no withdrawal of any of the logs touches one; (7) reviewers
    revoked: dict[str, set[bytes]] = {}
    for release in releases:
        with _readable(found, "openings", release):
            revoked.setdefault(release.digest, set()).update(_openings(release, found))
    everywhere = {digest for digests in revoked.values() for digest in digests}
    for release in releases:
        with _readable(found, "withdrawals", release):
            _withdrawals(release, everywhere, revoked.get(release.digest, set()), found)
        _approvals(release, found)
    # (8) nothing was rewritten between them
    known: dict[str, set[str]] = {}
    for release in releases:
        known.setdefault(release.name, set()).update([release.digest, *release.replaces])
    for before, after in pairwise(releases):
        _growth(before, after, found)
    if files:
        for release in releases:
            check_sealed(release, found, full=full, partly=release.seal.folder in partly)
    for release in releases:
        _chain(release, known, releases[0].name, found)
    return [
        CheckResult(name, title, found.looked_at.get(name, 0), merge(found.findings.get(name, ())))
        for name, title in _TITLES.items()
        if files or name != "sealed"
    ]


def check_attestations(seal: Seal) -> CheckResult:
    """The same of one release, as one check; approvals come after it. Without `attestations/` nothing is looked at."""
    title = "The attestations beside it, if any, are sound"
    if not (seal.folder / FOLDER).is_dir():
        return CheckResult("attestations", title, 0, ())
    results = audit_releases([seal.folder], files=False)
    findings = merge(f for result in results for f in result.findings if f.rule not in _OF_AUDIT)
    looked = sum(r.looked_at for r in results if r.name == "openings")
    return CheckResult("attestations", title, looked, findings)


@contextmanager
def _readable(found: Found, check: str, release: Attested) -> Iterator[None]:
    """What no reader can read is a finding."""
    try:
        yield
    except (ValueError, OSError, pa.ArrowException, CurateError):
        found.tell(check, "ATTESTATION_FILE_INVALID", release.name)


def _openings(release: Attested, found: Found) -> set[bytes]:
    """Hold openings against leaves and rows; gives what the log's withdrawals revoke."""
    consents: dict[str, str] = {}
    revoked: set[bytes] = set()
    withdrawals, last, doubled = set(), -1, 0
    path = release.seal.folder / FOLDER / OPENINGS
    for index, salt, text in attestation_reader.rows(path, "openings", ("index", "salt", "opening")):
        found.count("openings")
        if not last < index < release.point.size or not _opens(release, index, salt, text):
            found.tell("openings", "LOG_OPENING", release.name, f"leaf {index}")
            continue
        last = index
        if release.kinds[index] == WITHDRAWAL:
            withdrawals.add(index)
            revoked.update(commitments.revoked(text) or ())
        else:
            study_id, license_id = commitments.studied(text) or ("", "")
            doubled += study_id in consents
            consents[study_id] = license_id
    if doubled:
        found.tell("consents", "LOG_CONSENT_TWICE", release.name, count=doubled)
    _consents(release, consents, found)
    kept_back = [at for at, kind in enumerate(release.kinds) if kind == WITHDRAWAL and at not in withdrawals]
    found.count("withdrawals", len(withdrawals) + len(kept_back))
    if kept_back:
        found.tell("withdrawals", "LOG_WITHDRAWAL_UNOPENED", release.name, count=len(kept_back))
    return revoked


def _opens(release: Attested, index: int, salt: bytes, text: str) -> bool:
    """Whether an opening is of its leaf, and the leaf's proof leads to the signed head (RFC 6962, 2.1.1)."""
    kind, committed = release.kinds[index], release.commitments[index]
    well_formed = commitments.studied(text) if kind == CONSENT else commitments.revoked(text)
    if well_formed is None or commitments.commitment(salt, text) != committed:
        return False
    leaf, proof = commitments.leaf_hash(kind, committed), merkle.inclusion(release.tree, index)
    return merkle.includes(release.point.root, release.point.size, leaf, index, proof)


def _consents(release: Attested, consents: dict[str, str], found: Found) -> None:
    """Each row of `studies` takes one consent of its own away; none is left over."""
    path, missing = release.seal.folder / attestation_reader.TABLES[0], 0
    for study_id, license_id in attestation_reader.rows(path, "studies", ("study_id", "license")):
        found.count("consents")
        missing += consents.pop(study_id, None) != license_id
    if missing:
        found.tell("consents", "LOG_CONSENT_MISSING", release.name, count=missing)
    if consents:
        found.tell("consents", "LOG_CONSENT_UNUSED", release.name, count=len(consents))


def _withdrawals(release: Attested, everywhere: set[bytes], own: set[bytes], found: Found) -> None:
    """No instance is revoked by any of the logs; its own log and its table of revocations say the same."""
    folder, touched = release.seal.folder, 0
    for batch in attestation_reader.batches(folder / attestation_reader.TABLES[1], "instances", ["sha256"]):
        found.count("withdrawals", batch.num_rows)
        digests = batch.column(0).to_pylist() if everywhere else []
        touched += sum(attestation_reader.hashed(digest) in everywhere for digest in digests)
    if touched:
        found.tell("withdrawals", "LOG_ROW_WITHDRAWN", release.name, count=touched)
    columns = ("sha256_of_sha256", "version")
    stated = dict(attestation_reader.rows(folder / attestation_reader.TABLES[2], "revocations", columns))
    version = versions.parse(release.name)
    due = {digest for digest, since in stated.items() if versions.parse(since) <= version}
    if unlogged := due - own:
        found.tell("withdrawals", "LOG_REVOCATION_UNLOGGED", release.name, count=len(unlogged))
    if unstated := own - stated.keys():
        found.tell("withdrawals", "LOG_REVOCATION_UNSTATED", release.name, count=len(unstated))


def _approvals(release: Attested, found: Found) -> None:
    """Each note is signed by its key; enough of those that count are there; what they name lies beside them."""
    listed = release_attestations.read_approvals(release.seal.folder)
    if listed is None:
        found.tell("approvals", "ATTESTATION_FILE_INVALID", release.name, APPROVALS)
        return
    found.count("approvals", len(listed))
    digests = [release.digest, *release.replaces]
    for entry in listed:
        said = approvals.opened(entry)
        if said is None or said.version != release.name or said.release not in digests:
            found.tell("approvals", "ATTESTATION_APPROVAL", release.name, entry.public.name)
            continue
        papers = [("sheets", said.sheet), ("decisions", said.decisions)]
        for kind, digest in papers if said.release == release.digest else ():
            if digest and release.said.files.get(f"{kind}/{digest}.json") != digest:
                found.tell("approvals", "ATTESTATION_FILE_MISSING", release.name, kind)
    asked = release.said.approval
    if len(approvals.counted(listed, asked, digests)) < asked.required:
        found.tell("approvals", "ATTESTATION_APPROVALS_LACKING", release.name)


def _growth(before: Attested, after: Attested, found: Found) -> None:
    """The later log begins with the earlier one (RFC 6962, 2.1.2)."""
    found.count("growth")
    old, new = before.point, after.point
    proof = merkle.consistency(after.tree, old.size)
    if old.origin != new.origin or not merkle.extends(old.root, old.size, new.root, new.size, proof):
        found.tell("growth", "LOG_NOT_EXTENDED", after.name, f"since {before.name}")
    same = before.digest in (after.digest, *after.replaces) or after.digest in before.replaces
    if before.name == after.name and not same:  # two cuts of one version, neither in place of the other
        found.tell("growth", "CHAIN_BROKEN", after.name)


def _chain(release: Attested, known: Mapping[str, set[str]], first: str, found: Found) -> None:
    """The release names the one before by a digest that this one has, or had before it was cut again."""
    said = release.seal.content.get("previous")
    if said is None:
        if release.name != first:
            found.tell("growth", "CHAIN_BROKEN", release.name)
        return
    before = said if isinstance(said, dict) else {}
    if str(before.get("version")) not in known:
        found.tell("growth", "CHAIN_UNKNOWN", release.name)
    elif before.get("sha256") not in known[str(before["version"])]:
        found.tell("growth", "CHAIN_BROKEN", release.name)


def read_key(text: str) -> PublicKey:
    """The public key of a text, or of a file that holds one.

    Raises:
        InputError: it is none.
    """
    path = Path(text)
    return signed_note.public_key(path.read_text(encoding="utf-8") if "+" not in text and path.is_file() else text)
