"""The records that the rooms pass to each other: frozen, slotted, without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a release as `release.json` lists it: path from the root, bytes, SHA-256 in hex."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PackEntry:
    """Where one instance lies: the pack's path from the root, offset and size in bytes."""

    pack: str
    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ArchiveInfo:
    """What an archive says of itself in `[archive]` of `archive.toml`.

    `population` is `persons` or `test` (phantoms, samples): the card repeats it.
    """

    title: str
    publisher: str
    license: str
    population: str = "persons"
    description: str = ""
    contact: str = ""
    homepage: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """How the tables of a version differ from those of the version before, as `diff` finds it.

    `rows` are the rows of each table now; `changed` counts the studies of which something is stated otherwise,
    `columns` in which columns; a count of persons that is not to be shown is None. `licenses` maps an SPDX id to
    its studies before and after; `new_columns` and `gone_columns` are `table.column`.
    """

    rows: Mapping[str, int]
    series_added: int
    changed: int | None
    columns: Mapping[str, int | None]
    licenses: Mapping[str, tuple[int, int]]
    new_columns: tuple[str, ...] = ()
    gone_columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Changes:
        """From JSON, which has no tuples."""
        licenses = {name: (counts[0], counts[1]) for name, counts in said["licenses"].items()}
        columns = {name: tuple(said[name]) for name in ("new_columns", "gone_columns")}
        return cls(**{**said, "licenses": licenses, **columns})


@dataclass(frozen=True, slots=True)
class VersionChange:
    """What one version of a release changed against the one before, as CHANGELOG.md lists it.

    `added`, `removed`, `changed` count studies; `notes` are sentences of the archive, such as a recall's;
    `changes` is what the tables say, where there is a version before.
    """

    version: str
    released: date
    added: int = 0
    removed: int = 0
    changed: int = 0
    notes: tuple[str, ...] = ()
    changes: Changes | None = None


@dataclass(frozen=True, slots=True)
class ReleaseSummary:
    """All that the card, Croissant, the citation and the changelog state about a release.

    Counts are of the manifest's tables; `table_rows` also has `images` and `previews`. `files` holds every
    data file (manifest, packs, previews, licences), sorted by path. `license_counts` maps an SPDX id to its
    number of studies. `tables` holds audited counts only, such as `{"sex": {"F": 12}}`; an entry that
    had to be hidden is None. `added`, `removed`, `changed` count studies against `previous_version`;
    `history` holds the versions before this one; `notices` are public notices (a recall), `statements`
    further sentences for the card; `gated` (`auto`, `manual`) and `private` say who may read, `data_use`
    is DUO codes such as `DUO:0000042`, `responsible` what the archive states for Croissant's RAI
    properties, by their name without prefix (`dataCollection`); `key` is the archive's public key as text.
    """

    archive: ArchiveInfo
    version: str
    released: date
    previous_version: str | None
    table_rows: Mapping[str, int]
    donor_count: int
    size_bytes: int
    license_counts: Mapping[str, int]
    modality_counts: Mapping[str, int]
    tables: Mapping[str, Mapping[str, int | None]]
    files: tuple[FileEntry, ...]
    added: int = 0
    removed: int = 0
    changed: int = 0
    history: tuple[VersionChange, ...] = ()
    repository: str | None = None
    doi: str | None = None
    gated: str | None = None
    private: bool = False
    statements: tuple[str, ...] = field(default=())
    notices: tuple[str, ...] = ()
    data_use: tuple[str, ...] = ()
    changes: Changes | None = None
    responsible: Mapping[str, str] = field(default_factory=dict)
    key: str = ""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One numbered check of a release: what it proves, how many items it looked at, what it found."""

    name: str
    title: str
    looked_at: int
    findings: tuple[Any, ...] = ()
