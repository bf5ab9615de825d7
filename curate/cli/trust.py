"""The commands of trust: sheet, approve, reject, ledger, audit, key."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

import curate
from curate.cli import reviewer as results
from curate.cli import shared
from curate.cli.progress import progress
from curate.cli.shared import ArchiveArgument, JsonOption, QuietOption
from curate.core.errors import quoted
from curate.core.findings import has_errors

VersionArgument = Annotated[str, typer.Argument(help="Such as 1.2.0.", metavar="VERSION")]
ReviewerOption = Annotated[str, typer.Option("--as", help="Your name, as the ledger shall bear it.")]
PlaceArgument = Annotated[Path, typer.Argument(help="A key file, or an archive's folder.", metavar="PLACE")]
PassphraseOption = Annotated[
    bool, typer.Option("--passphrase", help="Seal it under a passphrase ($CURATE_KEY_PASSPHRASE or asked).")
]

keys = typer.Typer(
    help='Make, show and rotate the keys that sign.\n\nExample: curate key new --as "Anna Puig"',
    no_args_is_help=True,
)


pinned = typer.Typer(
    help="Pin, list and forget the keys of archives whose releases you read.\n\nExample: curate trust list",
    no_args_is_help=True,
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (sheet, approve, reject):
        app.command(rich_help_panel="Reviewer")(command)
    app.command(rich_help_panel="Maintainer")(ledger)
    app.command(rich_help_panel="Anybody")(audit)
    app.add_typer(keys, name="key", rich_help_panel="Reviewer")
    app.add_typer(pinned, name="trust", rich_help_panel="Anybody")


def sheet(
    archive: ArchiveArgument,
    version: VersionArgument,
    out: Annotated[Path | None, typer.Option(help="A new file for the five questions.", metavar="FILE")] = None,
    decisions: Annotated[Path | None, typer.Option(help="A new file for the decisions.", metavar="FILE")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the sheet that a reviewer fills in: five questions with the tool's evidence, and what is to be decided.

    Example: curate sheet archive 1.0.0 --out sheet.json --decisions decisions.json
    """
    asked, open_decisions = curate.sheet(archive, version, out, decisions)
    if as_json:
        shared.print_json({"sheet": asdict(asked), "decisions": asdict(open_decisions)})
        return
    console = shared.console()
    for number, question in enumerate(asked.questions, 1):
        console.print(Text(f"{number}. {question.question}"))
    opened, total = asked.sampling["opened"], asked.sampling["series"]
    if opened < total:
        bound = f"Nothing found there bounds faults below {asked.sampling['bound']} at 95%."
        console.print(Text(f"To open: {opened:,} of {total:,} series. {bound}"))
    else:
        console.print(Text(f"To open: all {total:,} series."))
    console.print(Text(f"Findings to decide: {len(open_decisions.findings):,}."))
    given = "".join(f" --{name} {quoted(path)}" for name, path in (("sheet", out), ("decisions", decisions)) if path)
    if given:
        then = f"answer it, then curate approve {quoted(archive)} {asked.version} --as NAME{given}"
    else:
        then = f"curate sheet {quoted(archive)} {asked.version} --out sheet.json --decisions decisions.json, to fill in"
    console.print(shared.hint(f"Next: {then}"), style="bold")


