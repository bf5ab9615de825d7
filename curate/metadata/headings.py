"""Which column of a table is which: by its name, by another spelling of it, or refused where it is nearly a name.

A heading that is nearly right must not be passed over: what stood below it (a donor's licence) would be lost.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache

from curate.core import resources
from curate.core.errors import InputError
from curate.metadata.cells import plain_name

_NEARLY = 0.85  # difflib's ratio: `licens` to license is 0.92, `study_date` to study 0.67


@dataclass(frozen=True, slots=True)
class Headings:
    """A table's columns: the place of each known one, how many there are, and the letters of those not known."""

    columns: Mapping[str, int]
    width: int
    unknown: tuple[str, ...]


def spellings(known: Collection[str]) -> frozenset[str]:
    """The names of some columns in every spelling."""
    return frozenset(known) | {text for text, name in _spellings().items() if name in known}


def read(cells: Sequence[str], known: Collection[str], required: Sequence[str], table: str, hint: str) -> Headings:
    """The columns of a table's first row; `hint` says what is expected.

    Raises:
        InputError: a column is missing or doubled, or a heading resembles one that is missing.
    """
    names = [plain_name(cell) for cell in cells]
    while names and not names[-1]:
        names.pop()
    found = [_known(name, known) for name in names]
    for name in dict.fromkeys(filter(None, found)):
        if found.count(name) > 1:
            places = " and ".join(letter(at) for at, each in enumerate(found) if each == name)
            message = f"{table} has the column {name} {found.count(name)} times (columns {places})."
            raise InputError(message, hint="Keep one of them.")
    _refuse_nearly(names, found, known, table)
    if missing := [name for name in required if name not in found]:
        raise InputError(f"{table} lacks {_listed(missing)}.", hint=hint)
    columns = {name: at for at, name in enumerate(found) if name is not None}
    unknown = tuple(letter(at) for at, name in enumerate(found) if names[at] and name is None)
    return Headings(columns, len(names), unknown)


def letter(at: int) -> str:
    """A column's letter in a spreadsheet; a name that is not known might be a person's."""
    head, last = divmod(at, 26)
    return (letter(head - 1) if head else "") + chr(ord("A") + last)


def _known(name: str, known: Collection[str]) -> str | None:
    found = name if name in known else _spellings().get(name)
    return found if found in known else None


def _refuse_nearly(names: Sequence[str], found: Sequence[str | None], known: Collection[str], table: str) -> None:
    """Refuse a heading that resembles a column that the table lacks: it is that column, misspelled, or it is not."""
    absent = {text: _known(text, known) for text in spellings(known)}
    absent = {text: name for text, name in absent.items() if name not in found}
    for at, name in enumerate(names):
        near = get_close_matches(name, absent, n=1, cutoff=_NEARLY) if name and found[at] is None else []
        if near:
            wanted = absent[near[0]]
            message = f"{table} has a heading that is nearly {wanted}: {name!r} (column {letter(at)})."
            raise InputError(message, hint=f"Write {wanted}, or another heading if it is something else.")


def _listed(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"the column {names[0]}"
    return f"the columns {', '.join(names[:-1])} and {names[-1]}"


@cache
def _spellings() -> dict[str, str]:
    kept = json.loads(resources.vocabulary_path("metadata/data/headings.json").read_text(encoding="utf-8"))
    return {text: name for name, texts in kept["spellings"].items() for text in texts}
