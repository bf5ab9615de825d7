"""What is looked at before a table of a release is read: where it lies, and what it would take to read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate import contract
from curate.core.digests import parse_json
from curate.core.errors import DamagedError, quoted
from curate.core.findings import Finding
from curate.untrusted import foreign_files, parquet
from curate.untrusted.parquet import TooMuchError
from curate.verify.checks.seal import Seal

_COUNTS = ("applied", "warnings")
_LONGEST_CODE = 64
_TABLES = ("table", "profile", "pixels", "faces")


def of_table(folder: Path, name: str, *, pack: bool = False) -> list[Finding]:
    """Why a Parquet file of a release must not be read: nothing, or one finding."""
    if rule := foreign_files.problem(folder, name):
        return [Finding("TABLE_UNREADABLE" if rule == "FILE_MISSING" else rule, name)]
    try:
        parquet.check(folder / name, name, pack=pack)
    except TooMuchError as error:
        return [Finding(error.rule, name, error.tag)]
    return []


def guard(folder: Path, *names: str) -> None:
    """Refuse tables of the manifest that must not be read.

    Raises:
        DamagedError: which, and why.
    """
    for name in names or contract.MANIFEST_TABLES:
        if found := of_table(folder, f"manifest/{name}.parquet"):
            raise DamagedError(
                f"The table {name} of {folder} cannot be used: {found[0].rule}.",
                hint=f"See why: curate check {quoted(folder)}",
            )


def places(seal: Seal) -> list[Finding]:
    """Rows of `instances` whose bytes would lie outside of a pack that `release.json` lists."""
    sizes = {name: entry["size_bytes"] for name, entry in seal.files.items() if name.startswith("packs/")}
    outside = 0
    columns = ["pack", "offset_bytes", "size_bytes"]
    path = seal.folder / "manifest" / "instances.parquet"
    for batch in contract.read_batches(path, columns, dictionaries=["pack"]):
        packs = batch["pack"].dictionary.to_pylist()
        ends = [sizes.get(name, -1) for name in packs]
        rows = zip(batch["pack"].indices.to_pylist(), *(batch[c].to_pylist() for c in columns[1:]), strict=True)
        outside += sum(not (offset >= 0 and size >= 0 and offset + size <= ends[at]) for at, offset, size in rows)
    return [Finding("INSTANCE_PLACE", "instances", "pack", outside)] if outside else []


def evidence(seal: Seal) -> list[Finding]:
    """Payloads that are no statement of how a study was anonymised."""
    path = seal.folder / "manifest" / "evidence.parquet"
    bad = sum(not _is_evidence(text) for text in _payloads(path))
    return [Finding("EVIDENCE_INVALID", "evidence", "payload", bad)] if bad else []


def _payloads(path: Path) -> Iterator[str]:
    for batch in contract.read_batches(path, ["payload"], dictionaries=["payload"]):
        column: Any = batch["payload"]
        yield from column.dictionary.to_pylist() if isinstance(column, pa.DictionaryArray) else column.to_pylist()


def _is_evidence(text: str) -> bool:
    try:
        found = parse_json(text)
        if not isinstance(found, dict) or len(json.dumps(found)) > parquet.PAYLOAD_BYTES:
            return False
    except ValueError:  # False: the answer asked for
        return False
    counts = all(_counts(found.get(name, {})) for name in _COUNTS)
    return counts and all(isinstance(found.get(name, {}), dict) for name in _TABLES)


def _counts(value: object) -> bool:
    return isinstance(value, dict) and all(
        len(name) <= _LONGEST_CODE and type(count) is int and count >= 0 for name, count in value.items()
    )
