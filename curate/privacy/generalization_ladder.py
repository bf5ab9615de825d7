"""How a column loses detail: a ladder of levels, each label of which stands for an interval of values.

Every label of every level is one half-open interval on the column's line: years for an age, positions
in a sorted tree for codes. So what two releases say together of a cell is the intersection of two intervals.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curate.core.errors import InputError

Ints = npt.NDArray[np.int64]

END = 2**40
_BAND = re.compile(r"(\d+)(?:-(\d+)|(\+))?")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The levels of one column, finest first.

    Either `widths` (bands of whole numbers; `top` opens the last class; `zero_apart` keeps 0 a class of
    its own) or `paths` (value -> its label at each level) or neither (the value itself). `nullable`
    adds the level null; without it the column can't be given up, as where the images state it too.
    `per_donor`: all studies of a donor bear the value of the first one published.
    """

    column: str
    levels: tuple[str, ...]
    widths: tuple[int, ...] = ()
    top: int = END
    zero_apart: bool = False
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    nullable: bool = True
    per_donor: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all levels, `null` included."""
        return (*self.levels, "null") if self.nullable else self.levels


@dataclass(frozen=True, slots=True)
class Ladder:
    """A hierarchy over the values that occur: `labels[level, value]` is an index of `texts`, 0 being null.

    The last value is null; label i covers [low[i], high[i]).
    """

    hierarchy: Hierarchy
    labels: Ints
    texts: tuple[str | None, ...]
    low: Ints
    high: Ints


def age(column: str = "age") -> Hierarchy:
    """Years, 5, 10 and 20-year bands, null; 90 and over is one class (45 CFR 164.514(b)(2)(i)(C))."""
    names = ("years", "5-year bands", "10-year bands", "20-year bands")
    return Hierarchy(column, names, widths=(1, 5, 10, 20), top=90, per_donor=True)


def days(column: str = "days_from_first") -> Hierarchy:
    """Days, weeks, 4 weeks, 52 weeks, "later", null; the first study's 0 stays 0 until null."""
    names = ("days", "weeks", "4 weeks", "52 weeks", "later")
    return Hierarchy(column, names, widths=(1, 7, 28, 364, END), zero_apart=True)


def bands(column: str, widths: Sequence[int], *, nullable: bool = True) -> Hierarchy:
    """Whole numbers from 0 in bands, each width a multiple of the one before.

    Raises:
        InputError: bands that cut across each other, which two releases could reveal.
    """
    if not widths or any(wide % narrow for narrow, wide in itertools.pairwise(widths)):
        raise InputError(f"{column}: each band must be made of whole smaller ones", hint="Such as 1, 5, 10.")
    return Hierarchy(column, tuple(f"bands of {width}" for width in widths), tuple(widths), nullable=nullable)


def tree(column: str, levels: Sequence[str], paths: Mapping[str, Sequence[str]]) -> Hierarchy:
    """Codes that have parents: `paths` maps each value to its label at each of `levels`, itself first.

    Raises:
        InputError: a path of another length, or a label with different parents.
    """
    if any(len(path) != len(levels) for path in paths.values()):
        raise InputError(f"{column}: each value needs one label for each of {len(levels)} levels")
    parents: dict[str, tuple[str, ...]] = {}
    for path in paths.values():
        for depth, label in enumerate(path):
            above = tuple(path[depth + 1 :])
            if parents.setdefault(label, above) != above and set(parents[label]) | {label} != set(above) | {label}:
                raise InputError(f"{column}: a label stands under two parents", hint="Name each label once.")
    return Hierarchy(column, tuple(levels), paths={value: tuple(path) for value, path in paths.items()})


def plain(column: str, *, nullable: bool = True, per_donor: bool = False) -> Hierarchy:
    """The value or, where `nullable`, null; not nullable for what the images state as well."""
    return Hierarchy(column, ("value",), nullable=nullable, per_donor=per_donor)


def ranks(column: pa.ChunkedArray) -> tuple[Ints, pa.Array]:
    """Each row's index among the sorted distinct values, and these; null is -1."""
    encoded = pc.dictionary_encode(column).combine_chunks()
    order = pc.array_sort_indices(encoded.dictionary).to_numpy()
    rank = np.empty(len(order) + 1, np.int64)
    rank[order] = np.arange(len(order))
    rank[-1] = -1
    rows = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return rank[rows], encoded.dictionary.take(pa.array(order))


