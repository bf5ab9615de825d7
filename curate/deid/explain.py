"""The rules describe themselves: what happens to any attribute and why, as `curate profile` prints it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR, keyword_dict, keyword_for_tag

from curate.core.errors import InputError
from curate.deid import grammar, private_attributes, profile
from curate.deid.records import Action
from curate.policies import Policy

ACTIONS = {
    Action.KEEP: "kept; what is inside is cleaned",
    Action.CLEAN: "cleaned: it stays as far as its grammar lets it",
    Action.EMPTY: "emptied",
    Action.DUMMY: "replaced by a value without meaning",
    Action.REMOVE: "removed",
    Action.UID: "replaced by a keyed UID",
    Action.REFUSE: "the instance is refused",
}
GRAMMARS = {
    "num": "numbers within a range, decimal strings to six significant digits",
    "exact": "numbers within a range, all digits",
    "big": "numbers within a range, to six significant digits",
    "measured": "numbers within a range, decimal strings to six decimals, from 10^6 on to six significant digits",
    "padding": "a measured number, the largest one, or none (NaN, infinity)",
    "floats": "coordinates or samples within a range",
    "indices": "indices",
    "lut": "a lookup table in which nothing reads as text",
    "cs": "terms of the closed vocabulary of code strings",
    "uid": "a keyed UID",
    "uid-standard": "UIDs that the standard registers",
    "at": "attribute tags of the standard",
    "const": "always the same value",
    "cid": "numbers of context groups and templates of PS3.16",
    "nucleus": "a nucleus",
    "rescale": "a unit of pixel values",
    "words": "one of a few words",
    "geb": "a b-value",
    "code": "a code of a known scheme",
    "scheme": "the name of a known coding scheme",
    "version": "a short version number",
    "meaning": "the meaning that this project's table has for the code",
    "vendor": "a known vendor",
    "model": "known words of models",
    "software": "known words and short version numbers",
    "kernel": "a kernel's known name or short code",
    "sequence": "a pulse sequence's known name, with numbers that the instance states",
    "sequence-inner": "a pulse sequence's known name without numbers",
    "bodypart": "a body part of the standard that does not state the sex",
    "withheld": "nothing: `equipment` or `anatomy` withholds it",
    "icc": "a colour profile rebuilt from its numbers",
    "donor": "the donor's pseudonym",
    "date": "a date moved with its study",
    "time": "a time moved with its study",
    "datetime": "a date-time moved with its study",
    "terms": "words of the vocabulary of acquisition terms, and numbers that the instance states",
    "terms-plain": "words of the vocabulary of acquisition terms, regions apart",
    "roi": "a TG-263 name or a number",
    "segment": "a known structure, or a number",
    "terms-inner": "words of the vocabulary of acquisition terms, without numbers",
    "terms-plain-inner": "words of the vocabulary of acquisition terms, regions and numbers apart",
    "label": "a single digit, or a keyed label",
    "ordinal": "a letter and a number, by the order in its object",
    "order": "a number up to 99,999; in order, or keyed, where it is larger or the person's own",
    "content": "a known kind of content, or a constant",
    "coil": "a coil's known name",
    "weight": "rounded to 1 kg, in PT and quantitative NM only",
    "creator": "the creator of a block with a safe attribute",
    "form": "a short text of a closed form: words of a list, numbers of few digits",
    "coils": "coils and coil elements that vendors have",
    "ice": "echo, coil and count of frames",
    "rounded": "numbers within a range, rounded to a multiple",
    "times": "times of slices, from the first of them",
    "csa": "a CSA header rebuilt from its known fields",
    "protocol": "a protocol rebuilt from its known lines",
    "ge-protocol": "a protocol data block rebuilt from its known lines",
    "ge-raw": "a raw header rebuilt from three flags",
    "longitudinal": "what was done to dates",
    "items": "items, each cleaned",
    "pixels": "the image, its container cleaned",
    "empty": "nothing",
    "dummy": "a value without meaning",
    "charset": "written only where it is needed",
}
OPTIONS = (
    ("dates", "Retain Longitudinal Temporal Information Modified Dates", "113107", Policy(dates="remove")),
    ("retain_safe_private", "Retain Safe Private", "113111", Policy(retain_safe_private=False)),
    ("vendor_headers", "Retain Safe Private", "113111", Policy(vendor_headers="remove")),
    ("clean_descriptors", "Clean Descriptors", "113105", Policy(clean_descriptors=False)),
)
_TAG = re.compile(r"\(?([0-9A-Fa-f]{4}),?([0-9A-Fa-f]{4})\)?")


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happens to one attribute: `table` is its row's action in Table E.1-1, empty where it has none."""

    tag: str
    keyword: str
    vr: str
    action: Action
    becomes: str
    reason: str
    table: str
    creator: str = ""


