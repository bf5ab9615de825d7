"""What neither `release.json` nor the tables state, read back from its own place in a release's texts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from curate import licenses
from curate.core.records import VersionChange
from curate.describe import body, card_check, croissant, croissant_check, markup
from curate.describe.changelog_read import read_changes

_TABLE = re.compile(r"^### Studies by ([^\n]+)\n\n\|[^\n]*\n\| --- \| --- \|\n((?:\|[^\n]*\n)*)", re.MULTILINE)
_CELL = re.compile(r"^\| (.*) \| (?:[\d,]+|(hidden)) \|$", re.MULTILINE | re.ASCII)
_CONTACT = re.compile(
    r" report a suspected identification\. Report to ([^\n]*?)\.(?: Reading this release asks[^\n]*)?$",
    re.MULTILINE,
)
_KEY = re.compile(rf"^{re.escape(body.TRUST)}(\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Unsealed:
    """The fields of `ArchiveInfo` and `ReleaseSummary` of these names.

    `tables` maps each table of counts in the card to its values that are hidden there: the counts stand in `studies`.
    """

    description: str = ""
    contact: str = ""
    address: str = ""
    license: str = ""
    key: str = ""
    tables: Mapping[str, frozenset[str]] = field(default_factory=dict)
    history: tuple[VersionChange, ...] = ()


def read_unsealed(card: str, document: str, changelog: str, population: str) -> Unsealed:
    """What a card, a croissant.json and a changelog say that stands nowhere else."""
    stated = croissant_check.parsed(document) or {}
    text = card if len(card) <= card_check.LONGEST else ""
    contact, key = _CONTACT.search(text), _KEY.findall(text.partition("\n## Verify it\n")[2])
    return Unsealed(
        description=croissant.description_in(stated.get("description"), population),
        contact=markup.unescape(contact[1]) if contact else "",
        address=url if isinstance(url := stated.get("url"), str) else "",
        license=_license(stated.get("license")),
        key=key[0] if key else "",
        tables=_tables(text),
        history=read_changes(changelog if len(changelog) <= card_check.LONGEST else ""),
    )


def _license(stated: object) -> str:
    """The SPDX id of the one licence that a document states, if the catalogue has it."""
    known = {entry.spdx_url: entry.spdx_id for entry in licenses.catalogue().values()}
    return known.get(str(stated[0]), "") if isinstance(stated, list) and len(stated) == 1 else ""


def _tables(text: str) -> dict[str, frozenset[str]]:
    return {
        markup.unescape(title).replace(" ", "_"): frozenset(
            markup.unescape(value) for value, hidden in _CELL.findall(rows) if hidden
        )
        for title, rows in _TABLE.findall(text)
    }
