"""What happens to each attribute, and why: PS3.15 Table E.1-1 by tag, then an allow-list that rebuilds the rest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from pydicom.datadict import dictionary_VM

from curate.core import resources
from curate.deid import dates, grammar, option_overrides, private_attributes, values
from curate.deid.dataset_rules import check_dataset, finish_dataset, finish_item
from curate.deid.direct_identifiers import direct_identifiers, identifying_words, own_numbers, without_numbers, words_in
from curate.deid.records import Action, Decision, StudyContext
from curate.deid.renumbering import own_numbers_of
from curate.deid.sop_classes import admit_sop_class, pixel_risks, rounded_weight
from curate.dicom.model import Item
from curate.policies import Policy

__all__ = (
    "admit_sop_class",
    "check_dataset",
    "clean_value",
    "contextual",
    "decide",
    "direct_identifiers",
    "finish_dataset",
    "finish_item",
    "identifying_words",
    "is_partner",
    "is_pure",
    "own_numbers",
    "partners",
    "pixel_risks",
    "rounded_weight",
    "without_numbers",
    "words_in",
)

MODIFIED_DATES, DESCRIPTORS = "retain_longitudinal_modified_dates", "clean_descriptors"
STRUCTURED, UIDS = "clean_structured_content", "retain_uids"
_REMOVE, _EMPTY, _DUMMY = Action.REMOVE, Action.EMPTY, Action.DUMMY  # to ask the class takes a call each
_DATE_GRAMMARS = ("date", "time", "datetime")
_TEXT_GRAMMARS = ("terms", "kernel", "sequence", "roi", "segment", "label")
_INNER = {"terms": "terms-inner", "terms-plain": "terms-plain-inner", "sequence": "sequence-inner"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row of Table E.1-1: the basic action, possibly compound, and what each option makes of it."""

    name: str
    basic: str
    options: frozenset[tuple[str, str]]

    def allows(self, option: str, action: str = "C") -> bool:
        """Whether an option turns this row into an action."""
        return (option, action) in self.options


