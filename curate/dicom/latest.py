"""The data set that a cleaner judged last: the next one of its series differs from it in a few elements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import compress
from operator import is_not

from curate.dicom.types import Element, Item, Verdict


class Latest:
    """A data set's attributes in their order, its elements with their verdicts, and what stays of them."""

    __slots__ = ("counts", "elements", "fixed", "kept", "places", "tags", "verdicts")

    def __init__(
        self,
        tags: list[int],
        elements: list[Element],
        verdicts: list[Verdict],
        kept: Item,
        counts: Mapping[str, int],
    ) -> None:
        self.tags, self.elements, self.verdicts = tags, elements, verdicts
        self.kept, self.counts = kept, counts
        self.fixed: dict[int, str] | None = None
        self.places = {tag: place for place, tag in enumerate(tags)}

    def stale(self, item: Item, rests: Mapping[int, set[int]]) -> list[int] | None:
        """Which elements of an item have to be judged, by their places; None where its attributes are others.

        `rests` says on which siblings the verdict on an attribute has ever rested; `fixed` goes whatever it holds.
        """
        if self.tags != list(item):
            return None
        differ = compress(self.tags, map(is_not, item.values(), self.elements))
        fixed = self.fixed or {}
        changed = [tag for tag in differ if tag not in fixed or item[tag].vr != fixed[tag]]
        moved = set(changed)
        depending = (
            self.places[tag]
            for tag, siblings in rests.items()
            if tag in self.places and tag not in moved and not siblings.isdisjoint(moved)
        )
        return [*(self.places[tag] for tag in changed), *depending]

    def take(self, elements: list[Element], places: list[int], verdicts: list[Verdict]) -> bool:
        """Put new verdicts in their places; False, and nothing done, where a private block's creator may change."""
        before = [self.verdicts[place] for place in places]
        for place, old, new in zip(places, before, verdicts, strict=True):
            tag = self.tags[place]
            if tag & 0x10000 and (tag & 0xFFFF < 0x100 or (old.cleaned is None) != (new.cleaned is None)):
                return False
        self.elements = elements
        for place, old, new in zip(places, before, verdicts, strict=True):
            self.verdicts[place] = new
            if new.cleaned is not None:
                self.kept[self.tags[place]] = new.cleaned
            elif old.cleaned is not None:
                del self.kept[self.tags[place]]
        pairs = zip(before, verdicts, strict=True)
        if any(old.label != new.label or old.nested or new.nested for old, new in pairs):
            counts: Counter[str] = Counter()
            count(self.verdicts, counts)
            self.counts = counts
        return True


def count(verdicts: Iterable[Verdict], counts: Counter[str]) -> None:
    """Add up which rules applied, at every level."""
    counts.update([verdict.label for verdict in verdicts])
    for verdict in verdicts:
        if verdict.nested:
            counts.update(verdict.nested)
