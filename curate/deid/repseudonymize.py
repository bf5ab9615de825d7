"""A clean file once more, under a further pseudonym of its donor and on other days."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from curate.deid.dates import DAY_US, date_text, parse_date
from curate.deid.pseudonyms import is_new_uid
from curate.deid.records import StudyContext
from curate.deid.rewrite import rewrite_parsed
from curate.deid.verify import released_context
from curate.dicom.io.reader import parse
from curate.dicom.model import Element, Item
from curate.policies import Policy

Rename = Callable[[str], str]


def repseudonymize(data: bytes, donor_id: str, days: int, rename: Rename, policy: Policy) -> bytes:
    """The file with another PatientID, all its dates `days` later, and UIDs by their new names.

    `rename` gets every keyed UID, the file's own among them. It is the rewriter that does it: what it would not write,
    this does not either; and where dates were removed there are none.

    Raises:
        MalformedError: the file was not clean.
    """
    parsed = parse(data)
    named = Item({**parsed.dataset, **_renamed(parsed.dataset, rename)}, parsed.dataset.encodings)
    parsed = replace(parsed, dataset=named, track=None)
    present = released_context(parsed.dataset, policy)
    moved, day = StudyContext(None, donor_id, None), parse_date(present.study_date.encode())
    if present.shift_us is not None:
        date = "" if day is None else date_text(day + timedelta(days=days))
        moved = StudyContext(None, donor_id, days * DAY_US, date)
    return b"".join(rewrite_parsed(parsed, moved, policy).chunks)


def _renamed(item: Item, rename: Rename) -> Item:
    """The elements that may hold keyed UIDs, at any depth, with the new ones; the old ones are shared, and stay."""
    found = Item(encodings=item.encodings)
    for tag, element in item.items():
        if element.vr == "UI":
            found[tag] = Element(tag, "UI", _uids(item.raw(tag), rename))
        elif isinstance(element.value, list):
            items = [Item({**inner, **_renamed(inner, rename)}, inner.encodings) for inner in element.value]
            found[tag] = Element(tag, element.vr, items)
    return found


def _uids(raw: bytes, rename: Rename) -> bytes:
    values = raw.decode("ascii").strip(" \0").split("\\")
    text = "\\".join(rename(value) if is_new_uid(value) else value for value in values)
    return text.encode() + b"\0" * (len(text) % 2)
