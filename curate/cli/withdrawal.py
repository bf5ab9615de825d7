"""The commands that take back: withdraw, purge, status, recall, adopt."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.progress import progress
from curate.cli.shared import ArchiveArgument, JsonOption, QuietOption
from curate.core.errors import quoted


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (withdraw, purge, status, recall, adopt):
        app.command(rich_help_panel="Maintainer")(command)


def withdraw(
    archive: ArchiveArgument,
    subject: Annotated[
        str,
        typer.Argument(
            help="A study's id (published or original), a donor's, or a receipt.",
            metavar="STUDY|DONOR|RECEIPT",
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Take a study out for good, at once; no reason is asked. The next release is without it.

    Example: curate withdraw archive 4T9K-0B2M-...
    """
    done = curate.withdraw(archive, subject)
    if as_json:
        shared.print_json(asdict(done))
        return
    out = shared.console()
    if done.already:
        out.print(Text("It was withdrawn before; nothing of it is left in the archive."))
    else:
        studies = "1 study" if done.studies == 1 else f"{done.studies:,} studies"
        out.print(Text(f"Withdrew {studies}; the archive's packs and releases no longer hold anything of it."))
    if done.versions:
        out.print(Text(f"Cut again without it: {', '.join(done.versions)}."))
    if done.damaged:
        told = f"Too damaged here to be cut again: {', '.join(done.damaged)}. The purge takes them from the hub."
        out.print(Text(told, style="bold red"))
    if done.versions or done.damaged:
        out.print(shared.hint(f"Next, to take it off the hub: curate purge {quoted(archive)}", "bold"))
    if done.dropped:
        out.print(Text(f"Dropped the unpublished {', '.join(done.dropped)}: curate release {quoted(archive)}"))


_HubArgument = Annotated[str, typer.Argument(help="All hubs of the archive by default.", metavar="HUB")]


def purge(
    archive: ArchiveArgument,
    hub: _HubArgument = "",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take what was withdrawn off the hubs, at once: no new version, approval or check is waited for.

    Example: curate purge archive
    """
    done = curate.purge(archive, hub, progress=progress(quiet=quiet))
    if as_json:
        shared.print_json([asdict(one) for one in done])
        return
    out = shared.console()
    for one in done:
        if not one.purged and not one.dropped:
            out.print(Text(f"{one.url} holds nothing that was withdrawn."))
        if one.purged:
            erased = f"{one.erased_files:,} files ({shared.size(one.erased_bytes)})"
            out.print(Text(f"{one.url} serves {', '.join(one.purged)} without what was withdrawn; erased {erased}."))
        if one.dropped:
            out.print(Text(f"Taken off {one.url}: {', '.join(one.dropped)}."))
        for left in one.remaining:
            out.print(Text(f"Still there: {left}"), style="bold red")
    if not done:
        out.print(Text("Nothing is published yet."))


def adopt(
    archive: ArchiveArgument,
    hub: _HubArgument = "",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take over what the hubs know and an archive that was restored from a backup has forgotten: withdrawals, versions.

    Example: curate adopt archive
    """
    done = curate.adopt(archive, hub, progress=progress(quiet=quiet))
    if as_json:
        shared.print_json([asdict(one) for one in done])
        return
    out = shared.console()
    for one in done:
        if one.already:
            out.print(Text(f"{one.url} knows nothing that the archive does not."))
            continue
        came = f"versions {', '.join(one.versions)}" if one.versions else "no version"
        out.print(Text(f"Took over from {one.url}: {came}, {one.leaves:,} leaves of the log."))
        out.print(Text(f"Withdrawn here, as it was there: {one.studies:,} studies."))
    if any(not one.already for one in done):
        out.print(Text("Donations that came after the backup are not on a hub: take them in again."))
        out.print(Text(f"Next: curate doctor {quoted(archive)}"), style="bold")


_TOLD = {
    "waiting": "It was received, and waits for the next release.",
    "refused": "It was not taken in, or not yet.",
    "withdrawn": "It was withdrawn; nothing of it is left in the archive.",
}


def status(
    archive: ArchiveArgument,
    receipt: Annotated[str, typer.Argument(help="The code that the donor holds.", metavar="RECEIPT")],
    as_json: JsonOption = False,
) -> None:
    """Tell what became of the donation that a receipt stands for.

    Example: curate status archive 4T9K-0B2M-...
    """
    found = curate.status(archive, receipt)
    if as_json:
        reasons = [{"rule": code, "title": title} for code, title in found.reasons]
        shared.print_json({"state": found.state, "versions": list(found.versions), "reasons": reasons})
        return
    out = shared.console()
    out.print(Text(_TOLD.get(found.state) or f"It is published, in {', '.join(found.versions)}."))
    for _, title in found.reasons:
        out.print(Text(f"- {title.rstrip('.')}."))


def recall(
    archive: ArchiveArgument,
    subject: Annotated[
        str,
        typer.Argument(help="A study's id, or a version: all studies that it brought.", metavar="VERSION|STUDY"),
    ],
    reason: Annotated[
        str,
        typer.Option(help="CONSENT, FACE, HEADER, PIXELS, REIDENTIFIED, RIGHTS, WRONG or UNSTATED.", metavar="CODE"),
    ],
    drill: Annotated[
        bool, typer.Option("--drill", help="Rehearse it on a copy, against a folder; nothing is changed.")
    ] = False,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take what should never have been published off every hub at once, and tell the public.

    Example: curate recall archive 1.2.0 --reason PIXELS --drill
    """
    done = curate.recall(archive, subject, reason.upper(), drill=drill, progress=progress(quiet=quiet))
    if as_json:
        shared.print_json(asdict(done))
        return
    out = shared.console()
    for one in done.steps:
        out.print(Text(f"{one.seconds:8.1f} s  {one.step} {one.place}".rstrip()), style="dim")
    studies = "1 study" if done.studies == 1 else f"{done.studies:,} studies"
    where = ", ".join(done.targets)
    if done.already:
        told = f"That is done already, since {done.already}: {studies} recalled from {', '.join(done.versions)}."
        out.print(Text(f"{told} {done.corrected} is without, at {where}."))
    elif done.drill:
        told = f"Would take {studies} out of {', '.join(done.versions)} at {where}, and publish {done.corrected}."
        out.print(Text(f"{told} Rehearsed on a copy; nothing was changed."))
    else:
        told = f"Recalled {studies} from {', '.join(done.versions)}; {done.corrected} is without, at {where}."
        out.print(Text(told))
    for left in done.remaining:
        out.print(Text(f"Still there: {left}"), style="bold red")
