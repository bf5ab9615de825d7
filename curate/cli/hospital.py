"""The hospital's commands: deidentify, receipts, unseal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.progress import progress
from curate.cli.shared import JsonOption, QuietOption, SchedulerOption, WorkersOption
from curate.core.errors import quoted

KeyOption = Annotated[Path, typer.Option("--key", help="The key file beside which it was made.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (deidentify, receipts, unseal):
        app.command(rich_help_panel="Hospital")(command)


def deidentify(
    sources: Annotated[list[Path], typer.Argument(help="Folders, files, .zip, .tar(.gz).", metavar="SOURCE")],
    dest: Annotated[Path, typer.Argument(help="The folder that may leave.", metavar="DEST")],
    key: Annotated[
        Path | None,
        typer.Option(help="The secret key; deidentify.key beside DEST by default, made if absent."),
    ] = None,
    studies: Annotated[
        Path | None, typer.Option(help="CSV, XLSX or Parquet, one row a study, with your own ids.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="Also keep old ids beside new ones in this file, encrypted.")
    ] = None,
    profile: Annotated[
        Path | None,
        typer.Option(help="A TOML file whose \\[profile] applies, such as the archive's archive.toml."),
    ] = None,
    passphrase: Annotated[
        bool,
        typer.Option("--passphrase", help="Seal a new key under a passphrase ($CURATE_PASSPHRASE or asked)."),
    ] = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = "",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Write clean copies under new ids into DEST; what cannot be made safe is refused, and left where it was.

    Example: curate deidentify export/ outgoing/ --studies studies.xlsx
    """
    report = curate.deidentify(
        sources,
        dest,
        key=key,
        studies=studies,
        mapping=mapping,
        profile=profile,
        under_passphrase=passphrase,
        workers=shared.workers_of(workers, scheduler),
        progress=progress(quiet=quiet),
    )
    if as_json:
        shared.print_json(_json(report))
    else:
        _print(dest, report)


_NUMBERS = (
    *("files", "written_instances", "refused_instances", "not_instances", "unchanged_instances"),
    *("written_studies", "refused_studies", "size_bytes"),
)


def _json(report: curate.DeidentifyReport) -> dict[str, object]:
    paths = {name: getattr(report, name) for name in ("key", "table", "receipts", "refused")}
    return {
        **{name: getattr(report, name) for name in _NUMBERS},
        "codes": report.codes,
        "kinds": report.kinds,
        "not_instances_named": [{"place": place, "kind": kind} for place, kind in report.other],
        "findings": [shared.finding_json(finding) for finding in report.findings],
        **{name: str(path) if path else None for name, path in paths.items()},
    }


def _print(dest: Path, report: curate.DeidentifyReport) -> None:
    out = shared.console()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.kinds.items())
    table = shared.columns("count", "what", right=("count",), header=False)
    table.add_row(f"{report.files:,}", "files looked at, of these")
    there = f", {report.unchanged_instances:,} there already" if report.unchanged_instances else ""
    table.add_row(f"{report.written_instances:,}", f"instances written ({report.written_studies:,} studies{there})")
    whole = f"{report.refused_studies:,} whole studies"
    table.add_row(f"{report.refused_instances:,}", f"refused and left where they were ({whole})")
    table.add_row(f"{report.not_instances:,}", f"no instances of a study{': ' + kinds if kinds else ''}")
    out.print(table)
    if report.findings:
        out.print()
        shared.print_findings(report.findings, out)
    out.print(Text(f"\nKeep {report.key} safe and backed up, with the files beside it; they never leave."))
    if report.refused:
        out.print(Text(f"Which files were refused: curate unseal {quoted(report.refused)} --key {quoted(report.key)}"))
    if report.receipts:
        out.print(Text(f"The donors' receipts: curate receipts {quoted(report.receipts)} --key {quoted(report.key)}"))
    if report.table:
        then = f"curate intake ARCHIVE {quoted(dest)} --studies {quoted(report.table)}"
        out.print(shared.hint(f"Next, at the archive: {then}"), style="bold")


def receipts(
    file: Annotated[
        Path, typer.Argument(help="deidentify.key.receipts, or receipts.sealed of an archive.", metavar="FILE")
    ],
    key: KeyOption,
    as_json: JsonOption = False,
) -> None:
    """Print the donors' receipts, for the portal or the letter that tells each donor theirs.

    Example: curate receipts deidentify.key.receipts --key deidentify.key
    """
    found = curate.receipts(file, key)
    names = ("study", "donor", "receipt", "study_id")
    if as_json:
        shared.print_json([{name: entry[name] for name in names} for entry in found])
        return
    table = shared.columns(*names)
    for entry in found:
        table.add_row(*(Text(entry[name]) for name in names))
    shared.console().print(table)


def unseal(
    file: Annotated[Path, typer.Argument(help="A mapping, or the list of refused files.", metavar="FILE")],
    key: KeyOption,
) -> None:
    """Print a sealed file of curate's, one JSON object a line: its owner alone holds the key.

    Example: curate unseal deidentify.key.refused --key deidentify.key
    """
    for record in curate.unseal(file, key):
        shared.print_line(record)
