"""How a release is cited: one line, BibTeX, and CITATION.cff (Citation File Format 1.2.0)."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from curate import licenses
from curate.core.records import ReleaseSummary
from curate.describe import markup

KEYWORDS = ("DICOM", "medical imaging", "open data", "de-identified")
_NOT_IN_CFF = ("CDLA-Permissive-2.0",)  # the schema's list of identifiers is of May 2021
_DOI = re.compile(r"10\.\d{4,9}(\.\d+)?/[A-Za-z0-9:/_;\-.()\[\]\\]+")


def url(summary: ReleaseSummary) -> str | None:
    """The page of the release: its DOI, else its repository, else the archive's homepage."""
    if known := doi(summary):
        return f"https://doi.org/{known}"
    if markup.is_repository(summary.repository):
        return f"https://huggingface.co/datasets/{summary.repository}"
    return page(summary.archive.homepage)


def page(text: str) -> str | None:
    """Text as a web address, or None."""
    return text if re.fullmatch(r"https?://[^\s<>\"'`|\\]+", text) else None


def doi(summary: ReleaseSummary) -> str | None:
    """The DOI of the release, or None where it has none or it is not of that form."""
    return summary.doi if summary.doi and _DOI.fullmatch(summary.doi) else None


def sentence(summary: ReleaseSummary) -> str:
    """The citation as one line of plain text, without the address."""
    archive = summary.archive
    return (
        f"{markup.plain(archive.publisher)} ({summary.released.year:04d}). {markup.plain(archive.title)} "
        f"(version {summary.version}) [Data set]."
    )


def cite(summary: ReleaseSummary) -> str:
    """The citation as one line of plain text, with the address where there is one."""
    return " ".join(filter(None, (sentence(summary), url(summary))))


def apa(summary: ReleaseSummary) -> str:
    """The citation as APA (7th edition, 10.9: data sets) has it; the publisher, who is the author, is named once."""
    archive = summary.archive
    author, title = markup.plain(archive.publisher).rstrip("."), markup.plain(archive.title).rstrip(".")
    told = f"{author}. ({summary.released.year:04d}). {title} (Version {summary.version}) [Data set]."
    return " ".join(filter(None, (told, url(summary))))


def bibtex(summary: ReleaseSummary) -> str:
    """The citation as a BibTeX entry."""
    fields = {
        "title": markup.bibtex(summary.archive.title),
        "author": f"{{{markup.bibtex(summary.archive.publisher)}}}",
        "publisher": markup.bibtex(summary.archive.publisher),
        "year": f"{summary.released.year:04d}",
        "version": summary.version,
    }
    if known := doi(summary):
        fields["doi"] = known
    elif address := url(summary):
        fields["url"] = address
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@dataset{{{_key(summary)},", *lines, "}"])


def _key(summary: ReleaseSummary) -> str:
    folded = unicodedata.normalize("NFKD", summary.archive.title).encode("ascii", "ignore").decode()
    words = re.findall(r"[a-z0-9]+", folded.lower())[:3] or ["dataset"]
    return f"{'_'.join(words)}_{summary.version.replace('.', '_')}"


def citation_cff(summary: ReleaseSummary) -> str:
    """CITATION.cff; several licences are named in the abstract, since CFF reads a list as a choice."""
    archive = summary.archive
    document: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use this release, please cite it by version, as below.",
        "type": "dataset",
        "title": markup.plain(archive.title),
        "authors": [{"name": markup.plain(archive.publisher)}],
        "version": summary.version,
        "date-released": summary.released.isoformat(),
        "abstract": _abstract(summary),
        "keywords": list(KEYWORDS),
    }
    if known := doi(summary):
        document["doi"] = known
    if address := url(summary):
        document["url"] = address
    used = sorted(licenses.get(name).spdx_id for name in summary.license_counts or (archive.license,))
    if len(used) == 1 and used[0] in _NOT_IN_CFF:
        document["license-url"] = licenses.get(used[0]).url
    elif len(used) == 1:
        document["license"] = used[0]
    return markup.dump_yaml(document)


def _abstract(summary: ReleaseSummary) -> str:
    about = markup.plain(summary.archive.description) or "De-identified DICOM studies with minimal metadata."
    if len(summary.license_counts) > 1:
        about += f" Each row bears its licence: {', '.join(sorted(summary.license_counts))}."
    return about


def read_version(text: str) -> str | None:
    """The version that a CITATION.cff states, or None where it is not readable."""
    try:
        document = markup.load_yaml(text)
    except ValueError:
        return None
    found = document.get("version") if isinstance(document, dict) else None
    return found if isinstance(found, str) else None
