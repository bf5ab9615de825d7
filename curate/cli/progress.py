"""Progress of long steps: a bar on a terminal, a line every 30 s elsewhere, nothing with `--quiet`."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from curate.progress import Progress as Shown
from curate.progress import silent

T = TypeVar("T")
EVERY_SECONDS = 30.0


def progress(*, quiet: bool = False) -> Shown:
    """What shows a step's progress on this output."""
    if quiet:
        return silent
    return _Bars() if sys.stderr.isatty() else _Lines()


class _Amounts:
    """What is counted beside the items, with its rate."""

    def __init__(self) -> None:
        self.amounts: Counter[str] = Counter()
        self.started = time.monotonic()

    def add(self, **amounts: int) -> None:
        self.amounts.update(amounts)

    def told(self) -> str:
        seconds = max(time.monotonic() - self.started, 1e-9)
        parts = []
        if count := self.amounts["instances"]:
            parts.append(f"{count:,} instances ({count / seconds:,.0f}/s)")
        if count := self.amounts["size_bytes"]:
            parts.append(f"{count / 1e6:,.1f} MB ({count / 1e6 / seconds:,.1f} MB/s)")
        return ", ".join(parts)


class _Bars(_Amounts):
    def over(self, items: Iterable[T], unit: str, total: int | None = None) -> Iterator[T]:
        shown = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
        )
        with Progress(*shown, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(unit, total=total, told="")
            for item in items:
                yield item
                bars.update(task, advance=1, told=self.told())


class _Lines(_Amounts):
    def over(self, items: Iterable[T], unit: str, total: int | None = None) -> Iterator[T]:
        last = time.monotonic()
        for count, item in enumerate(items, 1):
            yield item
            if time.monotonic() - last >= EVERY_SECONDS:
                last = time.monotonic()
                self._say(unit, count, total)

    def _say(self, unit: str, count: int, total: int | None) -> None:
        seconds = time.monotonic() - self.started
        left = f", {(total - count) * seconds / count:,.0f} s left" if total else ""
        of = f" of {total:,}" if total else ""
        told = self.told()
        print(f"{count:,}{of} {unit}{', ' + told if told else ''}{left}", file=sys.stderr, flush=True)  # noqa: T201
