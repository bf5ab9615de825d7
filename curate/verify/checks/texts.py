"""Checks `licenses` and `texts`: licences, and what card, Croissant, citation, DataCite and changelog state."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow.compute as pc

from curate import contract, licenses
from curate.core.actor import TOOL
from curate.core.digests import sha256_set
from curate.core.errors import DamagedError
from curate.core.findings import Finding, merge
from curate.core.records import CheckResult, FileEntry
from curate.describe import card_check, changelog, citation, croissant_check, datacite, markup
from curate.untrusted import foreign_files
from curate.verify.checks.previews import rows as count_rows
from curate.verify.checks.prose import check_prose
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import connect, table_path

_LARGEST_TEXT = 64 << 20  # bytes
TEXTS = ("README.md", "croissant.json", "CITATION.cff", "CHANGELOG.md", "datacite.json")


def check_licenses(seal: Seal) -> CheckResult:
    """Every row's licence is in the catalogue and has its verbatim text; none is there without a row."""
    with connect(seal) as db:
        used = {str(row[0]) for row in db.execute("SELECT DISTINCT license FROM studies").fetchall()}
        count = len(used)
    digests = {path: entry["sha256"] for path, entry in seal.files.items()}
    findings = [*licenses.check_files(used, digests), *_terms(seal, digests)]
    return CheckResult("licenses", "Every row's licence has its text", count, merge(findings))


def _terms(seal: Seal, digests: dict[str, str]) -> list[Finding]:
    """The terms of use are those that this version writes; where another wrote the release, a warning names it."""
    written = hashlib.sha256(licenses.terms().encode()).hexdigest()
    if digests.get(licenses.TERMS_PATH, written) == written:
        return []
    ours = seal.content["tool"] == TOOL
    rule = "LICENSE_TERMS_CHANGED" if ours else "LICENSE_TERMS_OTHER_TOOL"
    return [Finding(rule, licenses.TERMS_PATH, "" if ours else seal.content["tool"])]


def check_texts(seal: Seal) -> CheckResult:
    """Card, Croissant, citation and changelog state what the tables hold."""
    rows, license_counts = _counts(seal)
    files = [FileEntry(path, e["size_bytes"], e["sha256"]) for path, e in sorted(seal.files.items())]
    donors = seal.content["counts"].get("donors")
    findings: list[Finding] = []
    texts = {name: _text(seal, name) for name in TEXTS}
    findings += card_check.check_card(
        texts["README.md"],
        version=seal.version,
        population=seal.content["population"],
        counts={**rows, "donors": _donors(seal)},
        license_counts=license_counts,
        files=files,
    )
    findings += croissant_check.check_croissant(
        texts["croissant.json"],
        version=seal.version,
        files=files,
        table_rows=rows,
        license_ids=set(license_counts),
    )
    if donors != _donors(seal):
        findings.append(Finding("COUNT_STATED", "release.json", "donors"))
    if citation.read_version(texts["CITATION.cff"]) != seal.version:
        findings.append(Finding("CITATION_VERSION", "CITATION.cff"))
    if seal.version not in changelog.read_versions(texts["CHANGELOG.md"])[:1]:
        findings.append(Finding("CHANGELOG_VERSION", "CHANGELOG.md"))
    if datacite.read_version(texts["datacite.json"]) != seal.version:
        findings.append(Finding("DATACITE_VERSION", "datacite.json"))
    findings += _check_outside(seal, texts)
    findings += check_prose(seal, texts, rows, _donors(seal), license_counts)
    title = "Card, Croissant, citation, DataCite record and changelog state what the tables hold"
    return CheckResult("texts", title, 5, merge(findings))


def _check_outside(seal: Seal, texts: Mapping[str, str]) -> list[Finding]:
    """The DOI and the notices that `release.json` states stand in every text that should bear them."""
    stated = seal.content.get("outside", {})
    doi, notices = (stated.get("doi"), stated.get("notices", [])) if isinstance(stated, dict) else (None, [])
    names = ("README.md", "CITATION.cff", "datacite.json", "croissant.json") if doi else ()
    findings = [Finding("DOI_STATED", name) for name in names if str(doi) not in texts[name]]
    told = [markup.escape(str(notice)) for notice in notices]
    return findings + [Finding("CARD_NOTICE", "README.md") for text in told if text not in texts["README.md"]][:1]


def _text(seal: Seal, name: str) -> str:
    try:
        return foreign_files.read(seal.folder, name, _LARGEST_TEXT).decode()
    except (DamagedError, OSError, UnicodeDecodeError):  # the seal tells what is missing or altered
        return ""


def _donors(seal: Seal) -> int:
    with connect(seal) as db:
        row = db.execute("SELECT count(DISTINCT donor_id) FROM studies").fetchone()
        return int(row[0]) if row else 0


def _counts(seal: Seal) -> tuple[dict[str, int], dict[str, int]]:
    rows: dict[str, int] = {}
    for path in seal.files:
        name = Path(path).stem if path.startswith("manifest/") else path.split("/")[0]
        if path.endswith(".parquet"):
            name = {"packs": "images"}.get(name, name)
            rows[name] = rows.get(name, 0) + count_rows(seal.folder / path)
    with connect(seal) as db:
        found = db.execute("SELECT license, count(*) FROM studies GROUP BY license").fetchall()
    return rows, {str(name): int(count) for name, count in found}


def check_digests(seal: Seal) -> CheckResult:
    """Each study's digest is that of its instances' digests."""
    with connect(seal) as db:
        rows = db.execute("SELECT study_id, sha256 FROM studies").fetchall()
    stated = {study: bytes(digest) for study, digest in rows}
    found: Counter[str] = Counter()
    current, held = "", list[bytes]()
    for study, digests in _runs(seal.folder / table_path("instances")):
        if study != current:
            _compare(stated, current, held, found)
            current, held = study, []
        held += digests
    _compare(stated, current, held, found)
    findings = [Finding("STUDY_DIGEST", f"study {study}") for study in found]
    title = "Each study's digest is that of its instances"
    return CheckResult("digests", title, len(stated), merge(findings))


def _runs(path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """The digests of instances, by runs of rows of one study."""
    for batch in contract.read_batches(path, ["study_id", "sha256"], dictionaries=["study_id"]):
        runs = pc.run_end_encode(batch["study_id"].indices)
        names, start, digests = batch["study_id"].dictionary, 0, batch["sha256"].to_pylist()
        for value, end in zip(runs.values.to_pylist(), runs.run_ends.to_pylist(), strict=True):
            yield names[value].as_py(), digests[start:end]
            start = end


def _compare(stated: dict[str, bytes], study: str, digests: list[bytes], found: Counter[str]) -> None:
    if study and stated.get(study) != sha256_set(digests):
        found[study] += 1
