"""Codes and reports: one part of a code that tells, content items of each type."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.planter.places.place import Place, Planter, adding, paths, reach
from tests.planter.raw import Draft, Elem, Item, find, put, sequence, text
from tests.planter.tokens import Token

Make = Callable[[Token], str]

CODED = (
    0x00082218,
    0x00082220,
    0x00540016,
    0x00540300,
    0x00540304,
    0x0040A043,
    0x00081032,
    0x00540220,
    0x00181086,
)
CODES: tuple[tuple[str, Callable[[Token], dict[int, str]], Make], ...] = (
    ("meaning", lambda t: {0x00080104: f"Head {t.text}"}, lambda t: t.text),
    ("value", lambda t: {0x00080100: t.text}, lambda t: t.text),
    ("value id", lambda t: {0x00080100: t.digits}, lambda t: t.digits),
    ("value dashed", lambda t: {0x00080100: f"T-{t.digits}"}, lambda t: t.digits),
    ("scheme", lambda t: {0x00080102: t.text}, lambda t: t.text),
    ("own scheme", lambda t: {0x00080102: "99" + t.text[3:]}, lambda t: "99" + t.text[3:]),
    ("version", lambda t: {0x00080103: t.digits}, lambda t: t.digits),
    ("context", lambda t: {0x0008010F: t.text}, lambda t: t.text),
    ("context version", lambda t: {0x00080106: t.date}, lambda t: t.date),
    ("local version", lambda t: {0x00080107: t.date}, lambda t: t.date),
    ("resource", lambda t: {0x00080105: t.text}, lambda t: t.text),
    ("resource name", lambda t: {0x00080122: t.text}, lambda t: t.text),
    ("context uid", lambda t: {0x00080117: t.uid}, lambda t: t.digits),
    ("creator uid", lambda t: {0x0008010D: t.uid}, lambda t: t.digits),
    ("long value", lambda t: {0x00080119: t.text, 0x00080100: ""}, lambda t: t.text),
    ("urn value", lambda t: {0x00080120: f"urn:{t.text}", 0x00080100: ""}, lambda t: t.text),
)
CODE_VRS = {0x00080106: "DT", 0x00080107: "DT", 0x00080117: "UI", 0x0008010D: "UI", 0x00080119: "UC"} | {
    0x00080120: "UR", 0x00080100: "SH", 0x00080102: "SH", 0x00080103: "SH", 0x0008010F: "CS",
    0x00080105: "CS",
}  # fmt: skip

NUM = (text(0x0040A30A, "DS", "12"),)


def coded(changes: dict[int, str]) -> Item:
    """A known code, then what differs."""
    values = {0x00080100: "69536005", 0x00080102: "SCT", 0x00080104: "Head"} | changes
    return [text(tag, CODE_VRS.get(tag, "LO"), value) for tag, value in sorted(values.items()) if value]


def code_places(draft: Draft) -> Iterator[Place]:
    """A code with one part telling, in sequences that keep codes, and in a code's equivalents."""
    for number, (name, make, needle) in enumerate(CODES):
        for tag in CODED:
            planter = adding(
                lambda t, tag=tag, make=make: sequence(tag, coded(make(t))),
                lambda t, needle=needle: needle(t).encode(),
            )
            yield Place(f"code-{number:02}", f"code/{name}/{tag:08X}", planter)
    for tag in CODED:
        planter = adding(
            lambda t, tag=tag: sequence(
                tag,
                [
                    *coded({}),
                    sequence(0x00080121, coded({0x00080104: t.text})),
                    text(0x00081070, "PN", t.name),
                ],
            )
        )
        yield Place("code-equivalent", f"code/equivalent/{tag:08X}", planter)
    for path in paths(draft.items):
        items = reach(draft.items, path) or []
        if find(items, 0x00080100) is None:
            continue
        where = "/".join(f"{tag:08X}[{index}]" for tag, index in path)
        for number, (name, make, needle) in enumerate(CODES):
            yield Place(f"code-own-{number:02}", f"code own/{name}/{where}", _recode(path, make, needle))


def _recode(path: tuple[tuple[int, int], ...], make: Callable[[Token], dict[int, str]],
            needle: Make) -> Planter:  # fmt: skip
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        items = reach(draft.items, path)
        if items is None:
            return ()
        for tag, value in make(token).items():
            put(items, text(tag, CODE_VRS.get(tag, "LO"), value))
        return (needle(token).encode(),)

    return plant


def _content(value_type: str, *extra: Elem) -> Item:
    concept = sequence(0x0040A043, coded({0x00080100: "121071", 0x00080102: "DCM", 0x00080104: "Finding"}))
    kind = [text(0x0040A010, "CS", "CONTAINS"), text(0x0040A040, "CS", value_type)]
    return sorted([*kind, concept, *extra], key=lambda elem: elem.tag)


def report_places(draft: Draft) -> Iterator[Place]:
    """Content items of a structured report, of each value type."""
    kinds: tuple[tuple[str, Callable[[Token], list[Elem]], Make], ...] = (
        ("TEXT", lambda t: [text(0x0040A160, "UT", f"Seen by {t.text}")], lambda t: t.text),
        ("PNAME", lambda t: [text(0x0040A123, "PN", t.name)], lambda t: t.text),
        ("DATE", lambda t: [text(0x0040A121, "DA", t.date)], lambda t: t.date),
        ("TIME", lambda t: [text(0x0040A122, "TM", t.time)], lambda t: t.time),
        ("DATETIME", lambda t: [text(0x0040A120, "DT", t.date + t.time)], lambda t: t.date),
        ("UIDREF", lambda t: [text(0x0040A124, "UI", t.uid)], lambda t: t.digits),
        ("CODE", lambda t: [sequence(0x0040A168, coded({0x00080104: t.text}))], lambda t: t.text),
        ("NUM", lambda t: [sequence(0x0040A300, [*NUM, text(0x0040A161, "LO", t.text)])], lambda t: t.text),
        ("NUM-id", lambda t: [sequence(0x0040A300, [text(0x0040A30A, "DS", t.digits)])], lambda t: t.digits),
        ("CONTAINER", lambda t: [text(0x0040A050, "CS", t.text)], lambda t: t.text),
        ("WAVEFORM", lambda t: [text(0x0040A132, "UT", t.text)], lambda t: t.text),
        (  "OF", lambda t: [text(0x0040DB00, "CS", t.text)], lambda t: t.text),
    )  # fmt: skip
    for path in paths(draft.items):
        if path and path[-1][0] != 0x0040A730:
            continue
        where = "/".join(f"{tag:08X}[{index}]" for tag, index in path)
        for kind, make, needle in kinds:
            yield Place("report", f"report/{where}/{kind}", _content_item(path, kind.split("-")[0], make, needle))


def _content_item(path: tuple[tuple[int, int], ...], kind: str, make: Callable[[Token], list[Elem]],
                  needle: Make) -> Planter:  # fmt: skip
    def plant(draft: Draft, token: Token) -> tuple[bytes, ...]:
        items = reach(draft.items, path)
        if items is None:
            return ()
        content = _content(kind, *make(token))
        there = find(items, 0x0040A730)
        if there is not None and isinstance(there.value, list):
            there.value.append(content)
        else:
            put(items, sequence(0x0040A730, content))
        return (needle(token).encode(),)

    return plant
