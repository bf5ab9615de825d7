"""The command for the public's sake: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.shared import ArchiveArgument, JsonOption


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Maintainer")(report)


def report(
    archive: ArchiveArgument,
    out: Annotated[Path, typer.Option(help="The folder to write the site into.", metavar="DIR")],
    offers: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="The portal's table: how many were asked, by outcome."
        ),
    ] = None,
    publications: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="A table of doi, title, version of what cites a release."
        ),
    ] = None,
    population: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A reference population: age_low, sex, population."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the public site: donation rate, releases, representation, and the donors' pages in three languages.

    Example: curate report archive --out site --offers offers.csv
    """
    made = curate.report(archive, out, offers=offers, publications=publications, population=population)
    if as_json:
        found = [shared.finding_json(finding) for finding in made.findings]
        shared.print_json(
            {
                "out": str(made.out),
                "pages": made.pages,
                "offers": made.offers,
                "releases": made.releases,
                "findings": found,
            }
        )
        return
    console = shared.console()
    console.print(Text(f"{made.pages} pages in {made.out}: open {made.out / 'index.html'}"))
    shared.print_findings(made.findings, console)
