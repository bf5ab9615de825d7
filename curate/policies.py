"""What an archive decides of headers and pixels (`[profile]`) and of disclosure (`[privacy]`), validated.

One place says which keys and values these tables of `archive.toml` take, whatever the command that reads them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args, get_type_hints

from curate.core.errors import InputError

Dates = Literal["rebase", "remove"]
Admission = Literal["refuse", "hold", "allow"]
Head = Literal["refuse", "hold", "deface", "allow"]
BurnedIn = Literal["refuse", "hold", "mask", "allow"]
Equipment = Literal["model", "vendor"]
Marks = Literal["keep", "mask"]
Anatomy = Literal["keep", "remove"]
VendorHeaders = Literal["rebuild", "remove"]
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
K_BOUNDS = (2, 1000)
_HINT = "Correct the [privacy] table of archive.toml."


PROFILE_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "persons": {"equipment": "vendor", "anatomy": "remove"},  # what is in a header can't be recoded later
    "test": {"burned_in": "allow"},  # nobody's pixels are looked at, unless the table asks for it
}
"""What `[profile]` is for a population, where the table says nothing else."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The table `[profile]` of `archive.toml`: which options of PS3.15 apply.

    `equipment` "vendor" withholds model and software, `anatomy` "remove" the region: what the headers state
    no manifest can take back, so an archive of persons states them in the manifest alone, or not at all.
    `burned_in` "allow" does not look at pixels; "mask" blanks the text that is found, and holds what it cannot
    look at; `marks` of side and technique (a closed vocabulary) stay, or are masked with the rest.
    `head` "allow" does not look; else CT, MR, PET and NM are judged by what they show, whatever their headers say:
    "deface" cuts the face from CT and MR and holds what cannot be told, "hold" and "refuse" let in what shows no head.
    `vendor_headers` "rebuild" reads vendors' private headers and writes anew what is known of them, so that converters
    find slice order, phase encoding and diffusion there; "remove" keeps what PS3.15 Table E.3.10-1 lists, and no more.
    """

    dates: Dates = "rebase"
    retain_safe_private: bool = True
    clean_descriptors: bool = True
    secondary_capture: Admission = "refuse"
    burned_in: BurnedIn = "mask"
    marks: Marks = "keep"
    head: Head = "allow"
    dental_and_fetal: Admission = "hold"
    site_and_scanner: bool = False
    equipment: Equipment = "model"
    anatomy: Anatomy = "keep"
    vendor_headers: VendorHeaders = "rebuild"

    @classmethod
    def of_archive(cls, table: Mapping[str, Any], population: str) -> Policy:
        """The policy of an archive's `[profile]`: its population's defaults, unless the table says otherwise.

        Raises:
            InputError: a key that doesn't exist, or a value that its key doesn't take.
        """
        return cls.from_mapping({**PROFILE_DEFAULTS[population], **table})

    @classmethod
    def from_mapping(cls, table: Mapping[str, Any]) -> Policy:
        """The policy that a table states; what it leaves out has the default.

        Raises:
            InputError: a key that doesn't exist, or a value that its key doesn't take.
        """
        known = get_type_hints(cls)
        for key, value in table.items():
            if key not in known:
                allowed = ", ".join(name.name for name in fields(cls))
                raise InputError(f"[profile] has an unknown key {key!r}", hint=f"Known keys: {allowed}.")
            choices = get_args(known[key]) or (True, False)
            if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
                shown = ", ".join(str(choice).lower() for choice in choices)
                raise InputError(f"[profile] {key} has a value that it does not take", hint=f"Use: {shown}.")
        return cls(**table)


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
            raise InputError(f"[privacy] has unknown keys: {', '.join(unknown)}", hint=f"Known: {', '.join(known)}.")
        access = _choice(table, "access", ("open", "gated"))
        people = {"population": population} | dict(table)
        return cls(
            k=_k(table.get("k", DEFAULT_K[access])),
            access="gated" if access == "gated" else "open",
            population="test" if _choice(people, "population", ("persons", "test")) == "test" else "persons",
            largest_suppressed_share=_share(table.get("largest_suppressed_share", 0.05)),
            give_up_first=_names(table.get("give_up_first", DEFAULT_GIVE_UP_FIRST)),
            later_studies="hold" if _choice(table, "later_studies", ("split", "hold")) == "hold" else "split",
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
    if isinstance(value, bool) or not isinstance(value, int) or not K_BOUNDS[0] <= value <= K_BOUNDS[1]:
        raise InputError("[privacy] k must be a whole number from {} to {}".format(*K_BOUNDS), hint=_HINT)
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
