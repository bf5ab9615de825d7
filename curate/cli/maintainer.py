"""The maintainer's commands: init, intake, quarantine, release, publish."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

import curate
from curate.cli import losses, shared
from curate.cli.progress import progress
from curate.cli.shared import ArchiveArgument, JsonOption, QuietOption, SchedulerOption, WorkersOption
from curate.core.errors import InputError, quoted
from curate.core.findings import rule


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (init, intake, quarantine, mask, admit, release, publish):
        app.command(rich_help_panel="Maintainer")(command)


def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", metavar="DIR")],
    title: Annotated[str, typer.Option(help="What the data set is called.")] = "",
    publisher: Annotated[str, typer.Option(help="Who publishes it.")] = "",
    license_id: Annotated[str, typer.Option("--license", help="SPDX identifier, such as CC-BY-4.0.")] = "CC-BY-4.0",
    hub: Annotated[
        str, typer.Option(help="file:///DIR, hf://ORG/NAME or s3://BUCKET/PREFIX; a folder beside by default.")
    ] = "",
    population: Annotated[str, typer.Option(help="persons, or test for phantoms and samples.")] = "persons",
    approvals: Annotated[int, typer.Option(min=0, help="Approvals that publishing asks for.")] = 1,
    passphrase: Annotated[
        bool,
        typer.Option("--passphrase", help="Seal the key under a passphrase ($CURATE_PASSPHRASE or asked)."),
    ] = False,
    example: Annotated[
        bool, typer.Option("--example", help="Write a sample studies.csv and archive.toml to look at, and no archive.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Make an archive: its configuration, secret key, ledger and folders.

    Example: curate init archive --title "Chest CT of Girona" --publisher "Hospital X" --license CC-BY-4.0
    """
    if example:
        _example(folder, as_json)
        return
    if not (title and publisher):
        raise InputError("An archive needs a --title and a --publisher.", hint="For a sample instead: add --example.")
    info = curate.ArchiveInfo(title, publisher, license_id, population)
    curate.init(folder, info, hub_target=hub, approvals=approvals, under_passphrase=passphrase)
    if as_json:
        shared.print_json({"archive": str(folder), "license": license_id, "population": population})
        return
    out = shared.console()
    out.print(Text(f"Made the archive {folder}."))
    out.print(Text(f"Keep {folder / 'secret.key'} safe and backed up: without it no id can be made again."))
    out.print(Text(f"{folder / 'log.key'} too: it signs for every release."))
    out.print(shared.hint(f"Next: curate intake {quoted(folder)} SOURCE --studies TABLE.csv"), style="bold")


def _example(folder: Path, as_json: bool) -> None:
    from curate.steps.init import EXAMPLE_TABLE, init_example

    written = init_example(folder)
    if as_json:
        shared.print_json({"example": str(folder), "files": [path.name for path in written]})
        return
    out = shared.console()
    for path in written:
        out.print(Text(f"Wrote {path}."))
    out.print(shared.hint(f"Next: curate vocabulary {quoted(folder / EXAMPLE_TABLE)}", style="bold"))


