"""The commands for anybody's data and questions: inspect, profile."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

import curate
from curate.cli import shared
from curate.cli.progress import progress
from curate.cli.shared import JsonOption, QuietOption, WorkersOption
from curate.core.errors import CurateError
from curate.core.findings import Severity, has_errors, rule

if TYPE_CHECKING:
    from curate.deid import explain

_SHOWN = 60
_INDEX = re.compile(r"\[\d+\]")
_PRIVATE = re.compile(r"\([0-9A-F]{3}[13579BDF],[0-9A-F]{4}\)")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (inspect, profile):
        app.command(rich_help_panel="Anybody")(command)


def inspect(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Files, folders, .zip, .tar(.gz), release folders.", metavar="PATH"),
    ],
    profile_file: Annotated[
        Path | None,
        typer.Option("--profile", help="A TOML file whose \\[profile] applies, such as archive.toml."),
    ] = None,
    show_paths: Annotated[bool, typer.Option("--paths", help="Also print paths; they may name persons.")] = False,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Look for text in every frame and for faces in the volumes, too.")
    ] = False,
    temporary: Annotated[
        Path | None, typer.Option(help="Where containers are unpacked, and deleted after.", metavar="DIR")
    ] = None,
    workers: WorkersOption = None,
    quiet: QuietOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say of each file what the profile would not let pass, and what looks like an identifier; never the value.

    Exit code 1 where a rule is broken; alarms are warnings.

    Example: curate inspect export/
    """
    tally = _Tally()
    verdicts = curate.inspect(
        paths,
        profile_file=profile_file,
        temporary=temporary,
        pixels=pixels,
        workers=workers,
        progress=progress(quiet=quiet),
    )
    if as_json:
        _print_json(tally.of(verdicts), tally, show_paths)
    else:
        for verdict in tally.of(verdicts):
            if show_paths and verdict.findings:
                typer.echo(shared.visible(f"{verdict.place}\t{verdict.path}"))
        _print_tally(tally)
    if tally.failed:
        raise typer.Exit(1)


class _Tally:
    """What is counted while verdicts pass by: memory grows with kinds of findings, not with files."""

    def __init__(self) -> None:
        self.files = self.instances = self.failed = self.alarmed = self.volumes = 0
        self.codes: Counter[str] = Counter()
        self.by_tag: Counter[tuple[str, str]] = Counter()
        self.first: dict[tuple[str, str], list[str]] = {}

    def of(self, verdicts: Iterable[curate.Verdict]) -> Iterator[curate.Verdict]:
        """The verdicts, counted."""
        for verdict in verdicts:
            volume = verdict.kind == "series"
            self.files += not volume
            self.volumes += volume
            self.instances += verdict.kind in ("instance", "directory")
            self.failed += has_errors(verdict.findings)
            self.alarmed += not volume and any(f.severity is Severity.WARNING for f in verdict.findings)
            for finding in verdict.findings:
                self.codes[finding.rule] += finding.count
                key = (finding.rule, _PRIVATE.sub("(private)", _INDEX.sub("", finding.tag)))
                self.by_tag[key] += finding.count
                places = self.first.setdefault(key, [])
                if len(places) < 3 and finding.place not in places:
                    places.append(finding.place)
            yield verdict

    def totals(self) -> dict[str, object]:
        """The numbers, as JSON has them."""
        return {
            "files": self.files,
            "instances": self.instances,
            "not_instances": self.files - self.instances,
            "with_errors": self.failed,
            "with_warnings": self.alarmed,
            "volumes_with_warnings": self.volumes,
            "passed": not self.failed,
            "codes": dict(sorted(self.codes.items())),
        }


