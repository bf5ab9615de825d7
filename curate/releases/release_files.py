"""The texts of a release folder, and its seal `release.json`, whose SHA-256 identifies the release."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from curate import contract, licenses
from curate.core import durable
from curate.core.actor import TOOL
from curate.core.digests import canonical_json, sha256_file
from curate.core.records import FileEntry, ReleaseSummary
from curate.describe.texts import texts_of


def write_licenses(folder: Path, used: Iterable[str]) -> None:
    """Write `LICENSES/` and `TERMS.md` for the licences that the rows bear."""
    (folder / "LICENSES").mkdir()
    for path, content in sorted(licenses.release_files(list(used)).items()):
        durable.write_bytes(folder / path, content)


def entries(folder: Path) -> tuple[FileEntry, ...]:
    """All files of the folder; a pack's or a preview shard's digest is its name, so it is not read again."""
    found = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        named = name.startswith(("packs/", "previews/"))
        found.append(FileEntry(name, path.stat().st_size, path.stem if named else sha256_file(path)))
    return tuple(sorted(found, key=lambda entry: entry.path))


def write_texts(folder: Path, summary: ReleaseSummary) -> None:
    """Write card, Croissant, citation, DataCite record and changelog."""
    for name, text in texts_of(summary).items():
        durable.write_bytes(folder / name, text.encode())


def seal(
    folder: Path,
    summary: ReleaseSummary,
    previous: Mapping[str, str] | None,
    *,
    contract_version: str = contract.VERSION,
    **more: Any,
) -> str:
    """Write `release.json`, which lists every other file, and return its SHA-256; `more` are further keys."""
    files = {e.path: {"sha256": e.sha256, "size_bytes": e.size_bytes} for e in entries(folder)}
    sealed = {
        "version": summary.version,
        "date": summary.released.isoformat(),
        "contract": contract_version,
        "title": summary.archive.title,
        "publisher": summary.archive.publisher,
        "population": summary.archive.population,
        "tool": TOOL,
        "counts": {**summary.table_rows, "donors": summary.donor_count},
        "previous": previous,
        "statements": list(summary.statements),
        "files": files,
        **more,
    }
    text = canonical_json(sealed) + "\n"
    durable.write_bytes(folder / "release.json", text.encode())
    return hashlib.sha256(text.encode()).hexdigest()
