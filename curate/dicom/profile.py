"""What happens to each attribute, and why: PS3.15 Table E.1-1 by tag, then an allow-list that rebuilds the rest."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag

from curate import resources
from curate.dicom import anatomy, codes, dates, equipment, grammar, icc, identifiers, private, terms
from curate.dicom.finish import check_dataset, finish_dataset, finish_item
from curate.dicom.identifying import direct_identifiers, identifying_words
from curate.dicom.sopclasses import admit_sop_class, pixel_risks, rounded_weight
from curate.dicom.types import Action, Decision, Item, Policy, StudyContext

__all__ = (
    "admit_sop_class",
    "check_dataset",
    "clean_value",
    "decide",
    "direct_identifiers",
    "finish_dataset",
    "finish_item",
    "identifying_words",
    "pixel_risks",
    "is_pure",
    "partners",
)

MODIFIED_DATES, DESCRIPTORS = "retain_longitudinal_modified_dates", "clean_descriptors"
STRUCTURED, UIDS = "clean_structured_content", "retain_uids"
_DATE_GRAMMARS = ("date", "time", "datetime")
_TEXT_GRAMMARS = ("terms", "kernel", "sequence", "roi", "segment", "label", "label-cs")
_NAMED = frozenset(("terms", "label", "label-cs", "vendor", "model", "software"))
_TEXT_VRS = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_NUMBER_VRS = frozenset(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"))


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table E.1-1: the basic action, possibly compound, and what each option makes of it."""

    name: str
    basic: str
    options: frozenset[tuple[str, str]]

    def allows(self, option: str, action: str = "C") -> bool:
        """Whether an option turns this row into an action."""
        return (option, action) in self.options


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the allow-list."""

    grammar: str
    type: str
    why: str


@cache
def table() -> dict[str, Row]:
    """The rows of Table E.1-1 (edition 2026d) by tag or pattern."""
    raw = json.loads(resources.vocabulary_path("dicom/data/table_e1_1.json").read_text(encoding="utf-8"))
    return {
        row["tag"].upper(): Row(row["name"], row["basic"], frozenset(row["options"].items()))
        for row in raw["rules"]
    }


@cache
def allowed() -> dict[int, Entry]:
    """The allow-list by tag."""
    return {
        int(entry["tag"], 16): Entry(entry["grammar"], entry["type"], entry["why"])
        for entry in grammar.data("allow.json")
    }


@cache
def types() -> dict[str, str]:
    """The strongest type that a row of the table has in the admitted IODs."""
    found: dict[str, str] = grammar.data("types.json")
    return found


@lru_cache(maxsize=1 << 15)
def row_of(tag: int) -> Row | None:
    """The row of Table E.1-1 that decides a tag: by tag, then by pattern."""
    text = f"{tag:08X}"
    if (found := table().get(text)) is not None:
        return found
    group = tag >> 16
    if group & 1:
        return table()["PRIVATE"]
    if 0x5000 <= group <= 0x50FF:
        return table()["50XXXXXX"]
    if 0x6000 <= group <= 0x60FF and tag & 0xFFFF in (0x3000, 0x4000):
        return table()[f"60XX{tag & 0xFFFF:04X}"]
    return None


@lru_cache(maxsize=1 << 15)
def decide(policy: Policy, parent: int, tag: int, vr: str, creator: str | None) -> Decision:
    """What happens to an attribute inside a sequence (`parent`; 0 at the top), and why."""
    row = row_of(tag)
    if tag & 0x10000:
        return _decide_private(policy, tag, creator)
    entry = allowed().get(tag)
    if row is not None:
        return _decide_row(policy, parent, tag, vr, row, entry)
    if entry is None or entry.grammar in ("never", "drop"):
        return Decision(Action.REMOVE, "", "not on the allow-list", "ATTRIBUTE_NOT_ALLOWED")
    action = {"empty": Action.EMPTY, "uid": Action.UID}.get(entry.grammar, Action.CLEAN)
    action = Action.KEEP if entry.grammar in ("items", "pixels") else action
    return Decision(action, entry.grammar, entry.why, "VALUE_NOT_CLEAN")


def _decide_private(policy: Policy, tag: int, creator: str | None) -> Decision:
    if policy.retain_safe_private:
        if private.is_block(tag):
            return Decision(Action.CLEAN, "creator", "block of a private attribute proven safe", "VALUE_NOT_CLEAN")
        if found := private.grammar(tag, creator):
            return Decision(Action.CLEAN, found[0], f"private, proven safe: {found[1]}", "VALUE_NOT_CLEAN")
    return Decision(Action.REMOVE, "", "private, not proven safe (Table E.1-1: X)", "ATTRIBUTE_NOT_ALLOWED")


def _decide_row(policy: Policy, parent: int, tag: int, vr: str, row: Row, entry: Entry | None) -> Decision:
    """A row of the table: what an option cleans, else the basic action."""
    form = entry.grammar if entry else ""
    why = f"Table E.1-1: {row.basic}"
    if form in ("empty", "donor", "weight"):
        action = Action.EMPTY if form == "empty" else Action.CLEAN
        return Decision(action, form, f"{why}; {entry.why if entry else ''}", "VALUE_NOT_CLEAN")
    if form in _DATE_GRAMMARS and policy.dates == "rebase" and row.allows(MODIFIED_DATES):
        return Decision(Action.CLEAN, form, f"{why}; modified dates: C", "VALUE_NOT_CLEAN")
    if form in _TEXT_GRAMMARS and policy.clean_descriptors and row.allows(DESCRIPTORS):
        return Decision(Action.CLEAN, form, f"{why}; clean descriptors: C", "VALUE_NOT_CLEAN")
    if form == "items" and (row.allows(STRUCTURED) or "U*" in row.basic or "D" in row.basic):
        return Decision(Action.CLEAN, form, f"{why}; its items are cleaned", "ITEMS_NOT_ALLOWED")
    if vr == "UI" and (row.basic == "U" or (row.allows(UIDS, "K") and row.basic != "X")):
        return Decision(Action.UID, "uid", f"{why}; keyed", "VALUE_NOT_CLEAN")
    return _basic(parent, tag, vr, row, why)


def _basic(parent: int, tag: int, vr: str, row: Row, why: str) -> Decision:
    """The basic action; a compound one is the most that conformance asks: by the attribute's type."""
    actions = row.basic.rstrip("*").split("/")
    strongest = types().get(f"{parent:08X}/{tag:08X}" if parent else f"{tag:08X}", "3")
    if "D" in actions and (len(actions) == 1 or strongest in ("1", "1C")):
        if vr == "SQ":
            return Decision(Action.CLEAN, "items", f"{why}; its items are cleaned", "ITEMS_NOT_ALLOWED")
        return Decision(Action.DUMMY, "dummy", why, "VALUE_NOT_CLEAN")
    if "Z" in actions and (len(actions) == 1 or strongest in ("1", "1C", "2", "2C")):
        return Decision(Action.EMPTY, "empty", why, "VALUE_NOT_CLEAN")
    if actions == ["U"]:
        return Decision(Action.REMOVE, "", f"{why}; not a UID", "ATTRIBUTE_NOT_ALLOWED")
    if "X" in actions:
        return Decision(Action.REMOVE, "", why, "ATTRIBUTE_NOT_ALLOWED")
    return Decision(Action.EMPTY, "empty", why, "VALUE_NOT_CLEAN")


