"""Content items of structured reports: coded content stays, text and names go (PS3.15 Table E.3.4-1)."""

from __future__ import annotations

import json
from functools import cache

from curate.core import resources
from curate.dicom import tags
from curate.dicom.model import Item

VALUE_TYPE, CONCEPT, CONCEPT_CODE = tags.ValueType, tags.ConceptNameCodeSequence, tags.ConceptCodeSequence
TEXT_VALUE = tags.TextValue

_VALUES = {
    "DATE": tags.Date,
    "TIME": tags.Time,
    "DATETIME": tags.DateTime,
    "UIDREF": tags.UID,
    "CODE": CONCEPT_CODE,
    "IMAGE": tags.ReferencedSOPSequence,
    "COMPOSITE": tags.ReferencedSOPSequence,
}
_KEPT = frozenset((*_VALUES, "NUM", "CONTAINER", "SCOORD", "SCOORD3D", "TCOORD"))
_NEEDS_CONCEPT = frozenset(("NUM", "CODE", "DATE", "TIME", "DATETIME", "UIDREF"))

# Characteristics of the person that the table does not list as content items.
_PERSON = frozenset(
    (scheme, value)
    for scheme, values in (
        ("DCM", "121030 121031 121032 121033 121034 121029 113815 121110 121151 109054"),
        ("SCT", "27113001 50373000 60621009 301898006 424144002 397669002 263495000 263495 399423000 184099003 "
                "364075005 103579009 276885007 161712005 11449006 77386006 310004 237240001 161732006 66839005"),
        ("SRT", "F-008EC F-008F4 F-01860 G-C0E3 G-D705 F-84000"),
        ("LN", "29463-7 3141-9 8302-2 3137-7 39156-5 30525-0 21112-8 46098-0 8277-6 3140-1 3138-5 11996-6 11977-6 "
               "11778-8 11955-2 21840-4 46463-6 8665-2"),
    )
    for value in values.split()
)  # fmt: skip


@cache
def rows() -> dict[tuple[str, str, str], str]:
    """Basic actions of Table E.3.4-1 by scheme, code and value type."""
    raw = json.loads(resources.vocabulary_path("deid/data/table_e1_1.json").read_text(encoding="utf-8"))
    return {(row["scheme"], row["code"], row["value_type"]): row["basic"] for row in raw["content_items"]}


def finish(item: Item) -> Item | None:
    """A content item with a value left in it; None where it is text, a name, or about the person."""
    kind = item.text(VALUE_TYPE)
    concept = next(iter(item.items_of(CONCEPT)), None)
    name = (
        (concept.text(tags.CodingSchemeDesignator), concept.text(tags.CodeValue)) if concept is not None else ("", "")
    )
    if kind not in _KEPT or name in _PERSON:
        return None
    if kind in _NEEDS_CONCEPT and not name[1]:
        return None
    if rows().get((*name, kind)) == "X" and kind not in ("DATE", "TIME", "DATETIME", "IMAGE", "COMPOSITE"):
        return None
    value = _VALUES.get(kind)
    if value is not None and not item.raw(value) and not item.items_of(value):
        return None
    return item
