"""The last check: who made the release, by the key that is pinned for its archive."""

from __future__ import annotations

from curate.attestation import trust
from curate.attestation.trust import Offer, Origin, UntrustedError
from curate.core.errors import quoted
from curate.core.findings import Finding
from curate.core.records import CheckResult
from curate.transparency.signed_note import PublicKey
from curate.verify.checks.seal import Seal

NAME = "origin"
_TITLE = "The key of its archive, which is pinned, has signed for it"
_RULES = {
    "first": "TRUST_FIRST_USE",
    "unkept": "TRUST_NOT_KEPT",
    "open": "TRUST_APPROVALS_OPEN",
    "unsigned": "TRUST_UNSIGNED",
}


def check_origin(seal: Seal, reference: str, place: str, *, newest: bool = False, key: str = "") -> CheckResult:
    """Whether the release is what the archive that is pinned, or whose key is given, has signed for.

    Raises:
        InputError: the key given is none.
        DamagedError: the pinned keys cannot be read.
    """
    offer = Offer(reference, seal.content, seal.digest, trust.reader(seal.folder), place, newest)
    given: PublicKey | None = trust.public_key(key) if key else None
    try:
        found = trust.confirm(offer, given, trust.own_key(seal.folder))
    except UntrustedError as error:
        return CheckResult(NAME, _TITLE, 1, (Finding(error.rule, seal.version, error.message),))
    return CheckResult(NAME, _TITLE, int(found.state in ("pinned", "given", "own")), _findings(seal, found))


def _findings(seal: Seal, found: Origin) -> tuple[Finding, ...]:
    if found.state in _RULES:
        return (Finding(_RULES[found.state], seal.version, found.key),)
    return (Finding("TRUST_CONFIRMED", seal.version, found.name),)


def sentence(results: list[CheckResult]) -> str:
    """What the checks have proved of who made the release, and what not; nothing where that was not looked at."""
    said = next((finding for result in results if result.name == NAME for finding in result.findings), None)
    if said is None:
        return ""
    if said.rule == "TRUST_CONFIRMED":
        return f"Who made it: {said.tag}, by its pinned key."
    if said.rule == "TRUST_FIRST_USE":
        return f"Who made it: not verified; its key was pinned now, compare it with the archive's: {said.tag}"
    if said.rule == "TRUST_UNSIGNED":
        return "Who made it: not verified; nobody has signed for it. Proved is that its bytes agree with each other."
    if said.rule in ("TRUST_NOT_KEPT", "TRUST_APPROVALS_OPEN"):
        return f"Who made it: not verified; pin the key that the archive tells you: curate trust add {quoted(said.tag)}"
    return f"Who made it: not the archive that it claims. {said.tag}"