PURE: dict[str, Callable[[str, str, bytes], bytes | None]] = {
    "num": grammar.number,
    "big": grammar.big,
    "floats": grammar.floats,
    "indices": grammar.indices,
    "lut": grammar.lut,
    "cs": grammar.terms,
    "uid-standard": grammar.standard_uid,
    "at": grammar.attribute_tags,
    "const": grammar.constant,
    "cid": grammar.context_identifier,
    "nucleus": grammar.nucleus,
    "rescale": grammar.rescale,
    "words": grammar.words,
    "geb": grammar.ge_bvalue,
    "code": codes.code_text,
    "scheme": codes.scheme_name,
    "version": codes.scheme_version,
    "meaning": codes.code_text,
    "vendor": equipment.vendor,
    "model": equipment.model,
    "software": equipment.software,
    "kernel": equipment.kernel,
    "sequence": equipment.sequence,
    "bodypart": anatomy.body_part,
    "icc": icc.clean,
}


@lru_cache(maxsize=4096)
def parse_grammar(text: str) -> tuple[str, str]:
    """`num(0,5)` as its name and its argument."""
    name, _, argument = text.partition("(")
    return name, argument[:-1]


@lru_cache(maxsize=1 << 15)
def is_pure(tag: int, vr: str) -> bool:
    """Whether what becomes of a value rests on policy, place, VR and the value alone."""
    if tag & 0x10000:
        return not private.is_block(tag)
    entry, row = allowed().get(tag), row_of(tag)
    if vr in ("UI", "DA", "TM", "DT"):
        return entry is not None and entry.grammar == "uid-standard"
    if entry is None:
        return True
    return parse_grammar(entry.grammar)[0] in PURE or (row is not None and entry.grammar in ("empty", "items"))


