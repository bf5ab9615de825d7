"""Region: Body Part Examined, SNOMED CT codes and free text to PS3.16 Annex L codes and coarse groups.

PS3.16 Annex L and CID 4031; PS3.3 C.7.3.1 (0018,0015), (0020,0060).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from curate.core import resources
from curate.metadata import region_text
from curate.metadata.coded import Coded, fold

TRUNK = frozenset({"neck", "chest", "abdomen", "pelvis", "trunk"})
SIDES = {"R": "right", "L": "left", "B": "both sides"}


@dataclass(frozen=True, slots=True)
class Region:
    """One region of `data/regions.json`; `parts` are the codes of a combined region."""

    code: str
    meaning: str
    group: str
    paired: bool
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False)
class CodedRegion(Coded):
    """A region: `code` is SNOMED CT, or several joined with +; `codes` are its parts.

    `group` is coarse (head, neck, chest, abdomen, pelvis, trunk, spine, upper limb ...); `laterality` is R,
    L, B or None.
    """

    codes: tuple[str, ...] = ()
    group: str = ""
    laterality: str | None = None


def code(raw: str | None, *, laterality: str | None = None) -> CodedRegion:
    """The region of what a table says: a Body Part Examined term, a SNOMED CT code, or free text."""
    return _coded(raw, laterality)


def of_header(body_part_examined: str | None, laterality: str | None = None) -> CodedRegion:
    """The region of a header's BodyPartExamined and (Image)Laterality; U, unpaired, is no laterality."""
    side = (laterality or "").strip().upper()
    return _coded(body_part_examined, None if side == "U" else side)


def union(several: Iterable[CodedRegion]) -> CodedRegion:
    """One region for several, refused ones left out; left and right of one region are both sides."""
    coded = [each for each in several if each.code is not None]
    if not coded:
        return _refused("REGION_MISSING", "no region is given")
    sides = {each.laterality for each in coded}
    one = len({each.code for each in coded}) == 1
    side = sides.pop() if len(sides) == 1 else "B" if one and None not in sides else None
    return _answer((part for each in coded for part in each.codes), side)


def disagree(table: CodedRegion, header: CodedRegion) -> bool:
    """Whether two regions lie in different groups (REGION_DISAGREES); unknown ones do not disagree."""
    if table.code is None or header.code is None:
        return False
    groups = {_wide(part) for part in table.codes} & {_wide(part) for part in header.codes}
    if any(_contains(one, other) for one in (table, header) for other in (table, header)):
        return False
    return not groups and table.group != header.group and "whole body" not in (table.group, header.group)


_CONTAINED = {"limb": frozenset({"upper limb", "lower limb"}), "trunk": TRUNK}


def _contains(one: CodedRegion, other: CodedRegion) -> bool:
    """Whether a region is a coarser word for another: an extremity and a forearm, the trunk and the chest."""
    parts = {regions()[part].group for part in other.codes}
    return any(parts & _CONTAINED.get(regions()[part].group, frozenset()) for part in one.codes)


def meaning_of(region_code: str) -> str:
    """The meaning of a code that this module gave, combined ones included.

    Raises:
        KeyError: not a code of `data/regions.json`.
    """
    return " + ".join(regions()[part].meaning for part in region_code.split("+"))


def group_of(region_code: str) -> str:
    """The coarse group of a code that this module gave.

    Raises:
        KeyError: not a code of `data/regions.json`.
    """
    codes = region_code.split("+")
    return regions()[codes[0]].group if len(codes) == 1 else _group(codes)


@cache
def regions() -> dict[str, Region]:
    """All regions by SNOMED CT code."""
    return {
        entry["code"]: Region(
            entry["code"], entry["meaning"], entry["group"], entry["paired"], tuple(entry.get("of", ()))
        )
        for entry in _data("regions.json")["regions"]
        if "alias_of" not in entry
    }


