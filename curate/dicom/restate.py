"""A clean file once more, under a further pseudonym of its donor and on other days."""

from __future__ import annotations

from collections.abc import Callable

from curate.dicom.dates import DAY_US
from curate.dicom.identifiers import is_new_uid
from curate.dicom.reader import parse
from curate.dicom.rewrite import rewrite_parsed
from curate.dicom.types import Element, Item, Policy, StudyContext

Rename = Callable[[str], str]


def restate(data: bytes, donor_id: str, days: int, study_date: str, rename: Rename, policy: Policy) -> bytes:
    """The file with another PatientID, all its dates `days` later, and UIDs by their new names.

    `study_date` is the study's after that, empty where dates were removed; `rename` gets every keyed UID, the file's
    own among them. It is the rewriter that does it: what it would not write, this does not either.

    Raises:
        MalformedError: the file was not clean.
    """
    parsed = parse(data)
    parsed.dataset.update(_renamed(parsed.dataset, rename))
    shift = None if policy.dates == "remove" else days * DAY_US
    return b"".join(rewrite_parsed(parsed, StudyContext(None, donor_id, shift, study_date), policy).chunks)


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