@lru_cache(maxsize=1 << 15)
def most_values(tag: int) -> int:
    """How many values the dictionary lets an attribute have (PS3.6)."""
    try:
        last = dictionary_VM(tag).split("-")[-1]
    except KeyError:
        return 1 << 30
    return int(last) if last.isdigit() else 1 << 30


def partners(tag: int) -> tuple[int, ...]:
    """The siblings on whose values a value rests: the time of a date."""
    return (dates.TIME_OF[tag],) if tag in dates.TIME_OF else ()


def clean_value(
    policy: Policy,
    context: StudyContext,
    parent: int,
    tag: int,
    vr: str,
    raw: bytes,
    encodings: tuple[str, ...],
    item: Item,
    decision: Decision | None = None,
) -> bytes | None:
    """The clean raw value (little endian, even length), empty where only the attribute stays, None: removed.

    `decision` is what `decide` gave, for a caller who knows it already.
    """
    decision = decision or decide(policy, parent, tag, vr, item.creator(tag))
    if decision.action is Action.REMOVE:
        return None
    if decision.action is Action.EMPTY:
        return b""
    if decision.action is Action.DUMMY:
        return _dummy(vr, raw, context)
    name, argument = parse_grammar(decision.grammar)
    pure = PURE.get(name)
    if pure is not None:
        cleaned = pure(argument, vr, raw) if grammar.count(vr, raw) <= most_values(tag) else None
    else:
        cleaned = _CONTEXTUAL[name](context, vr, raw, encodings, item, tag)
    return cleaned if cleaned is not None else _instead(tag, vr, name, context)


def _instead(tag: int, vr: str, name: str, context: StudyContext) -> bytes | None:
    """What stands for a value that did not pass: what the attribute's type asks for."""
    entry = allowed().get(tag)
    kind = entry.type if entry else "3"
    if kind in ("1", "1C") and name in _NAMED:
        return b"REMOVED "
    if kind == "1" and vr in ("DA", "TM", "DT") and context.shift_us is not None:
        return dates.dummy(vr, context.study_date)
    return None if kind == "3" else b""


def _dummy(vr: str, raw: bytes, context: StudyContext) -> bytes | None:
    """A value without meaning that is right for its VR (PS3.15 action D)."""
    if vr in ("DA", "TM", "DT"):
        return dates.dummy(vr, context.study_date)
    if vr == "AS":
        return b"000Y"
    if vr in _TEXT_VRS:
        return b"REMOVED "
    if vr in ("DS", "IS"):
        return b"0 "
    if vr in _NUMBER_VRS:
        return bytes({"FD": 8, "SV": 8, "UV": 8, "US": 2, "SS": 2}.get(vr, 4))
    return b"\0\0" if vr in ("OB", "OW", "UN") else None


Contextual = Callable[[StudyContext, str, bytes, tuple[str, ...], Item, int], bytes | None]


