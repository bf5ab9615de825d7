"""Waiting for a hub: how often, and that somebody is told."""

from __future__ import annotations

import pytest

from curate.core import progress
from curate.hub.retry import Patience, again


def test_who_waits_is_told_and_the_last_try_is_not_waited_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub that nobody reaches was tried for 63 seconds without a word, the last 32 of them for nothing."""
    told: list[str] = []
    slept: list[float] = []
    monkeypatch.setattr(progress, "_told", [told.append])

    def call() -> int:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        again(call, patience=Patience(attempts=4, sleep=slept.append), wait=lambda _: 0.0)
    assert slept == [1.0, 2.0, 4.0]
    assert len(told) == 3
    assert told[1] == "The hub does not answer as it should (ConnectionError, try 2 of 4); trying again in 2 s."


def test_what_was_done_is_looked_for_after_the_last_try_too() -> None:
    """An answer may be lost after the last try as after any other: then looking finds it."""

    def call() -> str:
        raise ConnectionError

    found = again(call, patience=Patience(attempts=1, sleep=lambda _: None), wait=lambda _: 0.0, look=lambda: "done")
    assert found == "done"
