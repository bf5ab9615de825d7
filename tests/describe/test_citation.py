from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from curate import licenses
from curate.core.records import ReleaseSummary, VersionChange
from curate.describe import changelog, citation, datacite
from tests.describe import release

Built = tuple[Path, ReleaseSummary]
CFF_KEYS = {  # the keys of schema 1.2.0, which allows no others
    "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers",
    "keywords", "license", "license-url", "message", "preferred-citation", "references", "repository",
    "repository-artifact", "repository-code", "title", "type", "url", "version",
}  # fmt: skip
_TITLES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


def small(**changes: Any) -> ReleaseSummary:
    return replace(release.summarise((), {"studies": 2}), **changes)


def test_cff_has_what_the_schema_asks_for() -> None:
    """CITATION.cff has the required keys, no unknown one, and strings where the schema wants them."""
    found = yaml.safe_load(citation.citation_cff(small(doi="10.5281/zenodo.1234")))
    assert {"cff-version", "message", "title", "authors"} <= set(found) <= CFF_KEYS
    assert (found["cff-version"], found["type"]) == ("1.2.0", "dataset")
    assert found["date-released"] == "2026-03-04"
    assert found["authors"] == [{"name": "Hospital de la Prova & Co"}]
    assert found["doi"] == "10.5281/zenodo.1234" and found["url"] == "https://doi.org/10.5281/zenodo.1234"
    assert all(isinstance(v, str | list) for v in found.values())


@pytest.mark.parametrize("spdx_id", licenses.catalogue())
def test_cff_license_is_one_that_the_schema_knows(spdx_id: str) -> None:
    """The schema's list is older than CDLA-Permissive-2.0, which is given by its address instead."""
    found = yaml.safe_load(citation.citation_cff(small(license_counts={spdx_id: 2})))
    if spdx_id == "CDLA-Permissive-2.0":
        assert "license" not in found and found["license-url"] == "https://cdla.dev/permissive-2-0"
    else:
        assert found["license"] == spdx_id


def test_cff_does_not_offer_several_licences_as_a_choice() -> None:
    """CFF reads a list of licences as a choice, so several stand in the abstract."""
    found = yaml.safe_load(citation.citation_cff(small()))
    assert "license" not in found
    assert "CC-BY-4.0, CC0-1.0" in found["abstract"]


@given(_TITLES, _TITLES)
def test_no_title_breaks_the_citation_or_the_changelog(title: str, publisher: str) -> None:
    """Any title and publisher give YAML, JSON, BibTeX and Markdown of the same structure."""
    archive = replace(release.INFO, title=title, publisher=publisher, description=publisher)
    summary = small(archive=archive)
    assert citation.read_version(citation.citation_cff(summary)) == "1.2.0"
    assert datacite.read_version(datacite.datacite_json(summary)) == "1.2.0"
    assert changelog.read_versions(changelog.changelog(summary)) == ("1.2.0", "1.1.0")
    entry = citation.bibtex(summary)
    assert entry.count("\n") == 7 and entry.count("{") == entry.count("}") == 8
    assert "\n" not in citation.cite(summary)


@pytest.mark.parametrize("text", ["", "- 1", "version: 1.2", "version: [", "a: &a [*a]", "\x00"])
def test_broken_files_have_no_version(text: str) -> None:
    """What is not readable, or states no version, gives None."""
    assert citation.read_version(text) is None
    assert datacite.read_version(text) is None


def test_address_is_the_doi_then_the_repository_then_the_homepage() -> None:
    """The best address that there is, and none that is no web address."""
    bare = replace(release.INFO, homepage="javascript:alert(1)")
    assert citation.url(small(doi="10.5281/zenodo.1")) == "https://doi.org/10.5281/zenodo.1"
    assert citation.url(small()) == "https://huggingface.co/datasets/org/imatges"
    assert citation.url(small(repository=None)) == "https://example.org/archive"
    assert citation.url(small(repository='x" onclick', archive=bare)) is None


def test_datacite_has_the_mandatory_properties() -> None:
    """What DataCite 4 asks for is there, and rights bear SPDX identifiers."""
    found = datacite.datacite(small(doi="10.5281/zenodo.1234"))
    assert found["identifiers"][0]["identifier"] == "10.5281/zenodo.1234"
    assert found["creators"] and found["titles"] and found["publisher"]["name"]
    assert found["publicationYear"] == "2026"
    assert found["types"]["resourceTypeGeneral"] == "Dataset"
    assert [r["rightsIdentifier"] for r in found["rightsList"]] == ["CC-BY-4.0", "CC0-1.0"]
    assert json.loads(datacite.datacite_json(small(doi="10.5281/zenodo.1234"))) == found


def test_changelog_lists_versions_newest_first_by_number() -> None:
    """1.10.0 comes before 1.9.0, and a version that is in the history too stands once."""
    history = tuple(VersionChange(f"1.{n}.0", date(2026, 1, n), added=n) for n in (9, 10, 2))
    text = changelog.changelog(small(version="1.11.0", history=(*history, VersionChange("1.11.0", date(2026, 3, 1)))))
    assert changelog.read_versions(text) == ("1.11.0", "1.10.0", "1.9.0", "1.2.0")


def test_changelog_says_what_changed_and_nothing_else() -> None:
    """Counts stand under their headings, notices apart, and a version without change says so."""
    change = {"added": 1200, "removed": 1, "changed": 0, "notices": ("Recall of 1.1.0: burned-in text.",)}
    text = changelog.changelog(small(history=(VersionChange("1.1.0", date(2026, 2, 1)),), **change))
    newest, oldest = text.split("## [1.1.0] - 2026-02-01")
    assert re.findall(r"^(?:### \w+|- .*)$", newest, re.MULTILINE) == [
        "### Notices",
        "- Recall of 1.1.0: burned-in text.",
        "### Added",
        "- 1,200 studies.",
        "### Removed",
        "- 1 study.",
    ]
    assert oldest.strip() == "No study was added, changed or removed."
