"""Whether the archive's own state is what its commands wrote: ledger, log and key, before anything leaves it.

Each record of a study bears a seal of its own, looked at whenever it is read (`archive/row_macs.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from curate.archive import ledger_head
from curate.archive.release_folders import release_folders
from curate.archive.repository import Archive
from curate.attestation import release_attestations
from curate.core.errors import DamagedError, quoted
from curate.core.findings import Finding, rule
from curate.deid import pseudonyms
from curate.keys.derivation import Keys
from curate.releases.hub_state import accepted_heads, is_prefix
from curate.transparency import commitments, merkle, signing_keys
from curate.transparency.commitments import WITHDRAWAL


def faults(archive: Archive) -> Iterator[Finding]:
    """What is not as it was written, the gravest first.

    Whole pages of the database; the chain of events, its last state as the archive kept it beside and as releases
    were signed over it; the log's leaves under their checkpoints; tombstones and records against events; the key.
    """
    if not archive.ledger.verify():
        yield Finding("LEDGER_DAMAGED", "ledger.db")
        return  # nothing more can be read of it with trust
    for look in _LOOKS:
        yield from look(archive)


def refuse_unsound(archive: Archive) -> None:
    """Refuse to go on with a state that is not what was written.

    Raises:
        DamagedError: what is wrong, and what to do.
    """
    for fault in faults(archive):
        told = rule(fault.rule)
        raise DamagedError(
            f"{told.title.rstrip('.')} ({fault.place}).",
            hint=f"{told.next} All that is wrong: curate doctor {quoted(archive.root)} --dry-run",
        )


def _chain(archive: Archive) -> Iterator[Finding]:
    if (broken := archive.ledger.broken_chain()) is not None:
        yield Finding("LEDGER_CHAIN", f"event {broken}")


def _kept(archive: Archive) -> Iterator[Finding]:
    if not ledger_head.knows(archive.root, archive.ledger):
        yield Finding("LEDGER_OLDER", "ledger.db")


def _signed(archive: Archive) -> Iterator[Finding]:
    """Each release was signed over a state that this ledger went through, or took over."""
    heads = {head.hex() for _, head in archive.ledger.heads()} | accepted_heads(archive)
    tree = merkle.levels(commitments.leaf_hash(kind, made) for kind, made in archive.ledger.log.leaves())
    for folder in release_folders(archive):
        try:
            point, said = release_attestations.read_checkpoint(folder)
        except DamagedError:  # of the release, which its check and `doctor` tell
            continue
        if said.ledger not in heads:
            yield Finding("LEDGER_NOT_ANCHORED", folder.name)
        elif not is_prefix(tree, point):
            yield Finding("LEDGER_LOG", folder.name)


def _opened(archive: Archive) -> Iterator[Finding]:
    """Each opening fits its leaf; what withdrawals revoke is revoked."""
    leaves = list(archive.ledger.log.leaves())
    due: set[bytes] = set()
    for opening in archive.ledger.log.openings():
        made = commitments.commitment(opening.salt, opening.text)
        if opening.index >= len(leaves) or leaves[opening.index] != (opening.kind, made):
            yield Finding("LEDGER_LOG", f"leaf {opening.index}")
        elif opening.kind == WITHDRAWAL:
            due |= set(commitments.revoked(opening.text) or ())
    if due - {digest for digest, _ in archive.ledger.revocations()}:
        yield Finding("LEDGER_RECORDS", "revocations")


def _recorded(archive: Archive) -> Iterator[Finding]:
    """What is in, by the events, is there, and nothing else; what was withdrawn is refused from then on."""
    keyed, last = Keys.from_secret(archive.secret), dict[str, str]()
    for kind, subject in archive.ledger.comings_and_goings():
        last[subject] = kind
    there = {study for study, kind in last.items() if kind != "withdrawn"}
    if there != set(archive.ledger.study_ids()):
        yield Finding("LEDGER_RECORDS", "studies")
    gone = (study for study, kind in last.items() if kind == "withdrawn")
    if not all(archive.ledger.tombstoned(pseudonyms.tombstone(keyed, study)) for study in gone):
        yield Finding("LEDGER_RECORDS", "tombstones")


def _key(archive: Archive) -> Iterator[Finding]:
    """The key that signs is the one under which the ledger was written, or took over from it."""
    held = signing_keys.read(archive.log_key)
    known = {key.id.hex() for key in signing_keys.related([held.public], held.rotations)}
    if archive.ledger.keys() - known:
        yield Finding("LOG_KEY_FOREIGN", signing_keys.LOG_KEY)


_LOOKS: tuple[Callable[[Archive], Iterator[Finding]], ...] = (_chain, _kept, _signed, _opened, _recorded, _key)
