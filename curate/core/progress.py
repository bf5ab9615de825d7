"""How steps tell that they advance, without knowing how it is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

T = TypeVar("T")


class Progress(Protocol):
    """What a step calls; the CLI draws it, a notebook may ignore it."""

    def over(self, items: Iterable[T], unit: str, total: int | None = None) -> Iterator[T]:
        """The items, counted as they pass."""
        ...

    def add(self, *, instances: int = 0, size_bytes: int = 0) -> None:
        """More of what is counted beside the items, of the present stage."""
        ...


class _Silent:
    def over(self, items: Iterable[T], unit: str, total: int | None = None) -> Iterator[T]:
        del unit, total
        yield from items

    def add(self, *, instances: int = 0, size_bytes: int = 0) -> None:
        del instances, size_bytes


silent: Progress = _Silent()

_told: list[Callable[[str], None]] = []


def on_waiting(tell: Callable[[str], None]) -> None:
    """Have a function told, in a sentence, whenever something outside is waited for; by default nobody is."""
    _told[:] = [tell]


def waiting(what: str, seconds: float) -> None:
    """Say that something outside does not answer, before it is tried again."""
    for tell in _told:
        tell(f"{what}; trying again in {seconds:.0f} s.")
