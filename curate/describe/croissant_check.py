"""Compares croissant.json with what a release holds; the format's own validator looks at none of this."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from curate import licenses
from curate.core.findings import Finding
from curate.core.records import FileEntry
from curate.describe import croissant, layout

PATH = croissant.PATH


class _MalformedError(ValueError):
    """A key that appears twice hides the first one's value from some readers."""


def check_croissant(
    text: str,
    *,
    version: str,
    files: Iterable[FileEntry],
    table_rows: Mapping[str, int],
    license_ids: Collection[str],
) -> list[Finding]:
    """Findings where croissant.json does not say what the release holds.

    `files` are those that `release.json` lists, `table_rows` the rows of each table, `license_ids` the SPDX
    identifiers of its rows.
    """
    document = parsed(text)
    if document is None:
        return [Finding("CROISSANT_MALFORMED", PATH)]
    held = tuple(files)
    return [
        *_check_head(document, version),
        *_check_licenses(document, license_ids),
        *_check_distribution(document, held),
        *_check_record_sets(document, held, table_rows),
    ]


def parsed(text: str) -> dict[str, Any] | None:
    """The object of a JSON text; None where it is none, or a key appears twice."""
    try:
        document = json.loads(text, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError):  # not JSON: the caller's finding
        return None
    return document if isinstance(document, dict) else None


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _MalformedError
    return found


def _check_head(document: Mapping[str, Any], version: str) -> list[Finding]:
    findings = []
    if document.get("@context") != croissant.CONTEXT:
        findings.append(Finding("CROISSANT_MALFORMED", PATH, "@context"))
    if document.get("conformsTo") != list(croissant.CONFORMS_TO):
        findings.append(Finding("CROISSANT_MALFORMED", PATH, "conformsTo"))
    if document.get("version") != version:
        findings.append(Finding("CROISSANT_VERSION", PATH))
    return findings


def _check_licenses(document: Mapping[str, Any], license_ids: Collection[str]) -> list[Finding]:
    stated = document.get("license")
    urls = {str(url) for url in stated} if isinstance(stated, list) else {str(stated)}
    known = {entry.spdx_url: entry.spdx_id for entry in licenses.catalogue().values()}
    if urls <= set(known) and {known[url] for url in urls} == set(license_ids):
        return []
    if not license_ids and len(urls & set(known)) == len(urls) == 1:  # no row is left: the archive's licence
        return []
    return [Finding("CROISSANT_LICENSE", PATH, "license")]


def _check_distribution(document: Mapping[str, Any], files: tuple[FileEntry, ...]) -> list[Finding]:
    by_path = {f.path: f for f in files}
    expected = {entry["@id"]: entry for entry in croissant.distribution(files)}
    findings: list[Finding] = []
    seen: set[str] = set()
    for entry in _entries(document.get("distribution")):
        name = _string(entry.get("@id"))
        findings += _check_entry(entry, expected.get(name), by_path)
        if name in seen:
            findings.append(Finding("CROISSANT_MALFORMED", PATH, "distribution"))
        seen.add(name)
    missing = [expected[name] for name in sorted(set(expected) - seen)]
    rules = {"cr:FileObject": "CROISSANT_FILE_UNLISTED", "cr:FileSet": "CROISSANT_FILE_SET"}
    return findings + [Finding(rules[entry["@type"]], PATH, entry["@id"]) for entry in missing]


