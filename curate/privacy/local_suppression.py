"""After the global recoding: suppress what still stands out, and hold what suppression can't save.

Whole classes move together, so that a class once large enough never shrinks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from curate.privacy.equivalence_classes import Ints, factorize, persons
from curate.privacy.lattice_search import Words, combine

Mask = npt.NDArray[np.bool_]
_MANY = 2**62


class HoldReason(IntEnum):
    """Why a study is not in the release."""

    NOT = 0
    TOO_FEW_ALIKE = 1
    LATER_STUDY = 2
    SHARE_SUPPRESSED = 3
    LEAVES_OTHERS_ALONE = 4
    WITHDRAWALS = 5


@dataclass(slots=True)
class Batch:
    """The rows of some units, and what is published of them; changed in place.

    `labels[column, row]` is 0 for null; `words[column]` has a word for each label. `unit` indexes
    `person`, `known` (a word for what is published already, 0 for nothing) and `part`; rows of a unit
    stand in the order of publication. `held` tells the living rows from the others. `anew` has, for each column, the
    label that a row takes when it becomes the first of a further id, 0 for the one it has; `bound` rows can't.
    """

    labels: npt.NDArray[np.int32]
    words: Sequence[Words]
    unit: Ints
    held: Ints
    person: Ints
    known: Words
    part: Ints
    anew: tuple[int, ...]
    bound: Mask

    @property
    def alive(self) -> Mask:
        """The rows that are to be published."""
        return np.equal(self.held, int(HoldReason.NOT))

    def unit_words(self) -> tuple[Words, Mask]:
        """One word for all that is published of each unit, and which units have rows at all."""
        rows = np.flatnonzero(self.alive)
        rows = rows[np.argsort(self.unit[rows], kind="stable")]
        lengths = np.bincount(self.unit[rows], minlength=len(self.person))
        present = lengths > 0
        word = np.zeros(len(rows), np.uint64)
        for column, words in enumerate(self.words):
            word += words[self.labels[column, rows]]
        result = np.zeros(len(self.person), np.uint64)
        result[present] = combine(word, lengths[present]) + self.known[present]
        return result, present

    def only(self, units: Mask) -> tuple[Batch, Ints]:
        """A copy of the living rows of some units, and where these rows are."""
        rows = np.flatnonzero(self.alive & units[self.unit])
        labels, unit, bound = self.labels[:, rows], self.unit[rows], self.bound[rows]
        return replace(self, labels=labels, unit=unit, held=np.zeros(len(rows), np.int64), bound=bound), rows


def sizes(word: Words, person: Ints, among: Mask) -> Ints:
    """How many different persons share each unit's word, counting units in `among`; 0 for the others."""
    result = np.zeros(len(word), np.int64)
    chosen = np.flatnonzero(among)
    group, groups = factorize(word[chosen])
    result[chosen] = persons(group, groups, person[chosen])[group]
    return result


def small(batch: Batch, k: int) -> Mask:
    """The units that share what is published of them with fewer than k persons."""
    word, present = batch.unit_words()
    return present & (sizes(word, batch.person, present) < k)


def suppress_or_hold(batch: Batch, k: int, columns: Sequence[int], *, reason: HoldReason, split: bool = False) -> None:
    """Suppress `columns`, the first first, and hold rows, until each unit shares with k persons.

    Of a unit that can't be saved the last row goes, and what remains is tried again; with `split` such
    a row gets a unit of its own first.
    """
    while (out := small(batch, k)).any():
        if columns:
            suppress(batch, out, k, columns)
        drop_last(batch, small(batch, k), reason, split=split)


def suppress(batch: Batch, units: Mask, k: int, columns: Sequence[int]) -> None:
    """Set columns to null, one after the other, in the rows of `units` until each shares with k persons.

    Where all columns don't suffice, others give up theirs to make up the number. Units that this does not
    save keep their cells.
    """
    tried, rows = batch.only(units)
    left = units
    for column in columns:
        tried.labels[column, left[tried.unit]] = 0
        left = units & small(tried, k)
        if not left.any():
            break
    saved = ~left[tried.unit]
    batch.labels[:, rows[saved]] = tried.labels[:, saved]
    if left.any():
        _borrow(batch, left, k, columns)


