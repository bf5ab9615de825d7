"""A data set asked by keyword, as pydicom's is: so that one rule serves what is written and what is read later."""

from __future__ import annotations

from typing import Any

from curate.dicom.attributes import remembered, typed
from curate.dicom.dictionary import tag_of
from curate.dicom.model import Item


class Header:
    """The values of an item by keyword; its sequences are lists of headers. Empty values are None."""

    __slots__ = ("_item",)

    def __init__(self, item: Item) -> None:
        self._item = item

    def get(self, name: str, default: Any = None) -> Any:
        """The value, a list of several, or a list of items; `default` where the attribute is absent."""
        element = self._item.get(tag_of(name))
        if element is None:
            return default
        if isinstance(element.value, list):
            return [Header(item) for item in element.value]
        return remembered(element, self._item.encodings)

    def private(self, group: int, creator: str, number: int) -> Any:
        """The value of a private attribute; None where its block is not there."""
        element = self._item.private(group, creator, number)
        return None if element is None else typed(element, self._item.encodings)

    def __contains__(self, name: object) -> bool:
        return tag_of(str(name)) in self._item
