"""datacite.json: the release as a DataCite 4.6 record, for a repository that gives it a DOI."""

from __future__ import annotations

import json
from typing import Any

from curate import licenses
from curate.core.records import ReleaseSummary
from curate.describe import citation, markup


def datacite(summary: ReleaseSummary) -> dict[str, Any]:
    """The record in DataCite's JSON form."""
    archive = summary.archive
    publisher = markup.plain(archive.publisher)
    record: dict[str, Any] = {
        "schemaVersion": "http://datacite.org/schema/kernel-4",
        "types": {"resourceType": "Medical images", "resourceTypeGeneral": "Dataset"},
        "creators": [{"name": publisher, "nameType": "Organizational"}],
        "titles": [{"title": markup.plain(archive.title)}],
        "publisher": {"name": publisher},
        "publicationYear": f"{summary.released.year:04d}",
        "dates": [{"date": summary.released.isoformat(), "dateType": "Issued"}],
        "version": summary.version,
        "language": "en",
        "subjects": [{"subject": keyword} for keyword in citation.KEYWORDS],
        "sizes": [f"{summary.size_bytes} bytes", f"{summary.table_rows.get('studies', 0)} studies"],
        "formats": ["application/dicom", "application/x-parquet"],
        "rightsList": [_rights(name) for name in sorted(summary.license_counts or (archive.license,))],
    }
    if description := markup.plain(archive.description):
        record["descriptions"] = [{"description": description, "descriptionType": "Abstract"}]
    if summary.doi:
        record["doi"] = summary.doi
        record["identifiers"] = [{"identifier": summary.doi, "identifierType": "DOI"}]
    if markup.is_repository(summary.repository):
        address = f"https://huggingface.co/datasets/{summary.repository}"
        record["relatedIdentifiers"] = [
            {
                "relatedIdentifier": address,
                "relatedIdentifierType": "URL",
                "relationType": "IsVariantFormOf",
                "resourceTypeGeneral": "Dataset",
            }
        ]
    return record


def _rights(spdx_id: str) -> dict[str, str]:
    entry = licenses.get(spdx_id)
    return {
        "rights": entry.name,
        "rightsUri": entry.url,
        "rightsIdentifier": entry.spdx_id,
        "rightsIdentifierScheme": "SPDX",
        "schemeUri": "https://spdx.org/licenses/",
    }


def datacite_json(summary: ReleaseSummary) -> str:
    """The record as the text of datacite.json."""
    return json.dumps(datacite(summary), ensure_ascii=False, indent=1) + "\n"


def read_version(text: str) -> str | None:
    """The version that a datacite.json states, or None where it is not readable."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = document.get("version") if isinstance(document, dict) else None
    return found if isinstance(found, str) else None