EDITION = "PS3.15 2026d"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the allow-list."""

    grammar: str
    type: str
    why: str


@cache
def table() -> dict[str, Row]:
    """The rows of Table E.1-1 (edition 2026d) by tag or pattern."""
    raw = json.loads(resources.vocabulary_path("deid/data/table_e1_1.json").read_text(encoding="utf-8"))
    return {
        row["tag"].upper(): Row(row["name"], row["basic"], frozenset(row["options"].items())) for row in raw["rules"]
    }


@cache
def rules_digest() -> str:
    """SHA-256, in hex, over the data that the verdicts rest on: the table, the allow-list, the vocabularies."""
    folder = resources.vocabulary_path("deid/data")
    content = b"".join(path.read_bytes() for path in sorted(folder.glob("*.json")))
    return hashlib.sha256(content).hexdigest()


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
    """What happens to an attribute inside a sequence (`parent`; 0 at the top), and why.

    Within a sequence nothing beside a description states its numbers; at the top nothing refers to a label.
    """
    decision = _decide(policy, parent, tag, vr, creator)
    if parent and (inner := _INNER.get(decision.grammar)):
        return replace(decision, grammar=inner)
    if not parent and decision.grammar.startswith("ordinal("):
        return replace(decision, grammar="label")
    return decision


def _decide(policy: Policy, parent: int, tag: int, vr: str, creator: str | None) -> Decision:
    row = row_of(tag)
    if tag & 0x10000:
        return _decide_private(policy, tag, vr, creator)
    entry = allowed().get(tag)
    if entry is not None and (kept_back := option_overrides.decide(policy, parent, tag, entry.grammar)) is not None:
        return kept_back
    if row is not None:
        decided = _decide_row(policy, parent, tag, vr, row, entry)
        return option_overrides.in_words(policy, decided)
    if entry is None or entry.grammar in ("never", "drop"):
        return Decision(Action.REMOVE, "", "not on the allow-list", "ATTRIBUTE_NOT_ALLOWED")
    action = {"empty": Action.EMPTY, "uid": Action.UID}.get(entry.grammar, Action.CLEAN)
    action = Action.KEEP if entry.grammar in ("items", "pixels") else action
    return option_overrides.in_words(policy, Decision(action, entry.grammar, entry.why, "VALUE_NOT_CLEAN"))


def _decide_private(policy: Policy, tag: int, vr: str, creator: str | None) -> Decision:
    if policy.retain_safe_private:
        if private_attributes.is_block(tag) and vr != "SQ":
            return Decision(Action.CLEAN, "creator", "block of a private attribute proven safe", "VALUE_NOT_CLEAN")
        found = private_attributes.find(tag, creator)
        if found and found.vendor and policy.vendor_headers == "remove":
            return Decision(_REMOVE, "", "vendor's header: [profile] vendor_headers", "ATTRIBUTE_NOT_ALLOWED")
        if found and found.grammar == "items" and vr == "SQ":
            return Decision(Action.KEEP, "items", f"private, proven safe: {found.why}", "ITEMS_NOT_ALLOWED")
        if found and "SQ" not in (vr, found.vr):
            return Decision(Action.CLEAN, found.grammar, f"private, proven safe: {found.why}", "VALUE_NOT_CLEAN")
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


@lru_cache(maxsize=1 << 12)
@lru_cache(maxsize=1 << 15)
def is_pure(tag: int, vr: str) -> bool:
    """Whether what becomes of a value rests on policy, place, VR and the value alone."""
    if tag & 0x10000:
        return not private_attributes.is_block(tag)
    entry, row = allowed().get(tag), row_of(tag)
    if vr in ("UI", "DA", "TM", "DT"):
        return entry is not None and entry.grammar == "uid-standard"
    if entry is None:
        return True
    return grammar.parse_grammar(entry.grammar)[0] in values.PURE or (
        row is not None and entry.grammar in ("empty", "items")
    )


@lru_cache(maxsize=1 << 15)
def most_values(tag: int) -> int:
    """How many values the dictionary lets an attribute have (PS3.6)."""
    try:
        last = dictionary_VM(tag).split("-")[-1]
    except KeyError:
        return 1 << 30
    return int(last) if last.isdigit() else 1 << 30


def partners(tag: int, decision: Decision) -> frozenset[int]:
    """The siblings on whose values a value rests: the time of a date, the date of a time."""
    if decision.grammar not in ("date", "time"):
        return frozenset()
    sibling = dates.TIME_OF.get(tag) or dates.DATE_OF.get(tag)
    return frozenset((sibling,) if sibling else ())


def contextual(decision: Decision) -> Callable[[values.Value], bytes | None] | None:
    """What `clean_value` asks first of a value that rests on the study or the item; None of any other."""
    if decision.action in (_REMOVE, _EMPTY, _DUMMY):
        return None
    return values.CONTEXTUAL.get(grammar.parse_grammar(decision.grammar)[0])


def is_partner(tag: int) -> bool:
    """Whether a sibling's value may rest on an attribute, though that itself goes."""
    return tag in dates.TIME_OF or tag in dates.DATE_OF


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
    action = decision.action
    if action is _REMOVE:
        return None
    if action is _EMPTY:
        return b""
    name, argument = grammar.parse_grammar(decision.grammar)
    value = values.Value(context, tag, vr, raw, encodings, item, argument)
    if action is _DUMMY:
        return values.dummy(value)
    pure = values.PURE.get(name)
    if pure is None:
        cleaned = values.CONTEXTUAL[name](value)
    else:
        most = most_values(tag)
        known = private_attributes.find(tag, item.creator(tag)) if tag & 0x10000 else None
        if known:
            vr = known.vr if vr == "UN" else vr  # a private attribute of an implicit VR comes without its own
            most = known.most
        cleaned = pure(argument, vr, raw) if grammar.count(vr, raw) <= most else None
        if known and cleaned and private_attributes.repeats(known, vr, cleaned, own_numbers_of(context.names)):
            cleaned = None
    if cleaned is not None:
        return cleaned
    entry = allowed().get(tag)
    return values.instead(value, name, entry.type if entry else "3")
