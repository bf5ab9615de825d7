"""The commands that hold things against each other: verify-copy, diff, doctor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.progress import progress
from curate.cli.shared import ArchiveArgument, JsonOption, KeyOption, QuietOption
from curate.core.errors import InputError
from curate.core.findings import has_errors


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command(rich_help_panel="Researcher")(verify_copy)
    app.command(rich_help_panel="Reviewer")(diff)
    app.command(rich_help_panel="Maintainer")(doctor)


def verify_copy(
    folder: Annotated[Path, typer.Argument(help="The folder with your files.", metavar="DIR")],
    release: Annotated[str, typer.Option(help="A release's folder, a folder hub, hf://ORG/NAME.", metavar="REF")],
    version: Annotated[str | None, typer.Option(help="Such as 1.2.0; the newest by default.")] = None,
    purge: Annotated[bool, typer.Option("--purge", help="Delete the revoked files, after asking.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    key: KeyOption = "",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tell which of your files a release holds, and which are revoked, altered or unknown.

    Example: curate verify-copy chest/ --release org/name --purge
    """
    report = curate.verify_copy(folder, release, version, progress(quiet=quiet), key)
    if not as_json:
        _print_copy(report)
    deleted = 0
    if purge and report.revoked:
        question = f"Delete {len(report.revoked):,} revoked files for good?"
        if yes or _sure(question):
            deleted = curate.delete_revoked(folder, report)
        if deleted and not as_json:
            shared.console().print(Text(f"Deleted {deleted:,} files."))
    if as_json:
        shared.print_json({**asdict(report), "deleted": deleted})
    if report.altered or report.unknown or report.unread or len(report.revoked) > deleted:
        raise typer.Exit(1)


def _sure(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        raise InputError("Nobody answered; nothing was deleted.", hint="To delete unasked, add --yes.") from None


def _print_copy(report: curate.CopyReport) -> None:
    out = shared.console()
    counts = {name: f"{count:,} instances" if count != 1 else "1 instance" for name, count in report.instances.items()}
    held = f"{counts['current']} of version {report.version} are here, byte for byte"
    out.print(Text(f"{held}; {report.current:,} files hold nothing else."))
    told = {
        "revoked": ("withdrawn; delete them", report.revoked, "bold red"),
        "altered": ("an instance's id with other bytes; fetch them again", report.altered, "bold red"),
        "unknown": ("in no row of this version", report.unknown, "yellow"),
        "unread": ("not known; they may hold images, so look yourself", report.unread, "yellow"),
    }
    for name, (what, paths, style) in told.items():
        if paths:
            files = f"{len(paths):,} {name} files" if len(paths) != 1 else f"1 {name} file"
            held = f" ({counts[name]})" if name in counts else ""
            out.print(Text(f"{files}{held}: {what}.", style=style))
            for path in paths:
                out.print(Text(f"  {path}"), soft_wrap=True)
    if report.other:
        out.print(Text(f"{report.other:,} other files, without images."), style="dim")


def diff(
    before: Annotated[
        str, typer.Argument(help="A release (folder, hub, REF@1.2.0) or a Parquet file.", metavar="BEFORE")
    ],
    after: Annotated[str, typer.Argument(help="The other one.", metavar="AFTER")],
    key: Annotated[str, typer.Option(help="Of files: the columns that identify a row, by commas.")] = "",
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Tell what changed: rows added, removed, changed by column; licences.

    Example: curate diff archive/releases/1.0.0 archive/releases/1.1.0
    """
    if as_json and markdown:
        raise InputError("Both --json and --markdown.", hint="Give one of them.")
    found = curate.diff(before, after, [name.strip() for name in key.split(",") if name.strip()])
    if as_json:
        shared.print_json({**asdict(found), "same": found.same})
    elif markdown:
        typer.echo(shared.visible(_markdown(found)))
    else:
        _print_diff(found)


_HEADINGS = ("table", "before", "after", "added", "removed", "changed", "columns that changed")


def _cells(table: curate.TableDiff) -> tuple[str, ...]:
    numbers = (table.rows_before, table.rows_after, table.added, table.removed, table.changed)
    columns = [f"{name} ({count:,})" for name, count in table.columns.items()]
    columns += [f"+{name}" for name in table.columns_added] + [f"-{name}" for name in table.columns_removed]
    return (table.name, *(f"{number:,}" for number in numbers), ", ".join(columns))


def _markdown(found: curate.Diff) -> str:
    lines = [f"| {' | '.join(_HEADINGS)} |", "|" + " --- |" * len(_HEADINGS)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in _cells(t))} |" for t in found.tables]
    lines += [f"\n{name}: {old:,} -> {new:,} studies." for name, (old, new) in found.licenses.items()]
    return "\n".join(lines)


def _print_diff(found: curate.Diff) -> None:
    out = shared.console()
    if found.same:
        out.print(Text("Nothing differs."))
        return
    table = shared.columns(*_HEADINGS, right=_HEADINGS[1:6])
    for one in found.tables:
        table.add_row(*map(Text, _cells(one)))
    out.print(table)
    for name, (old, new) in found.licenses.items():
        out.print(Text(f"{name}: {old:,} -> {new:,} studies."))


def doctor(
    archive: ArchiveArgument,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Look only; mend nothing.")] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Verify ledger, packs, quarantine and releases against each other; mend what remains elsewhere.

    Example: curate doctor archive
    """
    health = curate.doctor(archive, dry_run=dry_run, progress=progress(quiet=quiet))
    if as_json:
        told = {"damaged": health.damaged, "repaired": health.repaired}
        lists = {name: [shared.finding_json(f) for f in found] for name, found in told.items()}
        shared.print_json({"looked_at": dict(health.looked_at), **lists, "dry_run": dry_run})
    else:
        _print_health(health, dry_run)
    if has_errors(health.damaged):
        raise typer.Exit(1)


def _print_health(health: curate.Health, dry_run: bool) -> None:
    out = shared.console()
    looked = ", ".join(f"{count:,} {what}" for what, count in health.looked_at.items())
    out.print(Text(f"Looked at {looked or 'the ledger'}."))
    if health.repaired:
        out.print(Text("Can be mended:" if dry_run else "Mended:"), style="bold")
        for finding in health.repaired:
            out.print(Text(f"  {finding.rule}  {finding.place}"), soft_wrap=True)
    damaged = [finding for finding in health.damaged if has_errors([finding])]
    noted = [finding for finding in health.damaged if finding not in damaged]
    if damaged:
        out.print(Text("Damaged:"), style="bold red")
        shared.print_findings(damaged, out)
    elif not health.repaired:
        out.print(Text("The archive is sound."), style="green")
    if noted:
        out.print(Text("To note:"), style="bold")
        shared.print_findings(noted, out)
