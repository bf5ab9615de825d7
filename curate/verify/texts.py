"""Checks (6) to (8): previews, licences, and what card, Croissant, citation, DataCite and changelog state."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import contract, decoding, licenses
from curate.describe import card_check, changelog, citation, croissant_check, datacite, markup
from curate.digests import sha256_set
from curate.findings import Finding, merge
from curate.records import CheckResult, FileEntry
from curate.verify.remembered import Remembered, mark
from curate.verify.seal import Seal
from curate.verify.tables import connect, shard_paths, table_path

SIDE_PIXELS = 192
_PNG_INFO: frozenset[str] = frozenset()


def check_previews(seal: Seal, known: Remembered | None = None) -> CheckResult:
    """Every preview is a small PNG without any text in it."""
    findings: list[Finding] = []
    count = 0
    for path in shard_paths(seal, "previews"):
        held = mark(seal.folder / path, path, "previews")
        if known is not None and known.holds(held):
            count += max(0, _rows(seal.folder / path))
            continue
        before = len(findings)
        try:
            for batch in pq.ParquetFile(seal.folder / path).iter_batches(256):
                for row in batch.to_pylist():
                    count += 1
                    if not _small_png(row["image"]["bytes"]):
                        findings.append(Finding("PREVIEW_INVALID", f"series {row['SeriesInstanceUID']}"))
        except (pa.ArrowException, OSError, KeyError, TypeError):
            findings.append(Finding("TABLE_UNREADABLE", path))
        if known is not None and held and len(findings) == before:
            known.add(held)
    return CheckResult(
        "previews", "Every preview is a small PNG with nothing else in it", count, merge(findings)
    )


def _small_png(data: bytes) -> bool:
    """Whether it is one, its pixels whole; it is decoded where decoding can do no harm."""
    try:
        said = decoding.png_of(data, SIDE_PIXELS)
    except decoding.UndecodableError:  # the answer asked for
        return False
    return set(said["info"]) <= _PNG_INFO and data.endswith(b"IEND\xaeB`\x82")


def check_licenses(seal: Seal) -> CheckResult:
    """Every row's licence is in the catalogue and has its verbatim text; none is there without a row."""
    with connect(seal) as db:
        used = {str(row[0]) for row in db.execute("SELECT DISTINCT license FROM studies").fetchall()}
        count = len(used)
    digests = {path: entry["sha256"] for path, entry in seal.files.items()}
    findings = licenses.check_files(used, digests)
    return CheckResult("licenses", "Every row's licence has its text", count, merge(findings))


def check_texts(seal: Seal) -> CheckResult:
    """Card, Croissant, citation and changelog state what the tables hold."""
    rows, license_counts = _counts(seal)
    files = [FileEntry(path, e["size_bytes"], e["sha256"]) for path, e in sorted(seal.files.items())]
    donors = seal.content["counts"].get("donors")
    findings: list[Finding] = []
    card, croissant = _text(seal, "README.md"), _text(seal, "croissant.json")
    findings += card_check.check_card(
        card,
        version=seal.version,
        population=seal.content["population"],
        counts={**rows, "donors": _donors(seal)},
        license_counts=license_counts,
        files=files,
    )
    findings += croissant_check.check_croissant(
        croissant, version=seal.version, files=files, table_rows=rows, license_ids=set(license_counts)
    )
    if donors != _donors(seal):
        findings.append(Finding("COUNT_STATED", "release.json", "donors"))
    if citation.read_version(_text(seal, "CITATION.cff")) != seal.version:
        findings.append(Finding("CITATION_VERSION", "CITATION.cff"))
    if seal.version not in changelog.read_versions(_text(seal, "CHANGELOG.md"))[:1]:
        findings.append(Finding("CHANGELOG_VERSION", "CHANGELOG.md"))
    if datacite.read_version(_text(seal, "datacite.json")) != seal.version:
        findings.append(Finding("DATACITE_VERSION", "datacite.json"))
    findings += _check_outside(seal, card)
    title = "Card, Croissant, citation, DataCite record and changelog state what the tables hold"
    return CheckResult("texts", title, 5, merge(findings))


def _check_outside(seal: Seal, card: str) -> list[Finding]:
    """The DOI and the notices that `release.json` states stand in every text that should bear them."""
    stated = seal.content.get("outside", {})
    doi, notices = (stated.get("doi"), stated.get("notices", [])) if isinstance(stated, dict) else (None, [])
    names = ("README.md", "CITATION.cff", "datacite.json", "croissant.json") if doi else ()
    findings = [Finding("DOI_STATED", name) for name in names if str(doi) not in _text(seal, name)]
    told = [markup.escape(str(notice)) for notice in notices]
    return findings + [Finding("CARD_NOTICE", "README.md") for text in told if text not in card][:1]


def _text(seal: Seal, name: str) -> str:
    try:
        return (seal.folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):  # the seal tells what is missing or altered
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
            rows[name] = rows.get(name, 0) + _rows(seal.folder / path)
    with connect(seal) as db:
        found = db.execute("SELECT license, count(*) FROM studies GROUP BY license").fetchall()
    return rows, {str(name): int(count) for name, count in found}


def _rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError):
        return -1


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