def explain(tag: int, policy: Policy, creator: str | None = None) -> Explanation:
    """What happens to an attribute at the top of a data set."""
    known = private_attributes.find(tag, creator)
    vr = known.vr if known else _vr(tag)
    row = profile.row_of(tag)
    decision = profile.decide(policy, 0, tag, vr, creator)
    name = grammar.parse_grammar(decision.grammar)[0]
    becomes = GRAMMARS.get(name, "") if decision.action is not Action.REMOVE else ""
    keyword = keyword_for_tag(tag) or ""
    text = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
    return Explanation(
        text, keyword, vr, decision.action, becomes, decision.reason, row.basic if row else "", creator or ""
    )


def find(what: str, policy: Policy) -> list[Explanation]:
    """What happens to what a user names: a keyword, a tag such as `0010,0010`, or `all`.

    Raises:
        InputError: neither a keyword nor a tag.
    """
    if what.lower() == "all":
        return list(everything(policy))
    if what in keyword_dict:
        return [explain(keyword_dict[what], policy)]
    if match := _TAG.fullmatch(what.strip()):
        return [explain(int(match[1] + match[2], 16), policy)]
    raise InputError(
        f"{what!r} is neither a DICOM keyword nor a tag",
        hint="Name a keyword such as PatientName, a tag such as 0010,0010, or `all`.",
    )


def everything(policy: Policy) -> Iterator[Explanation]:
    """Every attribute of the dictionary and of the table, then the private ones that are proven safe."""
    tags = {tag for tag in keyword_dict.values() if tag >> 16 >= 8}
    tags |= {int(row, 16) for row in profile.table() if re.fullmatch("[0-9A-F]{8}", row)}
    yield from (explain(tag, policy) for tag in sorted(tags))
    for creator, group, element in sorted(private_attributes.safe(), key=lambda key: (key[1], key[0], key[2])):
        yield explain(group << 16 | 0x1000 | element, policy, creator)


def counts(explanations: Iterable[Explanation]) -> Counter[Action]:
    """How many attributes each action takes."""
    return Counter(explanation.action for explanation in explanations)


def markdown(policy: Policy | None = None) -> str:
    """The documentation's tables: what happens to how many attributes, and what each option changes."""
    policy = policy or Policy()
    found = list(everything(policy))
    rows = [explanation for explanation in found if explanation.table and not explanation.creator]
    lines = ["| action | means | rows of Table E.1-1 | other attributes |", "| --- | --- | ---: | ---: |"]
    by_row, by_rest = counts(rows), counts(e for e in found if not e.table)
    for action, means in ACTIONS.items():
        if by_row[action] or by_rest[action]:
            lines.append(f"| {action.value} | {means} | {by_row[action]} | {by_rest[action]} |")
    lines += ["", "| option | PS3.15 | code | attributes it changes |", "| --- | --- | --- | ---: |"]
    lines += [f"| `{key}` | {title} | {code} | {_changed(policy, other)} |" for key, title, code, other in OPTIONS]
    return "\n".join(lines) + "\n"


def _changed(policy: Policy, other: Policy) -> int:
    pairs = zip(everything(policy), everything(other), strict=True)
    return sum(first.action is not second.action or first.becomes != second.becomes for first, second in pairs)


def _vr(tag: int) -> str:
    try:
        return str(dictionary_VR(tag)).split(" or ")[0]
    except KeyError:  # not in the dictionary: unknown, as PS3.5 has it
        return "UN"