def approve(
    archive: ArchiveArgument,
    version: VersionArgument,
    reviewer: ReviewerOption,
    key: Annotated[Path | None, typer.Option(help="Your key; by default the one made under your name.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="The five questions, answered.", metavar="FILE")] = None,
    decisions: Annotated[Path | None, typer.Option(help="The decisions, taken.", metavar="FILE")] = None,
    as_json: JsonOption = False,
) -> None:
    """Approve a release's exact bytes, by your signature: publishing asks for it.

    Example: curate approve archive 1.0.0 --as "Anna Puig" --sheet sheet.json
    """
    approval = curate.approve(archive, version, reviewer, key, sheet=sheet, decisions=decisions)
    if as_json:
        shared.print_json(asdict(approval))
        return
    out = shared.console()
    out.print(Text(f"{approval.reviewer} approves {approval.version}, digest {approval.release}."))
    out.print(shared.hint(f"Next: curate publish {quoted(archive)} {approval.version}"), style="bold")


def reject(
    archive: ArchiveArgument,
    version: VersionArgument,
    reviewer: ReviewerOption,
    reason: Annotated[
        str,
        typer.Option(help="CONSENT, COUNTS, HEADERS, LICENSE, METADATA, PIXELS, RISK or OTHER.", metavar="CODE"),
    ],
    text: Annotated[str, typer.Option(help="What is wrong, in words; it never leaves the archive.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Reject a release's exact bytes: they are not published until you approve them.

    Example: curate reject archive 1.0.0 --as "Anna Puig" --reason PIXELS --text "text is burned into a series"
    """
    made = curate.reject(archive, version, reviewer, reason, text)
    if as_json:
        shared.print_json(asdict(made))
        return
    out, place = shared.console(), quoted(archive)
    out.print(Text(f"{made.reviewer} rejects {made.version}: {made.reason}."))
    out.print(shared.hint(f"Next: to take a study out: curate withdraw {place} STUDY_ID, curate release {place};"))
    again = f"curate approve {place} {quoted(made.version)} --as {quoted(made.reviewer)}"
    out.print(shared.hint(f"      or, if the rejection was a mistake, {again}"))


def ledger(
    archive: ArchiveArgument,
    since: Annotated[str, typer.Option(help="From this day on.", metavar="YYYY-MM-DD")] = "",
    study: Annotated[str, typer.Option(help="Of one study, by its published id.", metavar="ID")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what happened, who did it with which tool and policy, and that nobody has rewritten it since.

    Example: curate ledger archive --since 2026-01-01
    """
    with curate.ledger(archive, since=since, study=study) as history:
        if as_json:
            events = [{**asdict(line.event), "remark": line.remark} for line in history.lines]
            found = [shared.finding_json(finding) for finding in history.findings]
            shared.print_json({"events": events, "anchored": list(history.anchored), "findings": found})
        else:
            _print_history(history)
    if history.findings:
        raise typer.Exit(1)


def _print_history(history: curate.History) -> None:
    out = shared.console()
    for line in history.lines:
        event = line.event
        who = f"{event.who} [{event.key}]" if event.key else event.who
        out.print(
            Text(f"{event.at}  {event.kind:<14}  {event.subject}  {who}  {event.tool}  {_told(line)}"),
            soft_wrap=True,
        )
    if history.findings:
        shared.print_findings(history.findings, out)
    else:
        signed = f"; signed for in {', '.join(history.anchored)}" if history.anchored else ""
        out.print(Text(f"Every event is as it was written{signed}."), style="bold green")


def _told(line: curate.LedgerLine) -> str:
    """What an event's payload says, lists as counts and digests shortened."""
    said = []
    for name, value in line.event.payload.items():
        if name == "remark":
            continue
        text = str(len(value)) if isinstance(value, list | dict) else str(value)
        said.append(f"{name}={text[:16] if name in _DIGESTS else text}")
    return " ".join(said) + (f" “{line.remark}”" if line.remark else "")


_DIGESTS = ("content", "config", "digest", "donor", "sheet", "decisions", "commit")


def audit(
    releases: Annotated[
        list[str],
        typer.Argument(help="Releases' folders, a hub's folder, hf://ORG/NAME.", metavar="RELEASE"),
    ],
    key: Annotated[str, typer.Option(help="The archive's public key, or a file with it.", metavar="PUBLIC")] = "",
    version: Annotated[str | None, typer.Option(help="One version of a hub; all of them by default.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Read every pack, not a sample of them.")] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Prove, without the archive, that every study has a logged consent, none is withdrawn, and nothing was rewritten.

    Example: curate audit hf://my-org/my-archive --key "hospital-x/chest-ct+1a2b3c4d+AbC..."
    """
    found = curate.audit(releases, key, version=version, full=full, progress=progress(quiet=quiet))
    failed = any(has_errors(result.findings) for result in found)
    if as_json:
        shared.print_json(results.results_json(", ".join(releases), found, failed))
    else:
        results.print_results(found, "The audit finds nothing wrong.", "The audit finds faults.", failed)
    if failed:
        raise typer.Exit(1)


@keys.command("new")
def new_key(
    name: Annotated[str, typer.Option("--as", help="Your name.")],
    out: Annotated[Path | None, typer.Option(help="A new file; in your own configuration by default.")] = None,
    passphrase: PassphraseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a reviewer's key, for yourself alone to read; an archive's own is made by `curate init`.

    Example: curate key new --as "Anna Puig"
    """
    _print_key(curate.new_key(name, out, under_passphrase=passphrase), as_json)


@keys.command("show")
def show_key(place: PlaceArgument, as_json: JsonOption = False) -> None:
    """Print the public half of a key, to give to others; the private one is never shown.

    Example: curate key show archive
    """
    _print_key(curate.show_key(place), as_json)


@keys.command("rotate")
def rotate_key(place: PlaceArgument, as_json: JsonOption = False) -> None:
    """Put a new key in the place of an archive's or your own; both sign that it takes over.

    Example: curate key rotate archive
    """
    _print_key(curate.rotate_key(place), as_json)


def _print_key(key: curate.Key, as_json: bool) -> None:
    if as_json:
        shared.print_json({"path": str(key.path), "public": key.public, "before": list(key.before)})
        return
    typer.echo(key.public)
    shared.console(err=True).print(Text(f"Its file, which only you may read: {key.path}"))


@pinned.command("add")
def add_trust(
    key: Annotated[str, typer.Argument(help="The public key, or a file with it.", metavar="PUBLIC")],
    as_json: JsonOption = False,
) -> None:
    """Pin an archive's key that it told you itself, before its first release is read.

    Example: curate trust add "hospital-x/chest-ct+1a2b3c4d+AbC..."
    """
    _print_pins([curate.add_trust(key)], as_json)


@pinned.command("list")
def list_trust(as_json: JsonOption = False) -> None:
    """List the archives whose keys are pinned, since when, and what was seen of each.

    Example: curate trust list
    """
    _print_pins(curate.list_trust(), as_json)


@pinned.command("remove")
def remove_trust(
    name: Annotated[str, typer.Argument(help="The archive, as the list names it.", metavar="NAME")],
    as_json: JsonOption = False,
) -> None:
    """Forget an archive's key, such as when the archive has told you a new one.

    Example: curate trust remove hospital-x/chest-ct
    """
    gone = curate.remove_trust(name)
    if as_json:
        shared.print_json(gone.as_dict())
        return
    shared.console().print(Text(f"Forgot the key of {gone.name}: {gone.key}"), soft_wrap=True)


def _print_pins(pins: list[curate.Pin], as_json: bool) -> None:
    if as_json:
        shared.print_json([pin.as_dict() for pin in pins])
        return
    out = shared.console()
    for pin in pins:
        seen = f", seen up to {pin.version}, {pin.size:,} entries of its log" if pin.version else ""
        out.print(Text(f"{pin.name}: pinned since {pin.since} ({pin.how}){seen}", style="bold"), soft_wrap=True)
        out.print(Text(f"  {pin.key}"), soft_wrap=True)
    if not pins:
        out.print(Text("No key is pinned: that of the first release that you read of an archive will be."))
