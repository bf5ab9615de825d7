"""The reviewer's commands: check, approve."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.progress import progress
from curate.cli.shared import ArchiveArgument, JsonOption, QuietOption, SchedulerOption, WorkersOption
from curate.findings import has_errors


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (check, approve):
        app.command(rich_help_panel="Reviewer")(command)


def check(
    release: Annotated[
        str, typer.Argument(help="A release's folder, or a hub's reference.", metavar="RELEASE")
    ],
    version: Annotated[str | None, typer.Option(help="The version, where a hub holds several.")] = None,
    pixels: Annotated[bool, typer.Option("--pixels", help="Look for text in every frame, too.")] = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = "",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Prove from a release's own bytes that it is whole, consistent and obeys the profile.

    Example: curate check archive/releases/1.0.0
    """
    by = shared.workers_of(workers, scheduler)
    results = curate.check(release, version, workers=by, pixels=pixels, progress=progress(quiet=quiet))
    failed = any(has_errors(result.findings) for result in results)
    if as_json:
        shared.print_json(_check_json(release, results, failed))
    else:
        _print_results(results, failed)
    if failed:
        raise typer.Exit(1)


def _check_json(release: str, results: list[curate.CheckResult], failed: bool) -> dict[str, object]:
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


def _print_results(results: list[curate.CheckResult], failed: bool) -> None:
    out = shared.console()
    table = shared.columns("", "check", "looked at", right=("looked at",))
    for result in results:
        bad = has_errors(result.findings)
        mark = Text("fail", style="bold red") if bad else Text("pass", style="green")
        table.add_row(mark, result.title, f"{result.looked_at:,}")
    out.print(table)
    findings = [f for result in results for f in result.findings]
    if findings:
        out.print()
        shared.print_findings(findings, out)
    out.print()
    out.print(
        Text("The release does not pass.", "bold red")
        if failed
        else Text("The release passes.", "bold green")
    )


def approve(
    archive: ArchiveArgument,
    version: Annotated[str, typer.Argument(help="Such as 1.2.0.", metavar="VERSION")],
    reviewer: Annotated[str, typer.Option("--as", help="Your name, as the ledger shall bear it.")],
    as_json: JsonOption = False,
) -> None:
    """Approve a release's exact bytes: publishing asks for it.

    Example: curate approve archive 1.0.0 --as "Anna Puig"
    """
    approval = curate.approve(archive, version, reviewer)
    if as_json:
        shared.print_json(asdict(approval))
        return
    out = shared.console()
    out.print(Text(f"{approval.reviewer} approves {approval.version}, digest {approval.digest}."))
    out.print(Text(f"Next: curate publish {archive} {approval.version}"), style="bold")
