"""Where the rows of each table lie in a release, as globs that `datasets` and Croissant both read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

from curate import contract
from curate.core.records import FileEntry

TABLES = (*contract.MANIFEST_TABLES, "images", "previews")
_FOLDERS = {"images": "packs/*/*.parquet", "previews": "previews/*.parquet"}


def pattern(table: str) -> str:
    """The glob of a table's files, from the release's root."""
    return _FOLDERS.get(table, f"manifest/{table}.parquet")


def files_of(table: str, files: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    """The files that hold the rows of a table, sorted by path."""
    glob = pattern(table)
    found = (f for f in files if f.path.count("/") == glob.count("/") and fnmatchcase(f.path, glob))
    return tuple(sorted(found, key=lambda f: f.path))


def content(table: str, files: Iterable[FileEntry]) -> str:
    """One SHA-256, in hex, over the digests of a table's files."""
    digests = "".join(f.sha256 for f in files_of(table, files))
    return hashlib.sha256(digests.encode()).hexdigest()


def data_files(files: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    """The files that hold rows of any table, sorted by path."""
    held = list(files)
    return tuple(sorted({f for table in TABLES for f in files_of(table, held)}, key=lambda f: f.path))


def configs(files: Iterable[FileEntry], table_rows: Mapping[str, int]) -> tuple[str, ...]:
    """The configs that load: `load_dataset` fails on a config that has no file, or no row.

    `studies` stays even without a row, so that `datasets` finds a config and not the text files.
    """
    held = list(files)
    return tuple(
        name for name in contract.CONFIGS if name == "studies" or (files_of(name, held) and table_rows.get(name, 1))
    )
