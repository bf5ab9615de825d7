"""The checker from the released bytes alone: it notices a single identifier, and leaves clean files alone.

`CURATE_PLANT_SINGLES` sets how many files with one identifier each are made.
"""

from __future__ import annotations

import os
from collections import Counter
from functools import cache

from tests.planter import bases, plant, search, system
from tests.planter.raw import Draft, read, write
from tests.planter.tokens import Source

SEED = int(os.environ.get("CURATE_PLANT_SEED", "20260101"))
SINGLES = int(os.environ.get("CURATE_PLANT_SINGLES", "1100"))
CLEAN = int(os.environ.get("CURATE_PLANT_CLEAN", "300"))


@cache
def released() -> tuple[Draft, ...]:
    """Every base after the rewriting, as a draft again."""
    made = []
    for draft in bases.drafts():
        outcome = system.attack(write(draft))
        if outcome.released is not None:
            made.append(read(outcome.released, draft.name))
    return tuple(made)


def test_one_identifier_is_noticed() -> None:
    """Of clean files with one planted identifier each at least 99 of 100 are objected to."""
    missed, made, layers = [], 0, set()
    for file in plant.singles(released(), SINGLES, Source(SEED + 2)):
        made += 1
        layers.add(file.plants[0].layer)
        if not system.noticed(file.data):
            missed.append(file.name)
    assert made >= 900
    assert len(layers) > 150
    assert len(missed) <= made * 0.01, f"{len(missed)} of {made} are missed: {missed[:40]}"


def test_clean_files_are_left_alone() -> None:
    """At most 1 of 100 rewritten files is objected to: bases, planted files and real ones."""
    flagged, made = [], 0
    for name, _, released_data in rewritten():
        if released_data is None:
            continue
        made += 1
        if system.noticed(released_data):
            flagged.append((name, [(one.rule, one.tag) for one in system.objections(released_data)][:3]))
    assert made >= 100
    assert len(flagged) <= made * 0.01, f"{len(flagged)} of {made} are flagged: {flagged[:20]}"


@cache
def rewritten() -> list[tuple[str, bytes, bytes | None]]:
    """Originals and what is released of each."""
    return [(name, data, system.attack(data).released) for name, data in _originals()]


def _originals() -> list[tuple[str, bytes]]:
    source = Source(SEED + 3)
    found = [(draft.name, write(draft)) for draft in bases.drafts()]
    for draft in bases.drafts()[:4]:
        for layer, chosen in list(plant.places(draft).items())[::9]:
            found.append((f"{draft.name}/{layer}", plant.one_layer(draft, layer, chosen, source).data))
    real = sorted(path for path in bases.CORPUS.rglob("*") if path.is_file() and path.stat().st_size < 300_000)
    step = max(1, len(real) // CLEAN)
    return found + [(path.name, path.read_bytes()) for path in real[::step]]


def test_an_original_is_objected_to() -> None:
    """No file that the rewriter would change passes the checker."""
    for name, data, released_data in rewritten():
        if released_data != data:
            assert system.noticed(data), name


def test_findings_hold_no_value() -> None:
    """What the checker says of a planted file names places and rules, never what was planted."""
    source, said = Source(SEED + 4), Counter[str]()
    for draft in bases.drafts()[::5]:
        for layer, chosen in list(plant.places(draft).items())[::17]:
            file = plant.one_layer(draft, layer, chosen, source)
            words = repr(system.verify(file.data, system.POLICY)).encode()
            said.update(search.survivors(words, file.plants))
    assert not said, said.most_common(20)