def _print_json(verdicts: Iterable[curate.Verdict], tally: _Tally, show_paths: bool) -> None:
    """One document, written as it grows: each file with findings, then the totals, or the error that ended it."""
    before = '{"verdicts": [\n'
    last: dict[str, object] = {}
    try:
        for verdict in verdicts:
            if verdict.findings:
                typer.echo(before + shared.json_text(_verdict(verdict, show_paths)), nl=False)
                before = ",\n"
    except CurateError as error:
        if not tally.codes:
            raise
        shared.say(error)
        last = shared.error_json(error)
    opened = "\n" if tally.codes else before
    typer.echo(opened + "], " + shared.json_text({**tally.totals(), **last})[1:])
    if last:
        raise typer.Exit(CurateError.exit_code)


def _verdict(verdict: curate.Verdict, show_paths: bool) -> dict[str, object]:
    findings = [
        {"rule": f.rule, "severity": f.severity.value, "tag": f.tag, "count": f.count} for f in verdict.findings
    ]
    shown: dict[str, object] = {"place": verdict.place, "kind": verdict.kind, "findings": findings}
    return {**shown, "path": verdict.path} if show_paths else shown


def _print_tally(tally: _Tally) -> None:
    out = shared.console()
    order = list(Severity)
    rows = sorted(tally.by_tag.items(), key=lambda row: (order.index(rule(row[0][0]).severity), row[0][0], -row[1]))
    if rows:
        table = shared.columns("severity", "rule", "tag", "count", "where", right=("count",))
        for (code, tag), count in rows[:_SHOWN]:
            severity = rule(code).severity
            where = ", ".join(tally.first[code, tag]) + (" ..." if count > 3 else "")
            table.add_row(Text(severity.value, shared.STYLES[severity]), code, Text(tag), f"{count:,}", where)
        out.print(table)
        if len(rows) > _SHOWN:
            out.print(Text(f"and {len(rows) - _SHOWN:,} more kinds of findings: --json lists all."))
        out.print()
    volumes = f"; {tally.volumes:,} volumes that may show a face" if tally.volumes else ""
    told = f"{tally.instances:,} instances in {tally.files:,} files"
    out.print(Text(f"{told}; {tally.failed:,} with errors, {tally.alarmed:,} with warnings{volumes}."))
    if tally.failed:
        out.print(shared.hint("Next: curate deidentify SOURCE DEST"), style="bold")


def profile(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Keywords or tags, such as PatientName or 0010,0010.", metavar="TAG|KEYWORD"),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every attribute.")] = False,
    archive: Annotated[Path | None, typer.Option(help="The archive whose \\[profile] applies.", metavar="DIR")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what happens to any attribute, and why; without a name, how many attributes take which action.

    Example: curate profile PatientName 0018,0050
    """
    from curate.archive import config
    from curate.deid import explain
    from curate.policies import Policy

    policy = Policy.from_mapping(config.read(archive).profile) if archive else Policy()
    wanted = ["all"] if everything else names or []
    found = [entry for name in wanted for entry in explain.find(name, policy)]
    if as_json:
        found = found or list(explain.everything(policy))
        shared.print_json([_explained(entry) for entry in found])
    elif not wanted:
        typer.echo(explain.markdown(policy))
        typer.echo("One attribute: curate profile PatientName. All of them: curate profile --all.")
    else:
        _print_explanations(found)


def _explained(entry: explain.Explanation) -> dict[str, str]:
    from curate.deid import explain

    return {
        "tag": entry.tag,
        "keyword": entry.keyword,
        "creator": entry.creator,
        "vr": entry.vr,
        "action": entry.action.value,
        "means": explain.ACTIONS[entry.action],
        "becomes": entry.becomes,
        "reason": entry.reason,
        "table_e_1_1": entry.table,
    }


def _print_explanations(found: list[explain.Explanation]) -> None:
    from curate.deid import explain

    table = shared.columns("tag", "keyword", "VR", "action", "becomes", "why")
    for entry in found:
        name = f"{entry.keyword} [{entry.creator}]" if entry.creator else entry.keyword
        action = f"{entry.action.value}  {explain.ACTIONS[entry.action]}"
        cells = (entry.tag, name, entry.vr, action, entry.becomes, entry.reason)
        table.add_row(*map(Text, cells))
    shared.console().print(table)
