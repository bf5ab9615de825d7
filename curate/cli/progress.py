"""Progress of long steps: a bar on a terminal, a line every 30 s elsewhere, nothing with `--quiet`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from curate.core.progress import Progress as Shown
from curate.core.progress import silent

T = TypeVar("T")
EVERY_SECONDS = 30.0


def progress(*, quiet: bool = False) -> Shown:
    """What shows a step's progress on this output."""
    if quiet:
        return silent
    return _Bars() if sys.stderr.isatty() else Lines()


class _Amounts:
    """What is counted beside the items of the present stage, with its rate."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.start()

    def start(self) -> None:
        """A new stage."""
        self.instances = self.size_bytes = 0
        self.started = self.now()

    def add(self, *, instances: int = 0, size_bytes: int = 0) -> None:
        self.instances += instances
        self.size_bytes += size_bytes

    def told(self) -> str:
        """The amounts and how fast they grow."""
        seconds = max(self.now() - self.started, 1e-9)
        parts = []
        if self.instances:
            parts.append(f"{self.instances:,} instances ({self.instances / seconds:,.0f}/s)")
        if self.size_bytes:
            parts.append(f"{self.size_bytes / 1e6:,.1f} MB ({self.size_bytes / 1e6 / seconds:,.1f} MB/s)")
        return ", ".join(parts)


class _Bars(_Amounts):
    def over(self, items: Iterable[T], unit: str, total: int | None = None) -> Iterator[T]:
        self.start()
        shown = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
        )
        with Progress(*shown, console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(unit, total=total, told="")
            for item in items:
                yield item
                bars.update(task, advance=1, told=self.told())


class Lines(_Amounts):
    """A line every 30 seconds, for logs."""

    def over(self, items: Iterable[T], unit: str, total: int | None = None) -> Iterator[T]:
        """The items; what came of them is told as they pass."""
        self.start()
        last = self.started
        for count, item in enumerate(items, 1):
            yield item
            if self.now() - last >= EVERY_SECONDS:
                last = self.now()
                self._say(unit, count, total)

    def _say(self, unit: str, count: int, total: int | None) -> None:
        seconds = self.now() - self.started
        left = f", {_span((total - count) * seconds / count)} left" if total else ""
        of = f" of {total:,}" if total else ""
        told = self.told()
        print(f"{count:,}{of} {unit}{', ' + told if told else ''}{left}", file=sys.stderr, flush=True)  # noqa: T201


def _span(seconds: float) -> str:
    """A time as a person reads it: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
