"""Region and diagnosis as one label each, which disclosure control recodes, and as the columns that are published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from curate.core.records import Row
from curate.metadata import diagnosis, region

GROUP, BLOCK, CHAPTER = "group ", "block ", "chapter "


def region_label(codes: Sequence[str], side: str | None) -> str | None:
    """The label of region codes and a side."""
    return ("+".join(codes) + (f"/{side}" if side else "")) if codes else None


def region_of(columns: Mapping[str, Any]) -> str | None:
    """The label of published columns: `region_columns` the other way."""
    group = columns["region_group"]
    return region_label(columns["region_codes"], columns["laterality"]) or (f"{GROUP}{group}" if group else None)


def diagnosis_of(columns: Mapping[str, Any]) -> str | None:
    """The label of published columns: `diagnosis_columns` the other way."""
    prefix = {"block": BLOCK, "chapter": CHAPTER}.get(columns["diagnosis_level"], "")
    return f"{prefix}{columns['diagnosis_code']}" if columns["diagnosis_code"] else None


def region_columns(label: str | None) -> Row:
    """The columns of a region's label: codes with a side or without, or the group alone."""
    if label is None or label.startswith(GROUP):
        group = None if label is None else label.removeprefix(GROUP)
        return {"region_codes": [], "region": None, "region_group": group, "laterality": None}
    codes, _, side = label.partition("/")
    coded = region.code(codes, laterality=side or None)
    return {
        "region_codes": list(coded.codes),
        "region": coded.meaning,
        "region_group": coded.group,
        "laterality": coded.laterality,
    }


def diagnosis_columns(label: str | None) -> Row:
    """The columns of a diagnosis' label: category, block or chapter."""
    if label is None:
        return {"diagnosis_code": None, "diagnosis_title": None, "diagnosis_level": None}
    for prefix, titles in ((BLOCK, _titles("block")), (CHAPTER, _titles("chapter"))):
        if label.startswith(prefix):
            code = label.removeprefix(prefix)
            return {
                "diagnosis_code": code,
                "diagnosis_title": titles[code],
                "diagnosis_level": prefix.strip(),
            }
    none = label == diagnosis.NONE
    title = diagnosis.NONE_MEANING if none else diagnosis.categories()[label].title
    return {"diagnosis_code": label, "diagnosis_title": title, "diagnosis_level": "category"}


@cache
def _titles(level: str) -> Mapping[str, str]:
    return {getattr(e, level): getattr(e, f"{level}_title") for e in diagnosis.categories().values()}
