"""No planted identifier survives the rewriting: the attack on the whole path, seeded.

`CURATE_PLANT_BASES` sets how many base files each layer is planted in, `CURATE_PLANT_SEED` the seed.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache

import pytest

from tests.planter import bases, plant, search, system
from tests.planter.plant import Planted
from tests.planter.raw import BIG, IMPLICIT, Draft, write
from tests.planter.tokens import Source

SEED = int(os.environ.get("CURATE_PLANT_SEED", "20260101"))
BASES = int(os.environ.get("CURATE_PLANT_BASES", "1"))
# Layers that no sound file would hold: refusing them by a code is as good as cleaning them.
BROKEN = (
    "coded-second", "coded-restart", "coded-extra tile", "colours-", "frames-", "lut", "native-much-longer", "wide-",
    "coded-J2K COC", "coded-J2K POC", "coded-J2K PPM", "coded-J2K QCC", "coded-J2K RGN", "coded-JPG", "coded-LSE",
    "coded-before the ", "coded-between fragments", "coded-element between", "coded-first fragment", "deep-70",
    "gap-", "group-2", "identity-16", "identity-18-values", "moment-UI-", "no-such-vr", "odd-groups",
    "other-pixels-7FE0000", "pixels-un", "trailing-bytes", "trailing-delimiter", "trailing-element of",
    "trailing-padding", "trailing-zip", "un-sequence-", "read-",
)  # fmt: skip
# Layers that change what others are planted in: each has files of its own.
APART = (
    *BROKEN, "coded-", "native-", "voi-", "unused-colours", "other-pixels", "numeric-", "deep-30", "un-sequence",
    "trailing-", "table-command", "identity", "wrong-vr", "double", "in-place", "dictionary", "order",
    "meta-identity", "padding", "beside", "repeaters", "code-own", "report", "decimals", "vendor-",
)  # fmt: skip


@cache
def drafts() -> tuple[Draft, ...]:
    """The bases that are released when nothing is planted in them."""
    return tuple(draft for draft in bases.drafts() if system.attack(write(draft)).released is not None)


@cache
def chosen(count: int, stride: int) -> dict[str, frozenset[str]]:
    """Of each base the layers that are planted in it: each (or every `stride`th) in `count` bases by turns."""
    having: dict[str, list[str]] = defaultdict(list)
    for draft in drafts():
        for layer in plant.places(draft):
            having[layer].append(draft.name)
    found: dict[str, set[str]] = defaultdict(set)
    for turn, (layer, names) in list(enumerate(sorted(having.items())))[::stride]:
        for step in range(min(count, len(names))):
            found[names[(turn + step * 7) % len(names)]].add(layer)
    return {name: frozenset(layers) for name, layers in found.items()}


def attacks(count: int, stride: int = 1) -> Iterator[tuple[Planted, bytes]]:
    """The planted files, each with its base."""
    source = Source(SEED)
    for draft in drafts():
        wanted, before = chosen(count, stride).get(draft.name, frozenset()), write(draft)
        for layer, places in plant.places(draft).items():
            if layer in wanted and (planted := plant.one_layer(draft, layer, places, source)).plants:
                yield planted, before


def test_the_search_sees_every_plant_before_the_rewriting() -> None:
    """A survivor can't be overlooked: in the planted files the search finds what was planted."""
    source, seen, planted = Source(SEED), 0, 0
    for draft in drafts()[:1]:
        assert draft.syntax not in (BIG, IMPLICIT)
        for file in plant.everything(draft, source):
            planted += len(file.plants)
            seen += len(search.survivors(file.data, file.plants))
    assert planted > 10_000
    assert seen >= planted * 0.999


def test_nothing_planted_survives() -> None:
    """Every file with identifiers in all places of a layer is released without them, or refused by a code."""
    plants, leaks, said, refused, uncoded = 0, Counter[str](), Counter[str](), Counter[str](), []
    kept_out = []
    for file, before in attacks(BASES):
        outcome = system.attack(file.data)
        plants += len(file.plants)
        said.update(search.survivors(outcome.said, file.plants))
        if not system.refused_by_code(outcome):
            uncoded.append((file.name, outcome.refusal))
        if outcome.released is None:
            refused[file.name.partition("/")[2]] += 1
            if not file.name.partition("/")[2].startswith(BROKEN):
                kept_out.append((file.name, outcome.refusal))
            continue
        leaks.update(search.survivors(outcome.released, file.plants, before))
    assert plants > 10_000
    assert not uncoded
    assert not said, f"{len(said)} places show in findings, logs or tracebacks: {said.most_common(20)}"
    assert not leaks, f"{leaks.total()} of {plants} identifiers survive: {leaks.most_common(40)}"
    assert not kept_out, f"sound files are refused: {kept_out[:20]}"


def test_everything_at_once_survives_nowhere() -> None:
    """One file a base with all layers that a sound file may hold together."""
    source = Source(SEED + 1)
    for draft in drafts()[:: max(1, 20 // BASES)]:
        file = plant.all_layers(draft, source, APART)
        outcome = system.attack(file.data)
        assert outcome.released is not None, (draft.name, outcome.refusal)
        found = search.survivors(outcome.released, file.plants, write(draft))
        assert not found, (draft.name, len(found), len(file.plants), found[:20])
        assert not system.noticed(outcome.released), draft.name


def test_a_directory_is_refused_without_naming_anybody() -> None:
    """A DICOMDIR's records name patients; it is left out by a code that does not."""
    outcome = system.attack(bases.directory("QZJSETNAME", "QZJBCDFGHJK"))
    assert outcome.released is None
    assert system.refused_by_code(outcome)
    assert b"QZJ" not in outcome.said


@pytest.mark.parametrize("dates", ["rebase", "remove"])
def test_no_date_of_the_study_survives(dates: str) -> None:
    """The study's own dates and times, not only planted ones, are gone from every base."""
    policy = system.replace(system.POLICY, dates=dates)
    for draft in drafts():
        outcome = system.attack(write(draft), policy)
        assert outcome.released is not None
        own = {elem.raw[:8] for elem in draft.items if elem.vr == "DA" and len(elem.raw) == 8}
        released = search.KEYED.sub(b"", outcome.released)
        assert not [date for date in own if date in released], draft.name


def test_what_was_rewritten_before_changes_nothing() -> None:
    """The result rests on the file and its study alone, not on which files came before it."""
    files = [file.data for file, _ in attacks(1, 11)]
    first = [system.attack(data).released for data in files]
    second = [system.attack(data).released for data in reversed(files)]
    assert first == second[::-1]
