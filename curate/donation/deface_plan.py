"""What is to be done with the heads that a study's volumes show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what finds and paints faces takes half a second to import, and few archives ask for it
    from curate.pixels.head.plane import Plane


@dataclass(frozen=True, slots=True)
class DefacePlan:
    """What to do with a study: planes by series, series without a head, series that are left out.

    `head`: it shows one, so that whatever else is no clear series is left out too; `held`: a person must look;
    `failed`: the rule by which it could not be judged.
    """

    planes: dict[str, Plane] = field(default_factory=dict)
    clear: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    head: bool = False
    held: bool = False
    failed: str = ""

    def leaves(self, series: str) -> bool:
        """Whether a series enters as if nobody had looked for heads."""
        return series in self.clear or not (self.head or series in self.refused or series in self.planes)
