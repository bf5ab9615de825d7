"""What a release loses for good, as `release --dry-run` and `release` print it, and the question before it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import typer
from rich.console import Console
from rich.text import Text

from curate.cli import shared
from curate.privacy.forecast import Step
from curate.privacy.loss import ColumnLoss, Loss

REASONS = {
    "TOO_FEW_ALIKE": "too few donors resemble theirs",
    "LATER_STUDY": "a donor's further study that stands out, and may have no donor_id of its own",
    "SHARE_SUPPRESSED": "too many cells would have to be null (largest_suppressed_share)",
    "LEAVES_OTHERS_ALONE": "publishing them now would leave others alone",
    "WITHDRAWALS": "withdrawals left too few alike",
}
_MOST_KINDS = 12


def asked(*, accepted: bool, as_json: bool) -> bool | Callable[[Loss], bool]:
    """What `release` is told: yes, the answer of whoever sits there, or no where nobody can be asked."""
    if accepted or as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return accepted
    return _ask


def _ask(loss: Loss) -> bool:
    out = Console(stderr=True)
    print_loss(loss, out)
    for sentence in loss.grave:
        out.print(Text(sentence), style="bold")
    return typer.confirm("Nothing published is ever made finer. Cut it all the same?", err=True)


def print_loss(loss: Loss, out: Console) -> None:
    """For each column what is lost; who waits, why, and for whom; what gated access would give instead."""
    title = f"of {loss.new:,} new studies, k = {loss.k}"
    table = shared.columns(title, "shown as", "exact", "coarser", "lost", right=("exact", "coarser", "lost"))
    for column in loss.columns:
        shares = (f"{count / column.known:.0%}" if column.known else "-" for count in _counts(column))
        table.add_row(column.column, column.level if column.known > column.lost else "nothing", *shares)
    if loss.new:
        out.print(table)
    if loss.waiting:
        _print_waiting(loss, out)
    if loss.gated is not None:
        lost = ", ".join(f"{c.column} {c.lost / c.known:.0%}" for c in loss.gated.columns if c.known)
        out.print(
            Text(
                f"Gated access (k = {loss.gated.k}) would show {loss.gated.shown:,} studies and hold"
                f" {loss.gated.waiting:,} back; lost: {lost or 'nothing'}."
            )
        )


def _counts(column: ColumnLoss) -> tuple[int, int, int]:
    return column.exact, column.coarser, column.lost


def _print_waiting(loss: Loss, out: Console) -> None:
    out.print(Text(f"{loss.waiting:,} studies wait:"))
    for reason, count in loss.reasons.items():
        out.print(Text(f"  {count:,}: {REASONS.get(reason, reason)}"))
    table = shared.columns("kind", "waiting", "more donors of each kind", right=("waiting", "more donors of each kind"))
    for kind in loss.kinds[:_MOST_KINDS]:
        more = f"{kind.least:,}" if kind.least == kind.most else f"{kind.least:,} to {kind.most:,}"
        table.add_row(kind.kind, f"{kind.studies:,}", more)
    out.print(table)
    if len(loss.kinds) > _MOST_KINDS:
        out.print(Text(f"  and {len(loss.kinds) - _MOST_KINDS:,} more kinds"))
    print_steps(loss.forecast.steps, out)


def print_steps(steps: Iterable[Step], out: Console) -> None:
    """How many studies so many more donors of each kind would free."""
    head = ("more donors of each kind", "studies freed", "then published")
    table = shared.columns(*head, right=("studies freed",))
    for step in steps:
        table.add_row(f"{step.more_donors:,}", f"{step.studies:,}", f"{step.released:,}")
    out.print(table)
