"""What a researcher asks of a release first: info, columns, cite, versions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from enum import StrEnum
from itertools import groupby
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.shared import JsonOption, KeyOption
from curate.core.errors import quoted

ReferenceArgument = Annotated[
    str,
    typer.Argument(
        help="A release's folder, an archive, a folder hub, hf://ORG/NAME, ORG/NAME or s3://BUCKET/PREFIX.",
        metavar="REF",
    ),
]
VersionOption = Annotated[str | None, typer.Option(help="Such as 1.2.0; the newest by default.")]
_ORIGINS = {
    "pinned": "{signer}, by its pinned key",
    "given": "{signer}, by the key that was given",
    "own": "{signer}, by the key of this archive",
    "first": "{signer}; its key is new here and is pinned now: compare {key} with the archive's own word",
    "unkept": "{signer} says so itself; its key is not pinned: {key}",
    "open": "{signer}; not approved yet",
    "unsigned": "not known: nobody has signed for it",
}


class Style(StrEnum):
    """How a citation is written."""

    BIBTEX = "bibtex"
    APA = "apa"
    CFF = "cff"


class TableName(StrEnum):
    """A table of the manifest that researchers read."""

    STUDIES = "studies"
    SERIES = "series"
    INSTANCES = "instances"
    REFERENCES = "references"


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (info, columns, cite, versions):
        app.command(rich_help_panel="Researcher")(command)


def info(
    reference: ReferenceArgument, version: VersionOption = None, key: KeyOption = "", as_json: JsonOption = False
) -> None:
    """Tell what a release is: counts, modalities, licences, versions, DOI, and who made it.

    Example: curate info org/name --version 1.2.0
    """
    found = curate.info(reference, version=version, key=key)
    if as_json:
        shared.print_json(asdict(found))
        return
    out = shared.console()
    out.print(Text(f"{found.title} {found.version}", style="bold"))
    if found.description:
        out.print(Text(found.description), soft_wrap=True)
    _print_facts(found, out)
    place = quoted(reference)
    out.print(shared.hint(f"Next: curate columns {place}; curate cite {place}; curate fetch {place} --to DIR"))


def _print_facts(found: curate.ReleaseInfo, out: Console) -> None:
    counts = {"donors": 0, "studies": 0, "series": 0, "instances": 0} | dict(found.counts)
    test = "; test material, not studies of patients" if found.population == "test" else ""
    recut = " (cut again since, without what was withdrawn)" if found.recut else ""
    facts = {
        "publisher": found.publisher,
        "released": f"{found.released}{recut}",
        "versions": ", ".join(found.versions),
        "holds": f"{_counted(counts, list(counts)[:4])} ({shared.size(found.size_bytes)}){test}",
        "modalities": _shares(found.modalities),
        "licences": _shares(found.licenses),
        "DOI": found.doi or "",
        "page": found.url or "",
        "made by": _ORIGINS[found.origin].format(signer=found.signer, key=found.key),
        "SHA-256": f"{found.release_sha256} (of release.json)",
        "states": " ".join(found.statements),
    }
    table = shared.columns("", "", header=False)
    for name, said in facts.items():
        if said:
            table.add_row(Text(name, style="dim"), Text(said))
    out.print(table)


def _counted(counts: Mapping[str, int], names: Iterable[str]) -> str:
    return ", ".join(f"{counts[name]:,} {name}" for name in names)


def _shares(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) + (" (studies)" if counts else "")


def columns(
    reference: ReferenceArgument,
    table: Annotated[TableName | None, typer.Option(help="One table; all by default.")] = None,
    version: VersionOption = None,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """List the columns of a release's tables: type, unit, meaning, terms, and how many rows state a value.

    Example: curate columns org/name --table series
    """
    found = curate.columns(reference, table, version=version, key=key)
    if as_json:
        shared.print_json([asdict(column) for column in found])
        return
    out = shared.console()
    for name, listed in groupby(found, lambda column: column.table):
        _print_columns(name, list(listed), out)


def _print_columns(name: str, listed: list[curate.ColumnInfo], out: Console) -> None:
    by_range = "" if listed[0].verified else "; read by range: `curate check` verifies the whole file"
    out.print(Text(f"{name}: {listed[0].rows:,} rows{by_range}", style="bold"))
    table = shared.columns("column", "type", "unit", "filled", "what it says", right=("filled",))
    for column in listed:
        terms = f" One of: {', '.join(column.terms)}." if column.terms else ""
        cells = (column.name, column.type, column.unit, _filled(column), f"{column.description}{terms}")
        table.add_row(*map(Text, cells))
    out.print(table)


def _filled(column: curate.ColumnInfo) -> str:
    if column.filled is None or not column.rows:
        return ""
    return f"{100 * column.filled // column.rows} %"


def cite(
    reference: ReferenceArgument,
    style: Annotated[Style, typer.Option("--format", help="How it is written.")] = Style.BIBTEX,
    version: VersionOption = None,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Print how a release is cited, by its version: BibTeX, APA, or CITATION.cff.

    Example: curate cite org/name --version 1.2.0 --format apa
    """
    found = curate.cite(reference, version=version, key=key)
    if as_json:
        shared.print_json(asdict(found))
        return
    written = {Style.BIBTEX: found.bibtex, Style.APA: found.apa, Style.CFF: found.cff}[style]
    typer.echo(shared.visible(written.rstrip("\n")))


def versions(reference: ReferenceArgument, key: KeyOption = "", as_json: JsonOption = False) -> None:
    """List the versions of a release, newest first, and how many studies each added, changed and removed.

    Example: curate versions org/name
    """
    found = curate.versions(reference, key=key)
    if as_json:
        shared.print_json([asdict(one) for one in found])
        return
    out = shared.console()
    names = ("version", "released", "studies", "added", "changed", "removed", "")
    table = shared.columns(*names, right=names[2:6])
    for one in found:
        table.add_row(*map(Text, _cells(one)))
    out.print(table)
    for one in found:
        for notice in one.notices:
            out.print(Text(f"{one.version}: {notice}"), soft_wrap=True)


def _cells(one: curate.VersionInfo) -> tuple[str, ...]:
    changed = "a few" if one.changed is None and one.released else f"{one.changed or 0:,}"
    counts = (f"{one.added:,}", changed, f"{one.removed:,}") if one.released else ("", "", "")
    studies = "" if one.studies is None else f"{one.studies:,}"
    return (one.version, one.released or "", studies, *counts, "" if one.available else "not to be had here")