def _uid(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    values = raw.decode("utf-8", "replace").strip(" \0").split("\\")
    new = [_new_uid(context, value.strip(" \0")) for value in values]
    return grammar.even("\\".join(new).encode(), b"\0")


def _new_uid(context: StudyContext, value: str) -> str:
    if not value or grammar.standard_uids().get(value) in ("Well-known frame of reference", "Well-known SOP Instance"):
        return value
    if context.keys is None:
        return value if identifiers.is_new_uid(value) else ""
    return identifiers.new_uid(context.keys, value)


def _donor(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    known = identifiers.is_donor_id(context.donor_id)
    return grammar.even(context.donor_id.encode(), b" ") if known else b""


def _date(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    if not raw.strip(b" \0") or context.shift_us is None:
        return b"" if context.shift_us is not None else None
    time_raw = item.raw(dates.TIME_OF.get(tag, 0))
    return dates.clean_date(raw, time_raw, context.shift_us, context.study_date)


def _time(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    if not raw.strip(b" \0") or context.shift_us is None:
        return b"" if context.shift_us is not None else None
    return dates.clean_time(raw, context.shift_us)


def _datetime(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    if not raw.strip(b" \0") or context.shift_us is None:
        return b"" if context.shift_us is not None else None
    return dates.clean_datetime(raw, context.shift_us, context.study_date)


def _terms(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    return terms.rebuild(vr, raw, encodings, context.names) or (b"" if not raw.strip(b" \0") else None)


def _roi(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    return anatomy.roi_name(raw, encodings)


def _segment(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    return anatomy.segment_label(raw, encodings)


_SMALL = re.compile(r"[A-Z]{0,2}\d{1,3}")
_LABEL = re.compile(r"L[0-9A-F]{8}")


def _label(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    """An identifier inside the object: kept where it is a small number, else keyed, so that it still refers."""
    value = raw.decode("ascii", "replace").strip(" \0")
    if not value:
        return b""
    if not _SMALL.fullmatch(value) and not (context.keys is None and _LABEL.fullmatch(value)):
        if context.keys is None:
            return None
        value = "L" + hmac.digest(context.keys.uid, b"label " + raw.strip(b" \0"), "sha256")[:4].hex().upper()
    return grammar.even(value.encode(), b" ")


def _weight(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    weight = rounded_weight(raw)  # `finish_dataset` takes it out of all but quantitative objects
    return None if weight is None else grammar.even(str(weight).encode(), b" ")


def _creator(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    value = raw.decode("ascii", "replace").strip(" \0")
    return grammar.even(value.encode(), b" ") if (tag >> 16, value) in private.creators() else None


def _longitudinal(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    return b"REMOVED " if context.shift_us is None else b"MODIFIED"


def _nothing(
    context: StudyContext, vr: str, raw: bytes, encodings: tuple[str, ...], item: Item, tag: int
) -> bytes | None:
    return None


_CONTEXTUAL: dict[str, Contextual] = {
    "uid": _uid,
    "donor": _donor,
    "date": _date,
    "time": _time,
    "datetime": _datetime,
    "terms": _terms,
    "roi": _roi,
    "segment": _segment,
    "label": _label,
    "label-cs": _label,
    "weight": _weight,
    "creator": _creator,
    "longitudinal": _longitudinal,
    "charset": _nothing,
    "pixels": _nothing,
    "items": _nothing,
}


def what_vr(tag: int) -> str:
    """The VR that the dictionary has for a tag, the first of several."""
    try:
        return dictionary_VR(tag).split(" or ")[0]
    except KeyError:
        return "UN"


def keyword(tag: int) -> str:
    """The keyword of a tag, or the tag where the dictionary has none."""
    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def describe(tag: int, policy: Policy, creator: str | None = None) -> dict[str, Any]:
    """What happens to an attribute, as `curate profile` prints it."""
    row = row_of(tag)
    decision = decide(policy, 0, tag, what_vr(tag), creator)
    return {
        "tag": f"({tag >> 16:04X},{tag & 0xFFFF:04X})",
        "keyword": keyword(tag),
        "vr": what_vr(tag),
        "action": decision.action.value,
        "grammar": decision.grammar,
        "reason": decision.reason,
        "table_e1_1": row.basic if row else "",
    }
