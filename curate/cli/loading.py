"""The researcher's command: fetch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.progress import progress
from curate.cli.shared import JsonOption, KeyOption, QuietOption


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (fetch,):
        app.command(rich_help_panel="Researcher")(command)


def fetch(
    reference: Annotated[
        str,
        typer.Argument(help="A release's folder, a folder hub, hf://ORG/NAME or ORG/NAME.", metavar="REF"),
    ],
    to: Annotated[Path, typer.Option("--to", help="An empty folder, or one that an earlier fetch began.")],
    version: Annotated[str | None, typer.Option(help="Such as 1.2.0; the newest by default.")] = None,
    where: Annotated[
        str | None, typer.Option(help="SQL condition over studies, series and instances; all without it.")
    ] = None,
    flat: Annotated[bool, typer.Option("--flat", help="No study and series folders.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be fetched.")] = False,
    key: KeyOption = "",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch the DICOM files that a condition chooses, verified, with their citation and licences.

    Example: curate fetch org/name --version 1.2.0 --where "region_group = 'chest' AND Modality = 'CT'" --to chest
    """
    result = curate.fetch(
        reference,
        to,
        where=where,
        version=version,
        flat=flat,
        dry_run=dry_run,
        key=key,
        progress=progress(quiet=quiet),
    )
    if as_json:
        shared.print_json(asdict(result))
        return
    _print(result, dry_run)


def _print(result: curate.Fetched, dry_run: bool) -> None:
    out = shared.console()
    have = "Would have" if dry_run else "Have"
    out.print(
        Text(
            f"{have} {result.instances:,} instances of {result.series:,} series and {result.studies:,} studies"
            f" ({result.size_bytes / 1e6:,.1f} MB) of {result.reference} {result.version} in {result.folder}."
        )
    )
    out.print(
        Text(
            f"{'To fetch' if dry_run else 'Fetched'}: {result.fetched:,} ({result.fetched_bytes / 1e6:,.1f} MB,"
            f" {result.requests:,} range requests); there already: {result.kept:,}."
        )
    )
    if result.revoked:
        out.print(Text(f"{result.revoked:,} of those chosen have been withdrawn, and were left out."))
    if result.deleted:
        out.print(Text(f"{result.deleted:,} files of before have been withdrawn since, and were deleted."))
    terms = ", ".join(f"{name} ({count:,})" for name, count in result.licenses.items())
    if not dry_run:
        out.print(Text(f"Licences: {terms}; texts in LICENSES/, what to cite in CITATION.cff."), style="bold")
