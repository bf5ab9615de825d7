"""What a release says of the world around it: where it is, who may read it, its DOI, governance, notices.

All of it is known before the cut, and sealed: a cut that is made again after a withdrawal says the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from curate.archive.config import Config

KEY = "outside"


@dataclass(frozen=True, slots=True)
class PublicationContext:
    """The fields of `ReleaseSummary` of these names."""

    repository: str | None = None
    gated: str | None = None
    private: bool = False
    doi: str | None = None
    data_use: tuple[str, ...] = ()
    responsible: Mapping[str, str] = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    def fields(self) -> dict[str, Any]:
        """As arguments of `ReleaseSummary`."""
        return asdict(self)

    def sealed(self) -> dict[str, Any]:
        """As a key of `release.json`: what is stated, or nothing."""
        stated = {name: value for name, value in asdict(self).items() if value}
        listed = {name: list(v) if isinstance(v, tuple) else v for name, v in stated.items()}
        return {KEY: listed} if listed else {}


def of_config(config: Config, doi: str | None, notices: tuple[str, ...]) -> PublicationContext:
    """What `archive.toml` decides, with the DOI that was reserved."""
    return PublicationContext(
        repository=repository_of(config.hub_target),
        gated=gated_of(config) or None,
        private=bool(config.hub_private),
        doi=doi,
        data_use=config.data_use,
        responsible=dict(config.responsible),
        notices=notices,
    )


def of_seal(content: Mapping[str, Any]) -> PublicationContext:
    """What a `release.json` states."""
    stated: dict[str, Any] = dict(content.get(KEY, {}))
    for name in ("data_use", "notices"):
        stated[name] = tuple(stated.get(name, ()))
    return PublicationContext(**stated)


def gated_of(config: Config) -> str:
    """`auto`, `manual`, or nothing: data that were made safe for gated access only are never open by default."""
    if config.hub_gated:
        return "" if config.hub_gated == "off" else config.hub_gated
    return "auto" if config.privacy.get("access") == "gated" else ""


def repository_of(target: str) -> str | None:
    """`ORG/NAME` of a target on the Hugging Face Hub."""
    match = re.fullmatch(r"hf://(?:datasets/)?([\w.-]+/[\w.-]+)/?", target)
    return match.group(1) if match else None
