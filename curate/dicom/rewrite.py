"""One file in, one clean file out: every element at every level by the profile's verdict.

A verdict is kept with the element that it is about, and the reader shares equal elements among files, so most
of a series' headers are judged once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

from curate.dicom import container, profile, writer
from curate.dicom.dictionary import keyword, vr_fits
from curate.dicom.reader import parse
from curate.dicom.types import (
    PIXEL_DATA,
    SPECIFIC_CHARACTER_SET,
    Action,
    Bytes,
    Decision,
    Element,
    Fragments,
    Item,
    MalformedError,
    Parsed,
    Policy,
    Report,
    Rewritten,
    StudyContext,
    Verdict,
)
from curate.findings import Severity

_PIXELS = frozenset(container.PIXELS)
_DIRECTORY_RECORDS = 0x00041220
_UTF8 = ("utf8",)
_NONE: Mapping[str, int] = {}


def rewrite(data: bytes, context: StudyContext, policy: Policy) -> Rewritten:
    """The clean form of one file.

    Raises:
        MalformedError: the rule by which it is refused.
    """
    return rewrite_parsed(parse(data), context, policy)


def rewrite_parsed(parsed: Parsed, context: StudyContext, policy: Policy) -> Rewritten:
    """The clean form of what has been parsed.

    Raises:
        MalformedError: the rule by which it is refused.
    """
    report = Report(findings=list(parsed.findings))
    item = clean_dataset(parsed, context, policy, report)
    return assemble(parsed, item, report)


def clean_dataset(parsed: Parsed, context: StudyContext, policy: Policy, report: Report) -> Item:
    """The clean data set, all but its pixels."""
    if _DIRECTORY_RECORDS in parsed.dataset:
        raise MalformedError("DICOMDIR")
    verdict = profile.admit_sop_class(policy, parsed.dataset)
    if verdict is not None:
        if verdict.severity is Severity.ERROR:
            raise MalformedError(verdict.rule, verdict.tag)
        report.findings.append(verdict)
    cleaner = _cleaner(policy, context)
    counts: Counter[str] = Counter()
    item = cleaner.clean_item(parsed.dataset, 0, counts)
    report.applied.update(counts)
    return profile.finish_dataset(policy, context, item, report)


def assemble(parsed: Parsed, item: Item, report: Report) -> Rewritten:
    """The bytes of a clean data set together with the pixels of the original."""
    original = parsed.dataset
    tag = next((tag for tag in container.PIXELS if tag in original), None)
    pixels = None
    encapsulated = False
    if tag is not None:
        encapsulated = isinstance(original[tag].value, Fragments)
        pixels = container.clean_pixels(item, original[tag], parsed.transfer_syntax)
        for what in pixels.applied:
            report.count(what)
    syntax = container.output_syntax(parsed.transfer_syntax, encapsulated=encapsulated)
    sop_class, sop_instance = item.text(0x00080016), item.text(0x00080018)
    if not sop_class or not sop_instance:
        raise MalformedError("INSTANCE_UID_MISSING", "SOPInstanceUID")
    chunks: list[Bytes] = [
        writer.file_head(sop_class, sop_instance, syntax) + _before_and_after(item),
        *(pixels.chunks if pixels else ()),
    ]
    return Rewritten(
        chunks=tuple(chunks),
        size=sum(map(len, chunks)),
        study_uid=item.text(0x0020000D),
        series_uid=item.text(0x0020000E),
        sop_instance_uid=sop_instance,
        sop_class_uid=sop_class,
        transfer_syntax=syntax,
        frames=pixels.frames if pixels else 0,
        applied=report.applied,
        findings=tuple(report.findings),
    )


def _before_and_after(item: Item) -> bytes:
    """The encoded data set; nothing that follows pixels is ever kept, so they come last."""
    body = writer.encode_elements(item)
    if writer.is_wide(item):
        item.put(SPECIFIC_CHARACTER_SET, "CS", b"ISO_IR 192")
        body = writer.encode_elements(item)
    return body


@lru_cache(maxsize=8)
def _cleaner(policy: Policy, context: StudyContext) -> _Cleaner:
    return _Cleaner(policy, context)


@lru_cache(maxsize=1 << 14)
def _decide(policy: Policy, parent: int, tag: int, vr: str, creator: str | None) -> Decision:
    return profile.decide(policy, parent, tag, vr, creator)


@lru_cache(maxsize=256)
def _pure_token(*_place: object) -> object:
    """What a verdict is valid for that rests on nothing but the policy, the place and the raw value."""
    return object()


class _Cleaner:
    """The rules for one study: a policy, a context, and what has been judged under them."""

    __slots__ = ("_tokens", "context", "policy")

    def __init__(self, policy: Policy, context: StudyContext) -> None:
        self.policy = policy
        self.context = context
        self._tokens: dict[tuple[int, tuple[str, ...]], tuple[object, object]] = {}

    def clean_item(self, item: Item, parent: int, counts: Counter[str]) -> Item:
        """A new item of what stays of this one."""
        place = (parent, item.encodings)
        tokens = self._tokens.get(place)
        if tokens is None:
            tokens = self._tokens[place] = (_pure_token(self.policy, *place), object())
        pure, bound = tokens
        kept = Item(encodings=_UTF8)
        labels = []
        for tag, element in item.items():
            verdict = element.verdict
            if verdict.token is not pure and verdict.token is not bound:
                verdict = self._judge(element, parent, item, tokens)
                if verdict.token is not None:
                    element.verdict = verdict
            if verdict.cleaned is not None:
                kept[tag] = verdict.cleaned
            labels.append(verdict.label)
            if verdict.nested:
                counts.update(verdict.nested)
        counts.update(labels)
        self._keep_creators(item, kept)
        return kept

    def _keep_creators(self, item: Item, kept: Item) -> None:
        """A private block that keeps an element keeps its creator."""
        for tag in [tag for tag in kept if tag & 0x10000]:
            block = (tag & 0xFFFF0000) | (tag & 0xFF00) >> 8
            if block not in kept:
                kept.put(block, "LO", item.text(block).encode("ascii"))

    def _judge(self, element: Element, parent: int, item: Item, tokens: tuple[object, object]) -> Verdict:
        tag, vr = element.tag, element.vr
        pure, bound = tokens
        creator = item.creator(tag)
        if _is_structure(tag) or creator == "" or (tag in _PIXELS and not parent):
            return Verdict(None if creator == "" else pure, None, "structure", _NONE)
        if not vr_fits(tag, vr):
            return Verdict(pure, None, "wrong_vr", _NONE)
        decision = _decide(self.policy, parent, tag, vr, creator)
        action = decision.action
        if action is Action.REFUSE:
            raise MalformedError(decision.rule, keyword(tag))
        scope = None if creator is not None else pure
        if action is Action.REMOVE or isinstance(element.value, Fragments):
            return Verdict(scope, None, action.value, _NONE)
        if isinstance(element.value, list):
            return self._judge_sequence(element, None if creator is not None else bound, decision)
        raw = bytes(element.value)
        value = profile.clean_value(self.policy, self.context, parent, tag, vr, raw, item.encodings, item)
        cleaned = None if value is None else Element(tag, vr, value)
        if scope is not None and not profile.is_pure(tag, vr):
            scope = bound if not _partner(tag, vr) else None
        return Verdict(scope, cleaned, action.value, _NONE)

    def _judge_sequence(self, element: Element, scope: object, decision: Decision) -> Verdict:
        counts: Counter[str] = Counter()
        items = []
        if decision.action is not Action.EMPTY:
            for item in element.items:
                cleaned = self.clean_item(item, element.tag, counts)
                finished = profile.finish_item(self.policy, self.context, element.tag, cleaned)
                if finished is not None:
                    items.append(finished)
        if element.items and not items and decision.action is not Action.EMPTY:
            return Verdict(scope, None, Action.REMOVE.value, counts)
        return Verdict(scope, Element(element.tag, "SQ", items), decision.action.value, counts)


def _is_structure(tag: int) -> bool:
    """Whether a tag never is content: group lengths, groups below 0008, character sets, pixels, padding."""
    group, number = tag >> 16, tag & 0xFFFF
    return (
        number == 0
        or group < 8
        or group >= 0x7FE0
        or tag == SPECIFIC_CHARACTER_SET
        or (group & 1 == 1 and number < 0x1000)
    )


def _partner(tag: int, vr: str) -> bool:
    """Whether a value depends on its siblings: a date and its time move together."""
    return vr in ("DA", "TM", "DT") or tag == PIXEL_DATA