def intake(
    archive: ArchiveArgument,
    sources: Annotated[
        list[str],
        typer.Argument(help="Folders, files, .zip, .tar(.gz); s3://BUCKET/PREFIX.", metavar="SOURCE"),
    ],
    studies: Annotated[Path, typer.Option(help="CSV, XLSX or Parquet, one row a study.")],
    deidentify: Annotated[
        bool,
        typer.Option("--deidentify", help="Accept studies with direct identifiers, and remove them here."),
    ] = False,
    workers: WorkersOption = None,
    scheduler: SchedulerOption = "",
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a donation in: each study is verified, rewritten and admitted, or quarantined with the reasons.

    Example: curate intake archive incoming/ --studies studies.csv
    """
    shown = progress(quiet=quiet)
    by = shared.workers_of(workers, scheduler)
    report = curate.intake(archive, sources, studies, deidentify=deidentify, workers=by, progress=shown)
    if as_json:
        shared.print_json(_intake_json(report))
    else:
        _print_intake(archive, report)


_INTAKE_NUMBERS = (
    *("files", "admitted_instances", "copies", "quarantined_instances", "not_instances"),
    *("admitted_studies", "unchanged_studies", "quarantined_studies", "size_bytes"),
    *("joined_instances", "joined_studies"),
)


def _intake_json(report: curate.IntakeReport) -> dict[str, object]:
    return {
        **{name: getattr(report, name) for name in _INTAKE_NUMBERS},
        "codes": report.codes,
        "kinds": report.kinds,
        "not_instances_named": [{"place": place, "kind": kind} for place, kind in report.other],
        "findings": [shared.finding_json(finding) for finding in report.findings],
        "new_receipts": report.new_receipts,
        "receipts": str(report.receipts) if report.receipts else None,
    }


def _print_intake(archive: Path, report: curate.IntakeReport) -> None:
    out = shared.console()
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in report.kinds.items())
    studies = f"{report.admitted_studies:,} new studies, {report.unchanged_studies:,} there already"
    if report.joined_studies:
        studies += f"; {report.joined_instances:,} joined {report.joined_studies:,} studies that were there"
    table = shared.columns("count", "what", right=("count",), header=False)
    table.add_row(f"{report.files:,}", "files looked at, of these")
    table.add_row(f"{report.admitted_instances:,}", f"instances admitted ({studies})")
    if report.copies:
        table.add_row(f"{report.copies:,}", "exact copies of these, which are in once")
    whole = f"{report.quarantined_studies:,} whole studies"
    table.add_row(f"{report.quarantined_instances:,}", f"instances quarantined ({whole})")
    table.add_row(f"{report.not_instances:,}", f"no instances of a study{': ' + kinds if kinds else ''}")
    out.print(table)
    if report.findings:
        out.print()
        shared.print_findings(report.findings, out)
    if report.receipts:
        told = f"curate receipts {quoted(report.receipts)} --key {quoted(archive / 'secret.key')}"
        out.print(Text(f"\n{report.new_receipts:,} new receipts, for the donors: {told}"))
    if report.quarantined_instances:
        out.print(Text(f"\nSee what waits: curate quarantine {quoted(archive)}"))
    if report.admitted_studies or report.joined_studies:
        out.print(shared.hint(f"Next: curate release {quoted(archive)}"), style="bold")


def quarantine(
    archive: ArchiveArgument,
    export_id: Annotated[
        str, typer.Option("--export", help="Give the files of this id back, into --to.", metavar="ID")
    ] = "",
    to: Annotated[Path | None, typer.Option(help="A new folder, for its owner only.", metavar="DIR")] = None,
    discard_id: Annotated[
        str, typer.Option("--discard", help="Delete the files of this id for good.", metavar="ID")
    ] = "",
    reason: Annotated[str, typer.Option(help="Why, as a code such as NOT_CONSENTED.", metavar="CODE")] = "",
    paths_of: Annotated[
        str, typer.Option("--paths", help="Print where the files of this id came from.", metavar="ID")
    ] = "",
    show_id: Annotated[
        str, typer.Option("--show", help="Draw what was found in the pixels of this id, into --to.", metavar="ID")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """List what waits and why; give one entry back to the person who decides, or delete it.

    Example: curate quarantine archive --export Q1a2b --to decide/
    """
    if sum(map(bool, (export_id, discard_id, paths_of, show_id))) > 1:
        raise InputError("More than one of --export, --discard, --paths and --show.", hint="Give one of them.")
    if show_id:
        if to is None:
            raise InputError("--show needs a folder.", hint="Add --to DIR.")
        count = curate.show(archive, show_id, to)
        _say(as_json, {"id": show_id, "to": str(to), "pictures": count}, f"Pictures in {to}: {count:,}.")
        return
    if export_id:
        if to is None:
            raise InputError("--export needs a folder.", hint="Add --to DIR.")
        kept = curate.export(archive, export_id, to)
        _say(as_json, {"id": export_id, "to": str(to), "files": len(kept)}, f"Files in {to}: {len(kept):,}.")
    elif discard_id:
        gone = curate.discard(archive, discard_id, reason)
        told = {"id": gone.id, "reason": reason, "files": gone.files}
        _say(as_json, told, f"Deleted {gone.id}; files: {gone.files:,}.")
    elif paths_of:
        _print_paths(curate.paths(archive, paths_of), as_json)
    else:
        _print_waiting(curate.waiting(archive), as_json)


_EntryArgument = Annotated[str, typer.Argument(help="What `curate quarantine` lists.", metavar="ID")]
_ReasonOption = Annotated[str, typer.Option(help="Why, as a code such as NO_NAME_SHOWN.", metavar="CODE")]


def mask(
    archive: ArchiveArgument,
    entry: _EntryArgument,
    reason: _ReasonOption = "TEXT_IN_PIXELS",
    as_json: JsonOption = False,
) -> None:
    """Decide that all text found in a waiting study's pixels is made blank; its next intake does it.

    Example: curate mask archive Q1a2b
    """
    _decide(archive, entry, "mask", reason, as_json)


def admit(
    archive: ArchiveArgument,
    entry: _EntryArgument,
    reason: Annotated[str, typer.Option(help="Why, as a code such as NO_NAME_SHOWN.", metavar="CODE")],
    as_json: JsonOption = False,
) -> None:
    """Decide that a waiting study's pixels, text or head, may be released as they are; its next intake does it.

    Example: curate admit archive Q1a2b --reason NO_NAME_SHOWN
    """
    _decide(archive, entry, "admit", reason, as_json)


def _decide(archive: Path, entry: str, decision: curate.Decision, reason: str, as_json: bool) -> None:
    done = curate.decide(archive, entry, decision, reason)
    told: dict[str, object] = {"id": done.id, "decision": decision, "reason": reason}
    again = f"curate intake {quoted(archive)} SOURCE --studies TABLE, with the same source and row."
    _say(as_json, told, shared.as_typed(f"Noted. Next: {again}"))


def _say(as_json: bool, told: dict[str, object], text: str) -> None:
    if as_json:
        shared.print_json(told)
    else:
        shared.console().print(Text(text))


def _print_paths(kept: list[curate.Kept], as_json: bool) -> None:
    if as_json:
        shared.print_json([asdict(file) for file in kept])
        return
    for file in kept:
        shared.console().print(Text(f"{file.place}  {file.path}"), soft_wrap=True)


def _print_waiting(entries: list[curate.QuarantineEntry], as_json: bool) -> None:
    if as_json:
        shared.print_json([asdict(entry) for entry in entries])
        return
    out = shared.console()
    if not entries:
        out.print("Nothing waits.")
        return
    table = shared.columns("id", "since", "files", "size", "why", right=("files", "size"))
    between = "\n" if out.is_terminal else "; "
    for entry in entries:
        why = between.join(f"{code} ({count:,}): {rule(code).title.rstrip('.')}" for code, count in entry.codes.items())
        table.add_row(entry.id, entry.at[:10], f"{entry.files:,}", shared.size(entry.size_bytes), Text(why))
    out.print(table)


def release(
    archive: ArchiveArgument,
    doi: Annotated[str | None, typer.Option(help="zenodo:// reserves a DOI first, which the texts then bear.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would show, hold back and lose; write nothing.")
    ] = False,
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Cut it even if a whole column is lost, or more waits than is shown.")
    ] = False,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Cut the next version into a folder; with nothing new, write nothing.

    Example: curate release archive
    """
    if doi not in (None, "", "zenodo://"):
        raise InputError("--doi takes zenodo://.", hint="Set ZENODO_ENDPOINT for its sandbox.")
    if dry_run:
        _print_plan(archive, curate.release_plan(archive), as_json)
        return
    accepted = losses.asked(accepted=accept_loss, as_json=as_json)
    shown = progress(quiet=quiet)
    cut = curate.release(archive, shown, reserve=doi, workers=workers, accept_loss=accepted)
    if as_json:
        shared.print_json({**asdict(cut), "path": str(cut.path), "loss": cut.loss.as_dict() if cut.loss else None})
        return
    out = shared.console()
    if not cut.new:
        out.print(Text(f"Nothing new since {cut.version}, in {cut.path}."))
        for told in cut.rejected:
            out.print(Text(f"Rejected by {told}."), style="bold red")
        return
    out.print(Text(f"Cut {cut.version}: {cut.studies:,} studies, {cut.instances:,} instances, in {cut.path}."))
    out.print(Text(f"{cut.added:,} studies added, {cut.removed:,} removed, {cut.held:,} held back."))
    if cut.loss is not None and cut.loss.any:
        losses.print_loss(cut.loss, out)
    out.print(Text(f"Digest {cut.digest}"), style="dim")
    out.print(shared.hint(f"Next: curate check {quoted(cut.path)}"), style="bold")


def _print_plan(archive: Path, found: curate.Plan, as_json: bool) -> None:
    if as_json:
        shared.print_json(found.as_dict())
        return
    out = shared.console()
    out.print(Text(f"{found.studies:,} studies would be shown, {found.new:,} of them new; {found.held:,} held back."))
    if found.loss is not None:
        losses.print_loss(found.loss, out)
        for sentence in found.loss.grave:
            out.print(Text(f"{sentence} Cutting it asks, or takes --accept-loss."), style="bold")
    out.print(Text(f"Nothing was written. To cut it: curate release {quoted(archive)}"), style="bold")


def publish(
    archive: ArchiveArgument,
    version: Annotated[str, typer.Argument(help="Such as 1.2.0.", metavar="VERSION")],
    to: Annotated[
        str,
        typer.Option(help="file:///DIR, hf://ORG/NAME, s3://BUCKET or zenodo://; the archive's own by default."),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be sent; open no connection.")] = False,
    gated: Annotated[
        str | None, typer.Option(help="auto, manual or off: who may download; as archive.toml says by default.")
    ] = None,
    private: Annotated[
        bool | None, typer.Option("--private/--public", help="Whether the hub shows it to its owner only.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Read packs again that passed before.")] = False,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Publish a version that passes every check and has its approvals; its tag comes last.

    Example: curate publish archive 1.0.0 --to hf://my-org/my-archive
    """
    done = curate.publish(
        archive,
        version,
        to,
        dry_run=dry_run,
        gated=gated,
        private=private,
        full=full,
        workers=workers,
        progress=progress(quiet=quiet),
    )
    if as_json:
        shared.print_json(asdict(done))
    else:
        _print_published(done)


def _print_published(done: curate.Publication) -> None:
    out = shared.console()
    what = f"{done.sent_files:,} files ({shared.size(done.sent_bytes)})"
    if done.dry_run:
        out.print(Text(f"Would send {what} to {done.url} as {done.tag}; {done.unchanged_files:,} are there already."))
    elif done.already:
        out.print(Text(f"{done.tag} is published at {done.url} already, and is what it should be."))
    else:
        out.print(Text(f"Published {done.tag} at {done.url}: sent {what}, {done.unchanged_files:,} were there."))
    _print_purged(done, out)


def _print_purged(done: curate.Publication, out: Console) -> None:
    if done.dropped:
        tags = ", ".join(done.dropped)
        out.print(Text(f"Taken off the hub, as they are older than drop_after_days: {tags}.", style="green"))
    if not done.purged:
        return
    tags = ", ".join(done.purged)
    if done.dry_run:
        out.print(Text(f"Would serve {tags} without what was withdrawn since, and erase it from the history."))
        return
    erased = f"{done.erased_files:,} files ({shared.size(done.erased_bytes)})"
    out.print(Text(f"Served without what was withdrawn now: {tags}; erased {erased}."))
    for left in done.remaining:
        out.print(Text(f"Still there: {left}"), style="bold red")
