"""The texts of a release, written again from `release.json` and the tables, and compared line by line.

What stands in neither (a description, a contact, the history of earlier versions, which counts are hidden) is taken
from its own place in the texts: so a sentence that was changed, added or left out anywhere else is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from curate.attestation import trust
from curate.attestation.checkpoint_verification import VerifiedCheckpoint, verified_checkpoint
from curate.core.actor import TOOL
from curate.core.errors import CurateError, InputError
from curate.core.findings import Finding
from curate.core.records import ArchiveInfo, FileEntry, ReleaseSummary, VersionChange
from curate.describe import facts_from_texts
from curate.describe.facts_from_texts import Unsealed
from curate.describe.texts import texts_of
from curate.transparency import signed_note, signing_keys
from curate.verify.checks.seal import Seal
from curate.verify.checks.tables import connect

_COUNTED = ("region_group", "sex")  # columns of `studies` that a card may count
_TEXTS, _LISTS = ("repository", "gated", "doi"), ("data_use", "notices")


def check_prose(
    seal: Seal,
    texts: Mapping[str, str],
    rows: Mapping[str, int],
    donors: int,
    license_counts: Mapping[str, int],
) -> list[Finding]:
    """A warning for each text that this version would write otherwise, at its first line that differs.

    `texts` maps a text's name to what it holds (one that cannot be read holds nothing, and is told elsewhere);
    `rows` are those of each table.
    """
    tool = seal.content["tool"]
    rule = "TEXT_NOT_AS_WRITTEN" if tool == TOOL else "TEXT_OTHER_TOOL"
    try:
        written = texts_of(_summary(seal, texts, rows, donors, license_counts))
    except (CurateError, ValueError, TypeError, LookupError):  # release.json states what no release can
        written = dict.fromkeys(texts, "")
    return [
        Finding(rule, f"{name} line {_line(text, written[name])}", tool)
        for name, text in texts.items()
        if text and text != written[name]
    ]


def _line(text: str, written: str) -> int:
    """The number of the first line that differs, from 1."""
    pairs = zip(text.split("\n"), written.split("\n"), strict=False)
    same = [one == other for one, other in pairs]
    return (same.index(False) if False in same else len(same)) + 1


def _summary(
    seal: Seal,
    texts: Mapping[str, str],
    rows: Mapping[str, int],
    donors: int,
    license_counts: Mapping[str, int],
) -> ReleaseSummary:
    content = seal.content
    card, document, history = (texts[name] for name in ("README.md", "croissant.json", "CHANGELOG.md"))
    said = facts_from_texts.read_unsealed(card, document, history, content["population"])
    outside, previous = _outside(content.get("outside", {})), content.get("previous")
    change = next((one for one in said.history if one.version == seal.version), None)
    size, modalities, tables = _counted(seal, said)
    info = ArchiveInfo(
        title=content["title"],
        publisher=content["publisher"],
        license=said.license,
        population=content["population"],
        description=said.description,
        contact=said.contact,
        homepage="" if outside.get("doi") or outside.get("repository") else said.address,
    )
    return ReleaseSummary(
        archive=info,
        version=seal.version,
        released=date.fromisoformat(content["date"]),
        previous_version=str(previous["version"]) if previous else None,
        table_rows=rows,
        donor_count=donors,
        size_bytes=size,
        license_counts=license_counts,
        modality_counts=modalities,
        tables=tables,
        files=tuple(FileEntry(path, e["size_bytes"], e["sha256"]) for path, e in sorted(seal.files.items())),
        added=change.added if change else 0,
        removed=change.removed if change else 0,
        changed=change.changed if change else 0,
        history=tuple(one for one in said.history if one.version != seal.version),
        changes=_changes(change, seal, rows),
        statements=tuple(content["statements"]),
        key=_key(seal, said.key),
        **outside,
    )


def _changes(change: VersionChange | None, seal: Seal, rows: Mapping[str, int]) -> Any:
    """What the version changed; the rows that it has now are counted, unless it was cut again since."""
    if change is None or change.changes is None or "recut" in seal.content:
        return change.changes if change else None
    return replace(change.changes, rows=rows)


def _outside(stated: Any) -> dict[str, Any]:
    """The fields of `ReleaseSummary` that `release.json` states under `outside`.

    Raises:
        TypeError: it states them in another form.
    """
    kinds: dict[str, type] = dict.fromkeys(_TEXTS, str) | dict.fromkeys(_LISTS, list)
    kinds |= {"private": bool, "responsible": dict}
    if not isinstance(stated, dict) or stated.keys() - kinds.keys():
        raise TypeError
    for name, value in stated.items():
        parts = [*value, *(value.values() if isinstance(value, dict) else ())] if kinds[name] in (list, dict) else []
        if not isinstance(value, kinds[name]) or not all(isinstance(part, str) for part in parts):
            raise TypeError
    return {name: tuple(value) if name in _LISTS else value for name, value in stated.items()}


def _counted(seal: Seal, said: Unsealed) -> tuple[int, dict[str, int], dict[str, dict[str, int | None]]]:
    """The size of all studies in bytes, studies of each modality, and the card's tables of counts."""
    tables: dict[str, dict[str, int | None]] = {}
    with connect(seal) as db:
        size = db.execute("SELECT coalesce(sum(size_bytes), 0)::BIGINT FROM studies").fetchall()[0][0]
        query = "SELECT m, count(*) FROM (SELECT unnest(modalities) m FROM studies) GROUP BY m"
        modalities = {str(name): int(count) for name, count in db.execute(query).fetchall()}
        for column in _COUNTED:
            if column in said.tables:
                query = f"SELECT coalesce({column}, 'unknown') v, count(*) FROM studies GROUP BY v ORDER BY v"
                found = db.execute(query).fetchall()
                tables[column] = {v: None if v in said.tables[column] else int(count) for v, count in found}
    return int(size), modalities, tables


def _key(seal: Seal, named: str) -> str:
    """The key that the card should name: the one that signed, or one of those before it.

    Where nothing has signed, it is whatever key the card names; of another version of the tool it may name none.
    """
    try:
        key = str(signed_note.public_key(named)) if named else ""
    except InputError:  # no key: then the card should name none
        return ""
    found = verified_checkpoint(seal.version, [seal.digest], trust.reader(seal.folder))
    if not isinstance(found, VerifiedCheckpoint) or not (key or seal.content["tool"] == TOOL):
        return key
    before = [str(pair[0]) for note in found.rotations if (pair := signing_keys.succession(note))]
    return key if key in (str(found.key), *before) else str(found.key)
