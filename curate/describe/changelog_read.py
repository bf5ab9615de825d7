"""Reads a changelog back into what its versions changed: what no other file of a release states."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from curate.core.records import Changes, VersionChange
from curate.describe import markup

_SECTION = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", re.MULTILINE | re.ASCII)
_HEADING = re.compile(r"^### (Notices|Added|Changed|Removed|Licences|Now)$", re.MULTILINE)
_COUNTS = re.compile(r"([\d,]+) (?:study|studies|series|instances)", re.ASCII)
_CHANGED = re.compile(r"(a few studies|[\d,]+ (?:study|studies)): (.*)\.", re.ASCII | re.IGNORECASE)
_COLUMN = re.compile(r"`([\w.]+)` in (a few studies|[\d,]+ (?:study|studies))", re.ASCII)
_SHAPE = re.compile(r"Column `([\w.]+)` is (new|gone)\.", re.ASCII)
_LICENSE = re.compile(r"([\w.+-]+): ([\d,]+) studies before, ([\d,]+) now\.", re.ASCII)
_ROWS = ("studies", "series", "instances")

Said = Mapping[str, Sequence[str]]


def read_changes(text: str) -> tuple[VersionChange, ...]:
    """What each version changed, as `changelog` writes it; a line of another form tells nothing."""
    parts = _SECTION.split(text)[1:]
    found = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return tuple(_change(version, day, body) for version, day, body in found if _is_day(day))


def _is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:  # False: the answer asked for
        return False


def _change(version: str, day: str, body: str) -> VersionChange:
    parts = _HEADING.split(body)[1:]
    said = {name: list(_items(text)) for name, text in zip(parts[::2], parts[1::2], strict=True)}
    added = _numbers(said, "Added")
    counted = "Now" in said  # then what changed is told by columns
    return VersionChange(
        version,
        date.fromisoformat(day),
        added=added[0] if added else 0,
        removed=next(iter(_numbers(said, "Removed")), 0),
        changed=0 if counted else next(iter(_numbers(said, "Changed")), 0),
        notes=tuple(markup.unescape(line) for line in said.get("Notices", ())),
        changes=_changes(said, added) if counted else None,
    )


def _items(text: str) -> Iterator[str]:
    return (line.removeprefix("- ") for line in text.split("\n") if line.startswith("- "))


def _numbers(said: Said, heading: str) -> list[int]:
    """The counts of a heading's first line."""
    return [_number(text) for text in _COUNTS.findall(next(iter(said.get(heading, ())), ""))]


def _changes(said: Said, added: Sequence[int]) -> Changes:
    altered = said.get("Changed", ())
    shape = [found.groups() for line in altered if (found := _SHAPE.fullmatch(line))]
    changed = next((found for line in altered if (found := _CHANGED.fullmatch(line))), None)
    listed = [found.groups() for line in said.get("Licences", ()) if (found := _LICENSE.fullmatch(line))]
    return Changes(
        rows=dict.fromkeys(_ROWS, 0) | dict(zip(_ROWS, _numbers(said, "Now"), strict=False)),
        series_added=added[1] if len(added) > 1 else 0,
        changed=_few(changed[1]) if changed else 0,
        columns={name: _few(count) for name, count in _COLUMN.findall(changed[2])} if changed else {},
        licenses={name: (_number(old), _number(new)) for name, old, new in listed},
        new_columns=tuple(name for name, what in shape if what == "new"),
        gone_columns=tuple(name for name, what in shape if what == "gone"),
    )


def _few(text: str) -> int | None:
    return None if text.lower() == "a few studies" else _number(text.partition(" ")[0])


def _number(text: str) -> int:
    return int(text.replace(",", "")[:18] or 0)
