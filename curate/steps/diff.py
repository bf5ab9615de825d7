"""`curate diff`: what changed between two releases, or two Parquet tables with a key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from curate import contract
from curate.core.errors import InputError
from curate.loading import manifest_tables, source
from curate.verify.compare import Diff, TableDiff, compare, compare_tables

__all__ = ["Diff", "TableDiff", "diff"]


def diff(before: str, after: str, key: Sequence[str] = ()) -> Diff:
    """What changed from one release to another (folders, hub references), or between two Parquet files.

    A reference may end in `@1.2.0`. Files are compared by `key`, releases by the keys of the contract.

    Raises:
        InputError: no such release or file, no key, or a key that is not unique.
        DamagedError: a table cannot be read.
    """
    if _is_file(before) != _is_file(after):
        raise InputError("One is a file and the other is not.", hint="Give two files, or two releases.")
    if _is_file(before):
        if not key:
            raise InputError("Two files need a key.", hint="Name the columns that identify a row: --key ID.")
        return Diff(before, after, (compare_tables(Path(before).stem, Path(before), Path(after), key),))
    found, licenses = compare(_tables(before), _tables(after))
    return Diff(before, after, found, licenses)


def _is_file(text: str) -> bool:
    return Path(text).is_file()


def _tables(reference: str) -> dict[str, Path]:
    place, at, version = reference.rpartition("@")
    found = source.find(place if at else reference, version if at else None)
    return manifest_tables.local(found, *contract.MANIFEST_TABLES)
