"""The data set that a cleaner judged last: the next one of its series differs from it in a few elements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import compress
from operator import is_not
from typing import TYPE_CHECKING

from curate.deid.dataset_rules import rests_on_others
from curate.dicom.io.writer import encode, is_wide
from curate.dicom.model import Element, Item, Verdict

if TYPE_CHECKING:
    from curate.dicom.io.layout_cache import SeriesLayout


class HeaderCache:
    """A data set's attributes in their order, its elements with their verdicts, and what stays of them.

    `finished` is what stays after the rules across the data set, which looked at the attributes `_rested`.
    """

    __slots__ = (
        *(
            "_pieces",
            "_rested",
            "_track",
            "_varying",
            "counts",
            "elements",
            "finished",
            "fixed",
            "kept",
            "places",
        ),
        *("tags", "verdicts"),
    )

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
        self.finished: Item | None = None
        self._rested: set[int] = set()
        self._pieces: dict[int, bytes] | None = None
        self._track: SeriesLayout | None = None
        self._varying: list[tuple[int, int]] = []

    def stale(self, item: Item, rests: Mapping[int, frozenset[int]], track: SeriesLayout | None) -> list[int] | None:
        """Which elements of an item have to be judged, by their places; None where its attributes are others.

        `rests` says on which siblings the verdict on an attribute rests; `fixed` goes whatever it holds.
        Where the item keeps to the track of the latest, only what varies there can differ.
        """
        if track is not None and track is self._track and self._ends_like(item):
            elements = self.elements
            changed = [tag for tag, place in self._varying if item[tag] is not elements[place]]
        elif self.tags == list(item):
            changed = self._changed(item)
        else:
            return None
        moved, places = set(changed), self.places
        for tag, siblings in rests.items():
            if tag not in moved and tag in places and not siblings.isdisjoint(moved):
                changed.append(tag)
        return [places[tag] for tag in changed]

    def _ends_like(self, item: Item) -> bool:
        """Whether an item of the same track has pixels where the latest has."""
        return len(item) == len(self.tags) and next(reversed(item)) == self.tags[-1]

    def _changed(self, item: Item) -> list[int]:
        differ = compress(zip(self.tags, self.elements, strict=True), map(is_not, item.values(), self.elements))
        return [tag for tag, old in differ if not (self._goes(tag, item[tag].vr) and self._goes(tag, old.vr))]

    def _goes(self, tag: int, vr: str) -> bool:
        return self.fixed is not None and self.fixed.get(tag) == vr

    def take(
        self, elements: list[Element], places: list[int], verdicts: list[Verdict], track: SeriesLayout | None
    ) -> bool:
        """Put new verdicts in their places; False, and nothing done, where a private block's creator may change."""
        before = [self.verdicts[place] for place in places]
        recount = False
        for place, old, new in zip(places, before, verdicts, strict=True):
            tag = self.tags[place]
            if tag & 0x10000 and (tag & 0xFFFF < 0x100 or (old.cleaned is None) != (new.cleaned is None)):
                return False
            recount = recount or old.label != new.label or bool(old.nested or new.nested)
        for place, element, old, new in zip(places, elements, before, verdicts, strict=True):
            self.elements[place], self.verdicts[place] = element, new
            if new.cleaned is not old.cleaned:
                self._keep(self.tags[place], old.cleaned, new.cleaned)
        if recount:
            counts: Counter[str] = Counter()
            count(self.verdicts, counts)
            self.counts = counts
        if track is not self._track:
            self._track = track
            known = {tag: track.base[tag].vr for tag in track.varying} if track else {}
            self._varying = [(t, self.places[t]) for t, vr in known.items() if not self._goes(t, vr)]
        return True

    def _keep(self, tag: int, old: Element | None, new: Element | None) -> None:
        """What stays of one attribute now; what was finished is done anew where it may rest on that."""
        if new is not None:
            self.kept[tag] = new
        else:
            del self.kept[tag]
        finished = self.finished
        if finished is None:
            return
        if old is None or new is None or tag in self._rested or finished.get(tag) is not old or rests_on_others(new):
            self.finished = None
            return
        finished[tag] = new
        if self._pieces is not None:
            self._pieces[tag] = encode(new)
            if new.wide:
                self._pieces = None

    def finish(self, item: Item) -> None:
        """Take what the rules across the data set made of what stays."""
        self._rested, item.seen = item.seen or set(), None
        self.finished, self._pieces = item, None

    def body(self) -> bytes | None:
        """The bytes of what is finished; None where its text needs more than ASCII."""
        if self._pieces is None and self.finished is not None:
            pieces = {tag: encode(element) for tag, element in sorted(self.finished.items())}
            if is_wide(self.finished):
                return None
            self._pieces = pieces
        return b"".join(self._pieces.values()) if self._pieces else None


def count(verdicts: Iterable[Verdict], counts: Counter[str]) -> None:
    """Add up which rules applied, at every level."""
    counts.update([verdict.label for verdict in verdicts])
    for verdict in verdicts:
        if verdict.nested:
            counts.update(verdict.nested)
