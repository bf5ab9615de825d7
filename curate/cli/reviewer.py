"""The reviewer's command: check; and how results of checks are shown."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.progress import progress
from curate.cli.shared import JsonOption, KeyOption, QuietOption, SchedulerOption, WorkersOption
from curate.core.findings import has_errors
from curate.verify.checks.origin import sentence


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(rich_help_panel="Reviewer")(check)


def check(
    release: Annotated[str, typer.Argument(help="A release's folder, or a hub's reference.", metavar="RELEASE")],
    version: Annotated[str | None, typer.Option(help="The version, where a hub holds several.")] = None,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Look for text in every frame and for faces in the volumes, too.")
    ] = False,
    key: KeyOption = "",
    workers: WorkersOption = None,
    scheduler: SchedulerOption = "",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Prove from a release's own bytes that it is whole, consistent and obeys the profile; tell who made it.

    Example: curate check archive/releases/1.0.0
    """
    by = shared.workers_of(workers, scheduler)
    results = curate.check(release, version, workers=by, pixels=pixels, key=key, progress=progress(quiet=quiet))
    failed = any(has_errors(result.findings) for result in results)
    if as_json:
        shared.print_json(results_json(release, results, failed))
    else:
        print_results(results, "The release passes.", "The release does not pass.", failed, sentence(results))
    if failed:
        raise typer.Exit(1)


def results_json(release: str, results: list[curate.CheckResult], failed: bool) -> dict[str, object]:
    """Results of checks as one object."""
    found = [finding for result in results for finding in result.findings]
    checks = [
        {
            "name": result.name,
            "title": result.title,
            "looked_at": result.looked_at,
            "passed": not has_errors(result.findings),
            "findings": [shared.finding_json(finding) for finding in result.findings],
        }
        for result in results
    ]
    return {"release": release, "passed": not failed, "checks": checks, "codes": shared.codes(found)}


def _mark(result: curate.CheckResult) -> Text:
    """How a check ended: one that could look at nothing, and says why, has proved nothing."""
    if has_errors(result.findings):
        return Text("fail", style="bold red")
    if result.findings and not result.looked_at:
        return Text("open", style="yellow")
    return Text("pass", style="green")


def print_results(results: list[curate.CheckResult], passed: str, bad: str, failed: bool, last: str = "") -> None:
    """Results of checks as a table, then the findings, then one of two sentences, and a last one."""
    out = shared.console()
    table = shared.columns("", "check", "looked at", right=("looked at",))
    for result in results:
        table.add_row(_mark(result), result.title, f"{result.looked_at:,}")
    out.print(table)
    findings = [f for result in results for f in result.findings]
    if findings:
        out.print()
        shared.print_findings(findings, out)
    out.print()
    out.print(Text(bad, "bold red") if failed else Text(passed, "bold green"))
    if last:
        out.print(Text(last), soft_wrap=True)
