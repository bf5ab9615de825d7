"""`curate cite`: how a release is cited, as BibTeX, APA and CITATION.cff."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from curate.core.errors import DamagedError
from curate.core.records import ArchiveInfo, ReleaseSummary
from curate.describe import citation, markup
from curate.steps.about.open_release import Release, opened

_FILE = "CITATION.cff"


@dataclass(frozen=True, slots=True)
class Citation:
    """How one version of a release is cited; `cff` is the release's own CITATION.cff."""

    reference: str
    version: str
    bibtex: str
    apa: str
    cff: str


CITATION_STYLES = ("bibtex", "apa", "cff")


def cite(reference: str | Path, *, version: str | None = None, key: str = "") -> Citation:
    """How a release is cited, by its own verified texts; references as `info` takes them.

    Raises:
        InputError: no release there, or not of this version.
        HubError: the hub cannot be read, is gated, or has no such version.
        DamagedError: CITATION.cff is not what was released.
        UntrustedError: it is not signed by the key that is pinned for its archive, or given.
    """
    release = opened(reference, version, key)
    stated = summary(release)
    return Citation(
        release.reference, release.version, citation.bibtex(stated), citation.apa(stated), release.text(_FILE)
    )


def summary(release: Release) -> ReleaseSummary:
    """What a release's citation rests on; all else of it is empty.

    Raises:
        DamagedError: `release.json` or CITATION.cff do not say it.
    """
    stated, content = _document(release), release.content
    outside = content.get("outside")
    outside = outside if isinstance(outside, dict) else {}
    archive = ArchiveInfo(
        markup.plain(str(content.get("title", ""))),
        markup.plain(str(content.get("publisher", ""))),
        "",
        description=markup.plain(str(stated.get("abstract") or "")),
        homepage=str(stated.get("url") or ""),
    )
    return ReleaseSummary(
        archive,
        release.version,
        _day(release),
        None,
        table_rows={},
        donor_count=0,
        size_bytes=0,
        license_counts={},
        modality_counts={},
        tables={},
        files=(),
        repository=_text(outside, "repository"),
        doi=_text(outside, "doi"),
    )


def _document(release: Release) -> Mapping[str, Any]:
    try:
        found = markup.load_yaml(release.text(_FILE))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DamagedError(f"{_FILE} of {release.reference} cannot be read.", hint="Run `curate check` on the release.")
    return found


def _day(release: Release) -> date:
    try:
        return date.fromisoformat(str(release.content["date"]))
    except (KeyError, ValueError):
        raise DamagedError(
            f"{release.reference} {release.version} has no date.", hint="Run `curate check` on the release."
        ) from None


def _text(stated: Mapping[str, Any], name: str) -> str | None:
    found = stated.get(name)
    return found if isinstance(found, str) else None