@cache
def body_parts() -> dict[str, str]:
    """The SNOMED CT code of each Body Part Examined term of Annex L."""
    return {entry["term"]: entry["code"] for entry in _data("regions.json")["regions"] if entry["term"]}


def _data(name: str) -> dict[str, Any]:
    path = resources.vocabulary_path(f"metadata/data/{name}")
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


@cache
def _headers() -> dict[str, tuple[str, ...]]:
    """What reviewed header values mean; an empty tuple for those that name no region."""
    raw = _data("region_headers.json")
    return {_header_key(key): tuple(entry["regions"]) for key, entry in raw["headers"].items()}


def _header_key(raw: str) -> str:
    return re.sub(r"[_\s]+", " ", raw.strip().upper())


def _coded(raw: str | None, laterality: str | None) -> CodedRegion:
    """Standard terms first, then reviewed headers, then free text; all compared whole."""
    text = (raw or "").strip()
    if not text:
        return _refused("REGION_MISSING", "no region is given")
    given = region_text.side(laterality)
    if laterality and fold(laterality) and given is None:
        return _refused("LATERALITY_UNREADABLE", "not a laterality; write R, L or B")
    joined = [part.strip() for part in text.split("+")]
    if all(part in regions() for part in joined):
        return _answer(joined, given)  # as `code` writes it
    found = _standard(text)
    if found is not None:
        return _answer([found], given)
    known = _headers().get(_header_key(text))
    if known is not None:
        return _answer([body_parts()[term] for term in known], given) if known else _no_region()
    return _from_text(text, given)


def _standard(text: str) -> str | None:
    """The code of a Body Part Examined term or of a SNOMED CT code of Annex L."""
    bare = re.sub(r"^\(?(?:SCT|SNOMED(?:[- ]CT)?)\s*[:|]?\s*", "", text, flags=re.IGNORECASE)
    if bare in regions():
        return bare
    ambiguous = region_text.ambiguity(text)
    return None if ambiguous else body_parts().get(text.upper())


def _from_text(text: str, given: str | None) -> CodedRegion:
    read = region_text.read(text)
    if read.rule:
        return _refused(read.rule, read.reason)
    sides = {side for side in (*read.sides, given) if side}
    if len(sides) > 1:
        return _refused("LATERALITY_CONFLICT", "more than one laterality")
    return _answer(read.codes, next(iter(sides), None))


def _answer(codes: Iterable[str], laterality: str | None) -> CodedRegion:
    """One answer for one or several regions, combined into one code where Annex L has it."""
    parts = _split(codes)
    whole = _wholes().get(frozenset(parts))
    named = (whole,) if whole else tuple(sorted(parts))
    joined = "+".join(named)
    meaning = meaning_of(joined) + (f", {SIDES[laterality]}" if laterality else "")
    kept = (regions()[whole].parts if whole else ()) or named
    return CodedRegion(joined, meaning, codes=kept, group=group_of(joined), laterality=laterality)


def _split(codes: Iterable[str]) -> set[str]:
    return {part for each in codes for part in (regions()[each].parts or (each,))}


@cache
def _wholes() -> dict[frozenset[str], str]:
    """Which single code says a set of parts."""
    wholes = {frozenset(region.parts): each for each, region in regions().items() if region.parts}
    return wholes | {frozenset({each}): each for each, region in regions().items() if not region.parts}


def _group(codes: Iterable[str]) -> str:
    groups = {regions()[each].group for each in codes}
    if len(groups) == 1:
        return groups.pop()
    return "trunk" if groups <= TRUNK else "several regions"


def _wide(part: str) -> str:
    """The group of a part, with neighbours that requests and headers do not keep apart."""
    return {"neck": "head", "head and neck": "head", "breast": "chest", "pelvis": "abdomen", "limb": ""}.get(
        regions()[part].group, regions()[part].group
    )


def _no_region() -> CodedRegion:
    return _refused("REGION_UNKNOWN", "names a kind of image, not a region")


def _refused(rule: str, reason: str) -> CodedRegion:
    return CodedRegion(None, "", reason, rule)
