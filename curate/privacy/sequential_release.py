"""Holds new studies back that would bring a class that is published already below k."""

from __future__ import annotations

import numpy as np

from curate.privacy.encoding import Prepared, old_batch
from curate.privacy.equivalence_classes import Ints, persons
from curate.privacy.lattice_search import Words, mix
from curate.privacy.local_suppression import Batch, HoldReason, Mask, sizes


def protect(data: Prepared, batch: Batch, k: int) -> None:
    """Hold the new studies of known donors until nobody stands below k for their sake.

    A donor who gets a further study leaves those who looked alike: these must stay k or none. The new
    studies must be k-safe beside those older ones that the release still has, too.
    """
    known = _known(data, batch)
    while True:
        moving = np.bincount(batch.unit[batch.alive], minlength=len(known)).astype(bool) & known
        if (stop := _leaving_too_few(data, batch, moving, k)).any():
            _hold(batch, stop, HoldReason.LEAVES_OTHERS_ALONE)
        elif (stop := _too_few_moving(batch, moving, k) | _alone(data, batch, moving, k)).any():
            _hold(batch, stop, HoldReason.LATER_STUDY)
        else:
            return


def _known(data: Prepared, batch: Batch) -> Mask:
    """The units of which something was published, as a mask over the batch's units."""
    known = np.zeros(len(batch.person), bool)
    known[: len(data.signature)] = data.signature >= 0
    return known


def _hold(batch: Batch, units: Mask, reason: HoldReason) -> None:
    batch.held[batch.alive & units[batch.unit]] = reason


def _too_few_moving(batch: Batch, moving: Mask, k: int) -> Mask:
    word, _ = batch.unit_words()
    return moving & (sizes(word, batch.person, moving) < k)


def _leaving_too_few(data: Prepared, batch: Batch, moving: Mask, k: int) -> Mask:
    """Of the units that move out of a class and would leave fewer than k in it, as many as must stay."""
    old = np.flatnonzero(data.signature >= 0)
    groups = int(data.signature.max(initial=-1)) + 1
    stays = old[~moving[old]]
    left = persons(data.signature[stays], groups, data.unit_person[stays])
    all_size = np.bincount(data.signature[old], minlength=groups)
    stop = np.zeros(len(moving), bool)
    if not moving.any():
        return stop
    word, _ = batch.unit_words()
    movers = np.flatnonzero(moving)
    for group in np.unique(data.signature[movers]):
        if 0 < left[group] < min(k, all_size[group]):
            mine = movers[data.signature[movers] == group]
            stop[_stay(mine, word, k, k - int(left[group]))] = True
    return stop


def _stay(units: Ints, word: Words, k: int, need: int) -> Ints:
    """`need` units at least, taken from the smallest of the classes into which they move."""
    classes, index, counts = np.unique(word[units], return_inverse=True, return_counts=True)
    chosen: list[Ints] = []
    for group in np.lexsort((classes, counts)):
        if need <= 0:
            break
        members = units[index == group]
        take = need if len(members) - need >= k else len(members)
        chosen.append(members[:take])
        need -= take
    return np.concatenate(chosen)


def _alone(data: Prepared, batch: Batch, moving: Mask, k: int) -> Mask:
    """The moving units that too few resemble by those rows alone that the release will have."""
    old, _ = old_batch(data, moving[: len(data.signature)])
    word, _ = batch.unit_words()
    word[: len(data.signature)] += mix(old.unit_words()[0])
    return moving & (sizes(word, batch.person, moving) < k)
