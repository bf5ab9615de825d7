"""The planter: files with an identifier in every place, or clean files with a single one."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from curate.core import resources
from tests.planter.places.attributes import (
    decimal_places,
    dictionary_places,
    in_place,
    inner_places,
    nested_places,
    private_places,
    repeater_places,
    table_places,
    unknown_places,
)
from tests.planter.places.codes import code_places, report_places
from tests.planter.places.moments import alike_places, every_date, item_moment_places, moment_places
from tests.planter.places.pixels import fragment_places, image_places
from tests.planter.places.place import Place, Plant
from tests.planter.places.short import initials_places, own_places, quantity_places
from tests.planter.places.structure import (
    depth_places,
    order_places,
    outer_places,
    unknown_vr_places,
    wrong_places,
)
from tests.planter.places.vendor import vendor_places
from tests.planter.places.words import charset_places, descriptor_places, numeric_places, person_places
from tests.planter.raw import BIG, DEFLATED, EXPLICIT, IMPLICIT, Draft, write
from tests.planter.tokens import Source

# Kinds whose places are the same for every draft of a transfer syntax, and those that rest on its tree.
SAME = (
    table_places,
    dictionary_places,
    decimal_places,
    repeater_places,
    private_places,
    vendor_places,
    unknown_places,
    charset_places,
    descriptor_places,
    numeric_places,
    person_places,
    moment_places,
    every_date,
    outer_places,
    order_places,
    wrong_places,
    unknown_vr_places,
    depth_places,
)
OWN = (
    inner_places,
    nested_places,
    in_place,
    code_places,
    report_places,
    item_moment_places,
    alike_places,
    initials_places,
    own_places,
    quantity_places,
    fragment_places,
    image_places,
)


# Layers of one value in many attributes.
_ATTRIBUTES = ("dictionary", "in-place", "inner", "numeric-", "wrong-vr-")
_TAG = re.compile("[0-9A-F]{8}")
UNTOLD = ("alike", "own")  # from the released bytes alone these can't be told from what is written


@dataclass(frozen=True, slots=True)
class Planted:
    """A file and what was planted in it."""

    name: str
    data: bytes
    plants: tuple[Plant, ...]


@cache
def _same(syntax: str) -> tuple[Place, ...]:
    draft = Draft("any", [], syntax)
    return tuple(place for kind in SAME for place in kind(draft))


def places(draft: Draft) -> dict[str, list[Place]]:
    """All places of a draft by layer: places of one layer can be planted together."""
    layers: dict[str, list[Place]] = defaultdict(list)
    for place in (*_same(draft.syntax), *(place for kind in OWN for place in kind(draft))):
        layers[f"read-{place.layer}" if _is_read_by(place) else place.layer].append(place)
    return layers


def _is_read_by(place: Place) -> bool:
    """Whether an identifier there refuses the file: the other places of its layer are looked at without it."""
    tags = {int(tag, 16) for tag in _TAG.findall(place.name)[-1:]}
    return place.layer.startswith(_ATTRIBUTES) and not tags.isdisjoint(_read_by())


@cache
def _read_by() -> frozenset[int]:
    """What pixels or geometry are read by, as the program's own list has it."""
    entries = json.loads(resources.vocabulary_path("deid/data/computing.json").read_text())["entries"]
    return frozenset(int(e["tag"], 16) for e in entries if "tag" in e and e["effect"] != "values")


def _plant(draft: Draft, chosen: Sequence[Place], source: Source) -> tuple[Plant, ...]:
    made = []
    for place in chosen:
        token = source.next()
        needles = place.plant(draft, token)
        if needles:
            made.append(Plant(place.layer, place.name, token, needles))
    return tuple(made)


def _kept(draft: Draft, plants: tuple[Plant, ...]) -> tuple[Plant, ...]:
    """The plants that are in the file: a later one of the same place may have taken an earlier one's."""
    plain = write(replace(draft, syntax=EXPLICIT)) if draft.syntax in (DEFLATED, IMPLICIT, BIG) else write(draft)
    return tuple(plant for plant in plants if plant.layer == "packed" or any(one in plain for one in plant.needles))


def one_layer(base: Draft, layer: str, chosen: Sequence[Place], source: Source) -> Planted:
    """One file with every place of a layer planted."""
    draft = base.copy()
    plants = _kept(draft, _plant(draft, chosen, source))
    return Planted(f"{base.name}/{layer}", write(draft), plants)


def everything(base: Draft, source: Source) -> Iterator[Planted]:
    """One file a layer, each place of the layer planted."""
    for layer, chosen in places(base).items():
        made = one_layer(base, layer, chosen, source)
        if made.plants:
            yield made


def all_layers(base: Draft, source: Source, without: tuple[str, ...]) -> Planted:
    """One file with the places of all layers, those left out whose name starts so; later ones win."""
    chosen = [place for layer, some in places(base).items() if not layer.startswith(without) for place in some]
    return one_layer(base, "all", chosen, source)


def singles(bases: Sequence[Draft], count: int, source: Source) -> Iterator[Planted]:
    """Clean files with one identifier each, the layers and the bases by turns."""
    queues: list[list[tuple[Draft, Place]]] = []
    merged: dict[str, list[tuple[Draft, Place]]] = defaultdict(list)
    for base in bases:
        for layer, chosen in places(base).items():
            if layer in UNTOLD:
                continue
            merged[layer] += [(base, place) for place in chosen]
    for chosen_pairs in merged.values():
        source.random.shuffle(chosen_pairs)
        queues.append(chosen_pairs)
    made = 0
    while made < count and any(queues):
        for queue in queues:
            if not queue or made >= count:
                continue
            base, place = queue.pop()
            draft = base.copy()
            plants = _plant(draft, [place], source)
            if plants:
                made += 1
                yield Planted(f"{base.name}/{place.name}", write(draft), plants)
