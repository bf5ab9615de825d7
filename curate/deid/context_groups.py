"""Context groups and templates of PS3.16, and labels of content: closed lists."""

from __future__ import annotations

import re
from functools import cache

from curate.deid.grammar import data, even


@cache
def _contexts() -> frozenset[int]:
    """The numbers of the context groups and templates of PS3.16."""
    runs = (run.partition("-") for kind in ("groups", "templates") for run in data("contexts.json")[kind].split())
    return frozenset(number for low, _, high in runs for number in range(int(low), int(high or low) + 1))


def context_identifier(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """Numbers of context groups and templates of PS3.16."""
    value = raw.decode("ascii", "replace").strip(" \0")
    known = re.fullmatch(r"[1-9]\d{0,4}", value) and int(value) in _contexts()
    return even(value.encode(), b" ") if known else None


def content_label(_argument: str, _vr: str, raw: bytes) -> bytes | None:
    """What a content label says of the content's kind, such as a palette's name; else a constant."""
    value = raw.decode("ascii", "replace").strip(" \0").upper()
    return even((value if value in _content_labels() else "L1" if value else "").encode(), b" ")


@cache
def _content_labels() -> frozenset[str]:
    return frozenset(data("contexts.json")["content"].split(","))
