"""Reading what the tool keeps encrypted for its owner: receipts, mappings, lists of refused files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curate.archive import receipts as receipt_files
from curate.core import leftovers
from curate.keys import encrypted_log, secret_file
from curate.keys.derivation import Keys


def unseal(file: Path, key: Path) -> Iterator[dict[str, Any]]:
    """The records of a sealed file, in the order in which they were written.

    Raises:
        InputError: no such file, or the key is another one.
        DamagedError: it is damaged.
    """
    leftovers.clear(key)
    yield from encrypted_log.read(file, Keys.from_secret(secret_file.read(key)).storage)


def receipts(file: Path, key: Path) -> list[dict[str, str]]:
    """The receipts of a sealed file, the last one of each donation, by the table's study.

    Raises:
        InputError: no such file, another key, or it holds something else.
        DamagedError: it is damaged.
    """
    leftovers.clear(key)
    found = receipt_files.read(file, Keys.from_secret(secret_file.read(key)).storage)
    return sorted(map(receipt_files.record, found), key=lambda entry: (entry["donor"], entry["study"]))
