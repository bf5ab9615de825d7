"""The `[privacy]` table of `archive.toml`: how much a release may say of a person, what it gives up first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

from curate.errors import InputError

Population = Literal["persons", "test"]
Access = Literal["open", "gated"]
LaterStudies = Literal["split", "hold"]

DEFAULT_K: Mapping[str, int] = {"open": 11, "gated": 5}
DEFAULT_GIVE_UP_FIRST = (
    "model",
    "site",
    "manufacturer",
    "field_strength",
    "detector_rows",
    "days_from_first",
    "region",
    "age",
    "diagnosis",
    "sex",
)
_HINT = "Correct the [privacy] table of archive.toml."


@dataclass(frozen=True, slots=True)
class PrivacyPolicy:
    """What a release owes its donors.

    `k` donors at least look alike; `largest_suppressed_share` is the share of a release's new studies
    that may have a cell set to null (the rest is held); `give_up_first` lists columns, the first being
    the first to lose detail; `later_studies` says whether a donor's further study that is not k-safe
    beside the others is published under a further id, or waits; `population` "test" is exempt.
    """

    k: int = 11
    access: Access = "open"
    population: Population = "persons"
    largest_suppressed_share: float = 0.05
    give_up_first: tuple[str, ...] = DEFAULT_GIVE_UP_FIRST
    later_studies: LaterStudies = "split"

    @property
    def exempt(self) -> bool:
        """Whether the material is for tests: nobody donated it."""
        return self.population == "test"

    @property
    def below_recommended(self) -> bool:
        """Whether k is below what is recommended for this access."""
        return self.k < DEFAULT_K[self.access]

    @classmethod
    def from_mapping(cls, table: Mapping[str, object], *, population: str = "persons") -> PrivacyPolicy:
        """The policy of a parsed `[privacy]` table; what it leaves out has its default.

        `population` is that of the archive, where the table names none.

        Raises:
            InputError: an unknown key, a wrong type, or a value out of range.
        """
        known = [field.name for field in fields(cls)]
        if unknown := sorted(set(table) - set(known)):
            raise InputError(
                f"[privacy] has unknown keys: {', '.join(unknown)}", hint=f"Known: {', '.join(known)}."
            )
        access = _choice(table, "access", ("open", "gated"))
        people = {"population": population} | dict(table)
        return cls(
            k=_k(table.get("k", DEFAULT_K[access])),
            access="gated" if access == "gated" else "open",
            population="test" if _choice(people, "population", ("persons", "test")) == "test" else "persons",
            largest_suppressed_share=_share(table.get("largest_suppressed_share", 0.05)),
            give_up_first=_names(table.get("give_up_first", DEFAULT_GIVE_UP_FIRST)),
            later_studies="hold"
            if _choice(table, "later_studies", ("split", "hold")) == "hold"
            else "split",
        )

    def order(self, columns: Sequence[str]) -> tuple[str, ...]:
        """`columns`, the first to be given up first; those that the policy does not name come before."""
        ranks = {name: rank for rank, name in enumerate(self.give_up_first)}
        return tuple(sorted(columns, key=lambda name: (ranks.get(name, -1), name)))

    def weights(self, columns: Sequence[str]) -> dict[str, float]:
        """The share of each column in the loss, each weighing twice the one given up before it; sum 1.

        So a column is given up whole before any other one loses as much of its information, unless that saves few.
        """
        order = self.order(columns)
        return {name: 2.0**rank / (2 ** len(order) - 1) for rank, name in enumerate(order)}


def _choice(table: Mapping[str, object], key: str, choices: tuple[str, ...]) -> str:
    value = table.get(key, choices[0])
    if not isinstance(value, str) or value not in choices:
        raise InputError(f"[privacy] {key} must be one of {', '.join(choices)}", hint=_HINT)
    return value


def _k(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 2 <= value <= 1000:
        raise InputError("[privacy] k must be a whole number from 2 to 1000", hint=_HINT)
    return value


def _share(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError("[privacy] largest_suppressed_share must be a number from 0 to 1", hint=_HINT)
    return float(value)


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) and name for name in value):
        raise InputError("[privacy] give_up_first must be a list of column names", hint=_HINT)
    if len(set(value)) < len(value):
        raise InputError("[privacy] give_up_first names a column twice", hint=_HINT)
    return tuple(value)
