"""What the commands share: options, and how records become text or JSON."""

from __future__ import annotations

import codecs
import io
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from curate.core.errors import CurateError, InputError, quoted
from curate.core.findings import Finding, Severity, rule

ArchiveArgument = Annotated[Path, typer.Argument(help="The archive's folder.", metavar="ARCHIVE")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
WorkersOption = Annotated[
    int | None, typer.Option("--workers", min=1, help="Worker processes; as many as processors by default.")
]
SchedulerOption = Annotated[
    str,
    typer.Option(
        help="tls://HOST:PORT of a Dask scheduler: its workers do the work. tcp:// on this machine.",
        metavar="ADDRESS",
    ),
]
KeyOption = Annotated[str, typer.Option("--key", help="The archive's public key, or a file with it.", metavar="PUBLIC")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def as_json() -> bool:
    """Whether the command's words ask for JSON, before anything has read them."""
    return "--json" in sys.argv


def workers_of(workers: int | None, scheduler: str) -> int | str | None:
    """Where the work is done, of the two options.

    Raises:
        InputError: both are given.
    """
    if workers and scheduler:
        raise InputError("Both --workers and --scheduler.", hint="A scheduler knows its own workers: name it alone.")
    return scheduler or workers


STOPPED = 130  # as shells have it for SIGINT
STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
_SHOWN_PLACES = 3
_WHOLE = 1 << 16  # columns
# C0 and C1 but line ends and tabs, marks that turn writing, line separators; then halves of characters, of which stray
# bytes of names beyond C1 are shown as a locale has them
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
_OBEYED = re.compile(f"[{_CONTROLS}\ud800-\udc9f\udd00-\udfff]")
_ESCAPED = re.compile(f"[{_CONTROLS}\ud800-\udfff]")
_BLANKS = re.compile(r" +$", re.MULTILINE)


def console(*, err: bool = False) -> Console:
    """Where text goes; where that is no terminal, a record is one line, however long."""
    plain = _Console(stderr=err, highlight=False)
    if plain.is_terminal:
        return plain
    return _Console(file=_Trimmed(sys.stderr if err else sys.stdout), highlight=False, width=_WHOLE)


def visible(text: str) -> str:
    """Text without what a terminal would obey: control characters, turned writing, halves of characters."""
    return _OBEYED.sub("\N{REPLACEMENT CHARACTER}", text)


class _Console(Console):
    """A console that shows what others wrote, and does not obey it."""

    def render(self, renderable: Any, options: Any = None) -> Iterable[Segment]:
        """The segments of what is shown; those that the console itself makes to steer a terminal stay."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


class _Trimmed(io.StringIO):
    """A stream without the blanks with which a table fills its lines."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(_BLANKS.sub("", text))

    def flush(self) -> None:
        self._stream.flush()


def columns(*names: str, right: Sequence[str] = (), header: bool = True) -> Table:
    """An empty plain table."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_header=header)
    for name in names:
        table.add_column(name, overflow="fold", justify="right" if name in right else "left")
    return table


def prepare_output() -> None:
    """Let text and errors be written in any locale, and names that are not UTF-8 as the file system has them."""
    codecs.register_error("curate-shown", _shown)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="curate-shown")


def _shown(error: UnicodeError) -> tuple[bytes, int]:
    """Bytes of a name that Python could not decode, as they were; a question mark for what the locale lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letters = map(ord, error.object[error.start : error.end])
    return bytes(one - 0xDC00 if 0xDC80 <= one <= 0xDCFF else ord("?") for one in letters), error.end


def print_json(value: Mapping[str, Any] | Sequence[Any]) -> None:
    """One JSON document on standard output."""
    typer.echo(json_text(value, 2))


def print_line(value: Mapping[str, Any]) -> None:
    """One JSON object on a line of its own."""
    typer.echo(json_text(value))


def json_text(value: object, indent: int | None = None) -> str:
    """JSON in which what a terminal would obey is escaped."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], text)


def stopped() -> NoReturn:
    """Ctrl-C: say that nothing is lost, and end."""
    said = "Stopped. What was finished is kept; run the same command again to go on."
    if as_json():
        print_json({"error": "Stopped.", "hint": said.removeprefix("Stopped. "), "exit_code": STOPPED})
    typer.echo(said, err=True)
    sys.exit(STOPPED)


commands: Callable[[], Collection[str]] = tuple
"""The names of the commands; the application sets it, since it knows them."""


@cache
def _program() -> str:
    """How this command was called, where a shell would not find `curate` alone; else `curate`."""
    called = Path(sys.argv[0])
    return quoted(sys.argv[0]) if called.name == "curate" and shutil.which("curate") is None else "curate"


def as_typed(text: str) -> str:
    """A text whose commands work as they stand: in a virtual environment that is not active, with its path."""
    if _program() == "curate":
        return text
    verbs = "|".join(sorted(commands(), key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])curate(?= (?:{verbs})\b)", lambda _: _program(), text)


def note(text: str) -> None:
    """Something that is going on, on standard error, unless the command's words ask for quiet."""
    if not {"-q", "--quiet"} & set(sys.argv):
        typer.echo(text, err=True)


def hint(text: str, style: str = "") -> Text:
    """What to do next, with commands that work as they stand."""
    return Text(as_typed(text), style=style)


def error_json(error: CurateError) -> dict[str, Any]:
    """An error as one object."""
    return {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}


def fail(error: CurateError) -> None:
    """One clear message: what, where, what to do next."""
    if as_json():
        print_json(error_json(error))
    say(error)


def say(error: CurateError) -> None:
    """The message as text, on standard error."""
    out = console(err=True)
    out.print(Text.assemble(("Error: ", "bold red"), error.message), soft_wrap=True)
    if error.hint:
        out.print(Text.assemble(("Next:  ", "bold"), as_typed(error.hint)), soft_wrap=True)


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding with its severity and title."""
    entry = rule(finding.rule)
    return {
        "rule": finding.rule,
        "severity": entry.severity.value,
        "title": entry.title,
        "place": finding.place,
        "tag": finding.tag,
        "count": finding.count,
        "next": entry.next,
    }


def print_findings(findings: Iterable[Finding], out: Console) -> None:
    """A table by rule: how often, the first places, what to do next; errors first."""
    by_rule: dict[str, list[Finding]] = {}
    for finding in findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    order = list(Severity)
    table = columns("severity", "rule", "count", "where", "what, and what next", right=("count",))
    for code, found in sorted(by_rule.items(), key=lambda pair: (order.index(rule(pair[0]).severity), pair[0])):
        entry = rule(code)
        count = sum(finding.count for finding in found)
        severity = Text(entry.severity.value, style=STYLES[entry.severity])
        told = Text(as_typed(f"{entry.title.rstrip('.')}. {entry.next}"))
        table.add_row(severity, code, f"{count:,}", Text(_places(found)), told)
    if by_rule:
        out.print(table)


def _places(found: Sequence[Finding]) -> str:
    places = list(dict.fromkeys(" ".join(filter(None, (f.place, f.tag))) for f in found))
    more = f" and {len(places) - _SHOWN_PLACES} more" if len(places) > _SHOWN_PLACES else ""
    return ", ".join(filter(None, places[:_SHOWN_PLACES])) + more


def codes(findings: Iterable[Finding]) -> dict[str, int]:
    """How often each rule was found."""
    counts: Counter[str] = Counter()
    for finding in findings:
        counts[finding.rule] += finding.count
    return dict(sorted(counts.items()))


def size(count: int) -> str:
    """Bytes as people read them."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
