"""The texts that describe a release, by their names in its folder."""

from __future__ import annotations

from curate.core.records import ReleaseSummary
from curate.describe import card, changelog, citation, croissant, datacite


def texts_of(summary: ReleaseSummary) -> dict[str, str]:
    """Card, Croissant, citation, changelog and DataCite record, as they are written.

    Raises:
        InputError: a licence, a DUO code or an RAI property that is not known.
    """
    return {
        "README.md": card.card(summary),
        "croissant.json": croissant.croissant_json(summary),
        "CITATION.cff": citation.citation_cff(summary),
        "CHANGELOG.md": changelog.changelog(summary),
        "datacite.json": datacite.datacite_json(summary),
    }
