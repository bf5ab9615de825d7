"""The commands that write sites: review, for who signs a release; report, for the public and the donors."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.progress import progress
from curate.cli.shared import ArchiveArgument, JsonOption, QuietOption, WorkersOption


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(rich_help_panel="Reviewer")(review)
    app.command(rich_help_panel="Maintainer")(report)


def review(
    release: Annotated[
        Path, typer.Argument(exists=True, file_okay=False, help="A release's folder.", metavar="RELEASE")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write the site into.", metavar="DIR")],
    against: Annotated[
        Path | None,
        typer.Option(exists=True, file_okay=False, help="Another release's folder, to say what changed."),
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="How many series to draw with all frames; 0 draws all.")] = 60,
    sheet: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The sheet of `curate sheet`.", metavar="FILE"),
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The decisions of `curate sheet`.", metavar="FILE"),
    ] = None,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write the site to look through before signing: checks, studies, frames, headers, risk, changes, the sheet.

    Example: curate review archive/releases/1.1.0 --against archive/releases/1.0.0 --out review
    """
    made = curate.review(
        release,
        out,
        against=against,
        sample=sample,
        sheet=sheet,
        decisions=decisions,
        workers=workers,
        progress=progress(quiet=quiet),
    )
    if as_json:
        found = [shared.finding_json(finding) for finding in made.findings]
        shared.print_json({**asdict(made), "out": str(made.out), "findings": found})
    else:
        verdict = "passes its checks" if made.passed else "does not pass its checks"
        shown = f"{made.drawn:,} of {made.series:,} series drawn, {made.frames:,} frames"
        shared.console().print(Text(f"The release {verdict}; {shown}. Open {made.out / 'index.html'}"))
        if made.findings:
            shared.print_findings(list(made.findings), shared.console())
    if not made.passed:
        raise typer.Exit(1)


def report(
    archive: ArchiveArgument,
    out: Annotated[Path, typer.Option(help="The folder to write the site into.", metavar="DIR")],
    offers: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="The portal's table: how many were asked, by outcome."),
    ] = None,
    publications: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A table of doi, title, version of what cites a release."),
    ] = None,
    population: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A reference population: age_low, sex, population."),
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no hub how much the releases are used.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the public site: donation rate, releases, representation, and the donors' pages in three languages.

    Example: curate report archive --out site --offers offers.csv
    """
    made = curate.report(archive, out, offers=offers, publications=publications, population=population, offline=offline)
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
