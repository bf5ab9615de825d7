"""Trying again: how long, how often, and looking before anything is sent twice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from curate.core.progress import waiting

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a call is tried and how long is waited between, in seconds.

    `longest` also bounds what a server may ask for by `Retry-After`: beyond it the caller is told.
    """

    attempts: int = 6
    first: float = 1.0
    longest: float = 330.0
    sleep: Callable[[float], None] = time.sleep

    def pause(self, attempt: int) -> float:
        """Seconds before the next try: 1, 2, 4 ... up to 60."""
        return min(60.0, self.first * 2.0 ** (attempt - 1))


def again(
    call: Callable[[], T],
    *,
    patience: Patience,
    wait: Callable[[Exception], float | None],
    look: Callable[[], T | None] | None = None,
) -> T:
    """The result of `call`, tried again while it fails in a way that passes.

    `wait` gives the seconds that an error asks for (0: no matter), or `None` for one that will not pass.
    `look` sees whether a call whose answer was lost has been carried out, and gives its result.

    Raises:
        Exception: what `call` raised last.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            return call()
        except Exception as error:
            asked = wait(error)
            if asked is None or asked > patience.longest:
                raise
            if look is None and attempt >= patience.attempts:
                raise  # nothing to wait for
            seconds = max(asked, patience.pause(attempt))
            of = f"{attempt} of {patience.attempts}"
            waiting(f"The hub does not answer as it should ({type(error).__name__}, try {of})", seconds)
            patience.sleep(seconds)
            if look is not None and (found := look()) is not None:
                return found
            if attempt >= patience.attempts:
                raise
