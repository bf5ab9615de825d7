"""What the next release would show, hold back and lose for good: said before it is cut."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.archive import repository
from curate.archive.repository import Archive
from curate.donation import quasi_identifiers
from curate.privacy.loss import Loss
from curate.steps.release.content import newest_published, studies_of


@dataclass(frozen=True, slots=True)
class Plan:
    """What `release` would cut now: `studies` shown, `new` ones among them, `held` back; of persons, the `loss`."""

    studies: int
    new: int
    held: int
    loss: Loss | None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        plain = {name: getattr(self, name) for name in ("studies", "new", "held")}
        return {**plain, "loss": self.loss.as_dict() if self.loss else None}


def release_plan(root: Path) -> Plan:
    """What the next release would show, lose and hold back; nothing is written.

    Raises:
        InputError: no archive, or a policy that cannot be followed.
    """
    with repository.opened(root, write=False) as archive:
        policy = quasi_identifiers.policy_of(archive.config)
        raw = quasi_identifiers.raw_table(archive.ledger)
        if policy.exempt:
            known = _shown_before(archive)
            return Plan(raw.num_rows, len(set(raw["study_id"].to_pylist()) - known), 0, None)
        made = quasi_identifiers.recoding_of(archive, policy, raw)
        loss = quasi_identifiers.loss_of(archive, raw, made)
    return Plan(loss.shown, loss.new, loss.waiting, loss)


def _shown_before(archive: Archive) -> set[str]:
    """The studies of the newest published version."""
    return set(studies_of(archive, newest_published(archive)))