def ladder(hierarchy: Hierarchy, values: Sequence[object], published: Sequence[str] = ()) -> Ladder:
    """The labels of `values` at each level, and those of `published`, which earlier releases used.

    Value i of `published` becomes value `len(values) + i`, whose label is itself at each level.

    Raises:
        InputError: a value that has no place in the hierarchy.
    """
    paths = [_path(hierarchy, value) for value in values]
    texts: list[str | None] = [None, *sorted({*(label for path in paths for label in path), *published})]
    index = {text: position for position, text in enumerate(texts)}
    fixed = np.array([*(index[text] for text in published), 0], np.int64)
    levels = [
        np.concatenate([np.array([index[path[level]] for path in paths], np.int64), fixed])
        for level in range(len(hierarchy.levels))
    ]
    if hierarchy.nullable:
        levels.append(np.concatenate([np.zeros(len(paths), np.int64), fixed]))
    low, high = _spans(hierarchy, texts)
    return Ladder(hierarchy, np.stack(levels), tuple(texts), low, high)


def _path(hierarchy: Hierarchy, value: object) -> tuple[str, ...]:
    if hierarchy.widths:
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InputError(f"{hierarchy.column}: not whole numbers from 0 up", hint="Give years or days as integers.")
        return tuple(_band(hierarchy, value, width) for width in hierarchy.widths)
    if hierarchy.paths:
        if str(value) not in hierarchy.paths:
            raise InputError(f"{hierarchy.column}: a value is not in the hierarchy", hint="Map it to a code first.")
        return hierarchy.paths[str(value)]
    return (str(value),)


def _band(hierarchy: Hierarchy, value: int, width: int) -> str:
    """The text of the band of a value: `45`, `40-49`, `90+`."""
    if value >= hierarchy.top:
        return f"{hierarchy.top}+"
    if hierarchy.zero_apart and value == 0:
        return "0"
    low = max(value // width * width, int(hierarchy.zero_apart))
    high = min(value // width * width + width, hierarchy.top) - 1
    return f"{low}+" if high >= END - 1 else str(low) if low == high else f"{low}-{high}"


def _spans(hierarchy: Hierarchy, texts: Sequence[str | None]) -> tuple[Ints, Ints]:
    """The interval [low, high) of each label; null is everything; an unknown text is a point of its own."""
    known = {} if hierarchy.widths else _tree_spans(hierarchy)
    spans = []
    for position, text in enumerate(texts):
        if text is None:
            spans.append((0, END))
        elif hierarchy.widths and (match := _BAND.fullmatch(text)):
            low = int(match[1])
            spans.append((low, END if match[3] else int(match[2] or low) + 1))
        else:
            spans.append(known.get(text, (END // 2 + position, END // 2 + position + 1)))
    array = np.array(spans, np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def _tree_spans(hierarchy: Hierarchy) -> dict[str, tuple[int, int]]:
    """Leaves in the order of their paths from the root, so that every label covers neighbours."""
    spans: dict[str, tuple[int, int]] = {}
    for leaf, path in enumerate(sorted(hierarchy.paths.values(), key=lambda path: path[::-1])):
        for label in path:
            spans[label] = (spans.get(label, (leaf, leaf))[0], leaf + 1)
    return spans


def values_of(hierarchy: Hierarchy, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A raw column as the hierarchy takes it: whole numbers for bands, text for all else."""
    return column if hierarchy.widths else pc.cast(column, pa.string())


def join_bands(low: pa.ChunkedArray, high: pa.ChunkedArray) -> pa.ChunkedArray:
    """Bands as text (`40-49`, `45`, `90+`, null) from two columns, `high` being null for an open class."""
    text = [
        None if a is None else f"{a}+" if b is None else str(a) if a == b else f"{a}-{b}"
        for a, b in zip(low.to_pylist(), high.to_pylist(), strict=True)
    ]
    return pa.chunked_array([pa.array(text, pa.string())])


def split_bands(bands: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """`join_bands` the other way: int16 low and high."""
    rows, found = ranks(bands)
    texts = found.to_pylist()
    spans = [(_BAND.fullmatch(str(text)), str(text)) for text in texts]
    low = [int(match[1]) if match else None for match, _ in spans] + [None]
    high = [(None if match[3] else int(match[2] or match[1])) if match else None for match, _ in spans] + [None]
    index = pa.array(np.where(rows < 0, len(texts), rows))
    return (
        pa.chunked_array([pa.array(low, pa.int16()).take(index)]),
        pa.chunked_array([pa.array(high, pa.int16()).take(index)]),
    )