def _check_entry(
    entry: Mapping[str, Any], expected: Mapping[str, Any] | None, by_path: Mapping[str, FileEntry]
) -> list[Finding]:
    if entry.get("@type") == "cr:FileSet":
        same = expected is not None and _same(entry, expected, "@type", "includes", "encodingFormat")
        return [] if same and "excludes" not in entry else [Finding("CROISSANT_FILE_SET", PATH, _known(expected))]
    path = entry.get("contentUrl")
    file = by_path.get(path) if isinstance(path, str) else None
    if file is None:  # the path is the document's own, so it is not shown
        return [Finding("CROISSANT_FILE_MISSING", PATH, _known(expected))]
    findings = []
    if entry.get("sha256") != file.sha256:
        findings.append(Finding("CROISSANT_DIGEST", PATH, file.path))
    if entry.get("contentSize") != f"{file.size_bytes} B":
        findings.append(Finding("CROISSANT_SIZE", PATH, file.path))
    if expected is None or not _same(entry, expected, "@type", "contentUrl", "encodingFormat"):
        findings.append(Finding("CROISSANT_FILE_MISSING", PATH, file.path))
    return findings


def _check_record_sets(
    document: Mapping[str, Any], files: tuple[FileEntry, ...], table_rows: Mapping[str, int]
) -> list[Finding]:
    expected = [name for name in layout.TABLES if layout.files_of(name, files)]
    found = [(_string(entry.get("@id")), entry) for entry in _entries(document.get("recordSet"))]
    findings = []
    if sorted(name for name, _ in found) != sorted(expected):
        findings.append(Finding("CROISSANT_RECORD_SET", PATH, "recordSet"))
    for name, entry in found:
        if name in expected:
            findings += _check_record_set(name, entry, table_rows.get(name))
    return findings


def _check_record_set(name: str, entry: Mapping[str, Any], rows: int | None) -> list[Finding]:
    expected = croissant.record_set(name, rows or 0)
    findings = []
    if not _same(entry, expected, "@type", "key"):
        findings.append(Finding("CROISSANT_RECORD_SET", PATH, name))
    if rows is not None and (entry.get("numberOfItems") != rows or isinstance(entry["numberOfItems"], bool)):
        findings.append(Finding("CROISSANT_COUNT", PATH, name))
    return findings + _check_fields(name, _leaves(entry.get("field")), _leaves(expected["field"]))


def _check_fields(
    name: str, found: Iterable[Mapping[str, Any]], expected: Iterable[Mapping[str, Any]]
) -> list[Finding]:
    wanted = {entry["@id"]: entry for entry in expected}
    findings: list[Finding] = []
    seen: set[str] = set()
    for entry in found:
        held = wanted.get(_string(entry.get("@id")))
        if held is None or held["@id"] in seen:  # its name is the document's own, so it is not shown
            findings.append(Finding("CROISSANT_COLUMN", PATH, name))
            continue
        seen.add(held["@id"])
        findings += _check_field(entry, held)
    return findings + [Finding("CROISSANT_COLUMN", PATH, missing) for missing in sorted(set(wanted) - seen)]


def _check_field(entry: Mapping[str, Any], expected: Mapping[str, Any]) -> list[Finding]:
    name = expected["@id"]
    findings = []
    if not _same(entry, expected, "dataType", "isArray", "arrayShape"):
        findings.append(Finding("CROISSANT_TYPE", PATH, name))
    source = entry.get("source")
    if not isinstance(source, dict) or source.get("extract") != expected["source"]["extract"]:
        findings.append(Finding("CROISSANT_COLUMN", PATH, name))
    elif source != expected["source"] or "value" in entry:
        findings.append(Finding("CROISSANT_SOURCE", PATH, name))
    return findings


def _leaves(fields: object) -> Iterator[Mapping[str, Any]]:
    for entry in _entries(fields):
        parts = entry.get("subField")
        if parts is None:
            yield entry
        else:
            yield from _entries(parts)


def _entries(value: object) -> Iterator[dict[str, Any]]:
    """The objects of a list; what is no object counts as an empty one, so that it is found wrong."""
    for item in value if isinstance(value, list) else ():
        yield item if isinstance(item, dict) else {}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _known(expected: Mapping[str, Any] | None) -> str:
    return str(expected["@id"]) if expected else "distribution"


def _same(entry: Mapping[str, Any], expected: Mapping[str, Any], *names: str) -> bool:
    return all(entry.get(name) == expected.get(name) for name in names)