def _borrow(batch: Batch, left: Mask, k: int, columns: Sequence[int]) -> None:
    """Make each class of `left` complete with units that can be spared, all with their cells null."""
    word, present = batch.unit_words()
    bare = _bare_words(batch, columns)
    size = sizes(word, batch.person, present)
    may_lend = np.flatnonzero(present & ~left & (size >= k))
    may_lend = may_lend[np.isin(bare[may_lend], bare[left])]
    for target in np.unique(bare[left]):
        members = np.flatnonzero(left & (bare == target))
        need = k - len(set(batch.person[members].tolist()))
        taken = _lenders(word, size, may_lend[bare[may_lend] == target], k, need)
        if len(taken):
            units = np.zeros(len(left), bool)
            units[taken] = units[members] = True
            batch.labels[np.ix_(np.array(columns), np.flatnonzero(units[batch.unit] & batch.alive))] = 0


def _lenders(word: Words, size: Ints, lenders: Ints, k: int, need: int) -> Ints:
    """`need` units of the largest class if it can spare them, or the smallest class that is enough."""
    largest = _alike(word, lenders[size[lenders] == size[lenders].max(initial=0)])
    if len(largest) - need >= k:
        return largest[:need]
    enough = lenders[size[lenders] >= need]
    return _alike(word, enough[size[enough] == size[enough].min(initial=_MANY)])


def _alike(word: Words, units: Ints) -> Ints:
    """Those of `units` that are like the first."""
    return np.compress(word[units] == word[units[:1]], units) if len(units) else units


def _bare_words(batch: Batch, columns: Sequence[int]) -> Words:
    """What would be published of each unit if all `columns` were null."""
    labels = batch.labels.copy()
    labels[list(columns)] = 0
    return replace(batch, labels=labels).unit_words()[0]


def drop_last(batch: Batch, units: Mask, reason: HoldReason, *, split: bool) -> None:
    """Hold the last living row of each of `units`, or give it a unit of its own."""
    rows = np.flatnonzero(batch.alive & units[batch.unit])
    last = np.full(len(units), -1, np.int64)
    np.maximum.at(last, batch.unit[rows], rows)
    count = np.bincount(batch.unit[rows], minlength=len(units))
    last = last[last >= 0]
    further = (count[batch.unit[last]] > 1) | (batch.known[batch.unit[last]] != 0)
    if split:
        free = further & ~batch.bound[last]
        _split(batch, last[free])
        batch.held[last[~free]] = np.where(further[~free], HoldReason.LATER_STUDY, reason)
    else:
        batch.held[last] = np.where(further & (reason == HoldReason.TOO_FEW_ALIKE), HoldReason.LATER_STUDY, reason)


def _split(batch: Batch, rows: Ints) -> None:
    """Give each row a unit of its own, under the next number of its person, of which it is the first study."""
    for column, label in enumerate(batch.anew):
        if label:
            batch.labels[column, rows] = label
    owner = batch.person[batch.unit[rows]]
    highest = np.zeros(int(batch.person.max(initial=-1)) + 1, np.int64)
    np.maximum.at(highest, batch.person, batch.part)
    batch.unit[rows] = len(batch.person) + np.arange(len(rows))
    batch.person = np.concatenate([batch.person, owner])
    batch.known = np.concatenate([batch.known, np.zeros(len(rows), np.uint64)])
    batch.part = np.concatenate([batch.part, highest[owner] + 1])


def nulled(batch: Batch, before: npt.NDArray[np.int32]) -> Mask:
    """Which cells were set to null."""
    cells: Mask = (batch.labels == 0) & (before != 0)
    return cells


def trim(batch: Batch, before: npt.NDArray[np.int32], most: int, k: int) -> None:
    """Undo suppression in whole classes, those with the most cells first, until `most` studies have any.

    Their units lose their last study, and others until they are safe with their cells as they were.
    """
    nulls = (nulled(batch, before) & batch.alive).sum(axis=0)
    if np.count_nonzero(nulls) <= most:
        return
    word, present = batch.unit_words()
    per_unit = np.bincount(batch.unit, weights=nulls, minlength=len(word))
    touched = present & (per_unit > 0)
    size = sizes(word, batch.person, present)
    excess = np.count_nonzero(nulls) - most
    units = np.flatnonzero(touched)
    order = units[np.lexsort((word[units], size[units], -per_unit[units]))]
    studies = np.bincount(batch.unit[nulls > 0], minlength=len(word))
    go: set[int] = set()
    for unit in order:
        if excess <= 0 and int(word[unit]) not in go:
            break
        go.add(int(word[unit]))
        excess -= int(studies[unit])
    gone = np.isin(word, np.array(sorted(go), np.uint64)) & present
    rows = gone[batch.unit]
    batch.labels[:, rows] = np.where(nulled(batch, before)[:, rows], before[:, rows], batch.labels[:, rows])
    drop_last(batch, gone, HoldReason.SHARE_SUPPRESSED, split=False)
    suppress_or_hold(batch, k, (), reason=HoldReason.SHARE_SUPPRESSED)
