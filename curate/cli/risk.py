"""The command risk: how many donors look alike, and how many more it takes."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import curate
from curate.cli import losses, shared
from curate.cli.shared import ArchiveArgument, JsonOption
from curate.core.errors import quoted


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Maintainer")(risk)


def risk(
    archive: ArchiveArgument,
    k: Annotated[
        int | None, typer.Option(min=2, max=1000, help="Measure against this k, not the archive's own.")
    ] = None,
    forecast: Annotated[
        bool, typer.Option("--forecast", help="Say how many studies wait for how many more donors.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Count how many donors look alike: in the archive as it is, and in the release that would be cut now.

    Of a release's folder, count it from its own bytes.

    Example: curate risk archive --forecast
    """
    if (archive / "release.json").is_file():
        _of_release(curate.release_risk(archive), as_json)
        return
    report = curate.risk(archive, k)
    if as_json:
        shared.print_json(report.as_dict())
        return
    out = shared.console()
    if report.exempt:
        out.print(Text("This is test material: it is released as it is. As if it were of persons:"))
    _print_counts(report, out)
    if forecast:
        _print_forecast(report, out)
    elif report.forecast.waiting:
        out.print(Text(f"\nHow many more donors it takes: curate risk {quoted(archive)} --forecast"), style="bold")


def _of_release(found: curate.ReleaseRisk, as_json: bool) -> None:
    if as_json:
        shared.print_json(found.as_dict())
        return
    out = shared.console()
    if found.risk is None:
        out.print(Text("Test material: its risk is not counted." if found.exempt else "It states no k."))
        return
    counts = found.risk.by_donor
    out.print(Text(f"Release {found.version}: {found.risk.donors:,} donors, against k = {found.k}."), style="bold")
    out.print(Text(f"Smallest class {counts.k:,}; {counts.donors_below:,} donors in classes below k."))
    out.print(Text(f"Least number of diagnoses in a class: {_least(counts.l_distinct)}."))
    table = shared.columns("donors alike, at least", "donors", right=("donors alike, at least", "donors"))
    for size, donors in found.sizes.items():
        table.add_row(f"{size:,}", f"{donors:,}")
    out.print(table)


def _print_counts(report: curate.RiskReport, out: Console) -> None:
    table = shared.columns(f"against k = {report.k}", "archive", "next release", right=("archive", "next release"))
    both = (report.archive, report.released)
    table.add_row("studies", *(f"{risk.studies:,}" for risk in both))
    table.add_row("donors", *(f"{risk.donors:,}" for risk in both))
    for name, title in (("by_study", "study"), ("by_donor", "donor, all studies together")):
        counted = [getattr(risk, name) for risk in both]
        table.add_row(f"smallest class, per {title}", *(f"{c.k:,}" for c in counted))
        table.add_row("  studies in classes below k", *(f"{c.studies_below:,}" for c in counted))
        table.add_row("  donors whom nobody resembles", *(f"{c.alone:,}" for c in counted))
        table.add_row("  least number of diagnoses in a class", *(_least(c.l_distinct) for c in counted))
    out.print(table)
    if not report.released.studies or report.exempt:
        return
    table = shared.columns("column", "exact to", "set to null", right=("set to null",))
    for name, level in report.levels.items():
        table.add_row(name, level, f"{report.suppressed.get(name, 0):,}")
    out.print()
    out.print(table)


def _least(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def _print_forecast(report: curate.RiskReport, out: Console) -> None:
    found = report.forecast
    out.print(Text(f"\n{found.published:,} studies can be published now, {found.waiting:,} wait."), style="bold")
    if not found.waiting:
        return
    for reason, count in report.waiting.items():
        out.print(Text(f"  {count:,}: {losses.REASONS.get(reason, reason)}"))
    if alone := report.images_alone["images"]:
        out.print(Text(f"  Of {alone:,} the images state what too few share (kind of scanner, number of series):"))
        out.print(Text("  only more donors like these help, for images are not made coarser."))
    if weight := report.images_alone["weight"]:
        out.print(Text(f"  {weight:,} of these stand out by the weight alone, which PET and NM need for SUV."))
    losses.print_steps(found.steps, out)
