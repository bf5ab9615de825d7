"""How many studies wait for how many more donors."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass

from curate.privacy.anonymization import Recoding


@dataclass(frozen=True, slots=True)
class Step:
    """`studies` wait for `more_donors` like theirs; with all steps up to here `released` would be out."""

    more_donors: int
    studies: int
    released: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a recoding publishes, and what waits.

    The steps count at the levels chosen, for each kind of donor by itself: "for 3 more" means three of
    that kind, in the same release.
    """

    k: int
    published: int
    waiting: int
    steps: tuple[Step, ...]

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def forecast(recoding: Recoding) -> Forecast:
    """The studies that wait, by how many more donors of the same kind they need."""
    counts = Counter(recoding.held["more_donors"].to_pylist())
    steps, released = [], recoding.table.num_rows
    for more, studies in sorted(counts.items()):
        released += studies
        steps.append(Step(more, studies, released))
    return Forecast(recoding.policy.k, recoding.table.num_rows, recoding.held.num_rows, tuple(steps))
