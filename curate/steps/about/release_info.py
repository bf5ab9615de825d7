"""`curate info`: what a release is, how much of what it holds, under which terms, and who made it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.describe import citation, markup
from curate.steps.about.citations import summary
from curate.steps.about.open_release import opened

_CARD = "README.md"
_MODALITIES = re.compile(r"^Together .* Studies by modality \(a study may have several\): (.*)\.$", re.MULTILINE)
_MODALITY = re.compile(r"([A-Z0-9]{1,16}) ([\d,]{1,20})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ReleaseInfo:
    """What a release states of itself.

    `released` is an ISO 8601 date; `versions` are those published beside it, oldest first; `population` is `persons` or
    `test`; `counts` are donors and rows of each table, `licenses` studies by SPDX identifier, `modalities` studies by
    (0008,0060); `size_bytes` and `files` are of all files. `recut`: the version was cut again after a withdrawal.
    `origin` says what is known of who made it: `pinned`, `given`, `own`, `first`, `unkept`, `open` or `unsigned`;
    `signer` and `key` are the name and the public key that signed.
    """

    reference: str
    title: str
    publisher: str
    description: str
    version: str
    released: str
    versions: tuple[str, ...]
    population: str
    contract: str
    counts: Mapping[str, int]
    licenses: Mapping[str, int]
    modalities: Mapping[str, int]
    size_bytes: int
    files: int
    doi: str | None
    url: str | None
    recut: bool
    statements: tuple[str, ...]
    release_sha256: str
    origin: str
    signer: str
    key: str


def info(reference: str | Path, *, version: str | None = None, key: str = "") -> ReleaseInfo:
    """What a release is, by its own verified texts; no image and no table is read.

    `reference` is a release's folder, an archive's folder, a folder hub, `hf://ORG/NAME`, `ORG/NAME` or
    `s3://BUCKET/PREFIX`; the newest version without one. The archive's key is pinned when it is first met.

    Raises:
        InputError: no release there, or not of this version.
        HubError: the hub cannot be read, is gated, or has no such version.
        DamagedError: a text is not what was released.
        UntrustedError: it is not signed by the key that is pinned for its archive, or given.
    """
    release = opened(reference, version, key)
    content, card = release.content, release.text(_CARD)
    cited = summary(release)
    return ReleaseInfo(
        release.reference,
        cited.archive.title,
        cited.archive.publisher,
        cited.archive.description,
        release.version,
        cited.released.isoformat(),
        release.versions,
        str(content.get("population", "")),
        str(content.get("contract", "")),
        _counts(content.get("counts")),
        _counts(_stated(card).get("licenses")),
        _modalities(card),
        sum(entry.size_bytes for entry in release.files.values()),
        len(release.files),
        citation.doi(cited),
        citation.url(cited),
        bool(content.get("recut")),
        tuple(markup.plain(str(line)) for line in _listed(content.get("statements"))),
        release.digest,
        release.origin.state,
        release.origin.name,
        release.origin.key,
    )


def _stated(card: str) -> Mapping[str, Any]:
    """The table `curate` of a card's YAML; empty where it cannot be read."""
    match = re.match(r"---\n(.*?\n)---\n", card, re.S)
    try:
        found = markup.load_yaml(match[1]) if match else None
    except ValueError:
        found = None
    stated = found.get("curate") if isinstance(found, dict) else None
    return stated if isinstance(stated, dict) else {}


def _counts(stated: object) -> dict[str, int]:
    if not isinstance(stated, dict):
        return {}
    return {str(name): count for name, count in stated.items() if type(count) is int}


def _modalities(card: str) -> dict[str, int]:
    """The studies of each modality, as the card's line of them says it."""
    line = _MODALITIES.search(card)
    return {name: int(count.replace(",", "") or 0) for name, count in _MODALITY.findall(line[1])} if line else {}


def _listed(stated: object) -> list[Any]:
    return stated if isinstance(stated, list) else []
