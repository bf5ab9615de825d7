"""Every element at every level by the profile's verdict: what stays of a data set, and in which form.

A verdict is kept with the element that it is about, and the reader shares equal elements among files, so most
of a series' headers are judged once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from curate.core.findings import Finding
from curate.deid import analysis_critical_attributes, grammar, private_attributes, profile
from curate.deid.header_cache import HeaderCache, count
from curate.deid.records import Action, Decision, Report, StudyContext
from curate.deid.values import Value
from curate.dicom.dictionary import keyword, vr_fits
from curate.dicom.io.layout_cache import Parsed
from curate.dicom.model import (
    PIXEL_DATA,
    SPECIFIC_CHARACTER_SET,
    Element,
    Fragments,
    Item,
    MalformedError,
    Verdict,
    plain,
)
from curate.policies import Policy

if TYPE_CHECKING:
    from curate.dicom.io.layout_cache import SeriesLayout

Judgement = TypeVar("Judgement")
_UTF8 = ("utf8",)
_NONE: Mapping[str, int] = {}
_MOST_JUDGEMENTS = 16
_MOST_REMEMBERED = 1 << 13
_MOST_CLEANERS = 4
_STRUCTURE = Verdict(None, None, "structure", _NONE)
_ORPHAN = Verdict(None, None, "no_creator", _NONE)
_WRONG_VR = Verdict(None, None, "wrong_vr", _NONE)
_REMOVED = Verdict(None, None, Action.REMOVE.value, _NONE)
_NO_DECISION = Decision(Action.REMOVE)
_LABELS = {action: action.value for action in Action}  # to ask an enumeration's member takes two calls
_MOMENTS = ("DA", "TM", "DT")
_REFUSE = Action.REFUSE  # and to ask the enumeration for it, one


class _Plan(NamedTuple):
    """A decision, whether the values under it are pure, and the verdict where it is the same for all.

    `partners` are the siblings on which a value that is not pure rests, beside the study; `contextual` is what
    cleans such a value where it passes.
    """

    decision: Decision
    is_pure: bool
    removed: Verdict | None
    partners: frozenset[int] = frozenset()
    contextual: Callable[[Value], bytes | None] | None = None


_cleaners: tuple[Cleaner, ...] = ()


def cleaner_of(policy: Policy, context: StudyContext, utc_offset: int | None = None) -> Cleaner:
    """The cleaner of a study; those used last are found by what they were made of, then by what equals it.

    Instances whose dates and times are on clocks of different offsets have each their own (`local_time`).
    """
    global _cleaners
    if utc_offset is not None:
        context = _on_clock(context, utc_offset)
    for cleaner in _cleaners:
        if cleaner.context is context and cleaner.policy is policy:
            return cleaner
    for cleaner in _cleaners:
        if cleaner.context == context and cleaner.policy == policy:
            return cleaner
    made = Cleaner(policy, context)
    _cleaners = (made, *_cleaners[: _MOST_CLEANERS - 1])
    return made


@lru_cache(maxsize=16)
def _on_clock(context: StudyContext, utc_offset: int) -> StudyContext:
    return replace(context, utc_offset=utc_offset)


def forget() -> None:
    """Start anew, as a fresh process does."""
    global _cleaners
    _cleaners = ()
    _on_clock.cache_clear()
    _pure_token.cache_clear()
    _plans_of.cache_clear()


@lru_cache(maxsize=256)
def _pure_token(*_place: object) -> object:
    """What a verdict is valid for that rests on nothing but the policy, the place and the raw value."""
    return object()


@lru_cache(maxsize=4)
def _plans_of(
    _policy: Policy,
) -> tuple[dict[tuple[int, int, str, str | None], _Plan], set[tuple[int, int, str, object]]]:
    """What is planned for attributes, and which private ones go, under a policy: the same for all its studies."""
    return {}, set()


class Clean(NamedTuple):
    """A clean data set and its bytes, where those are known already."""

    item: Item
    body: bytes | None


class Cleaner:
    """The rules for one study: a policy, a context, and what has been judged under them."""

    __slots__ = (
        "_judgements",
        "_latest",
        "_plans",
        "_removed",
        "_rests",
        "_tokens",
        "context",
        "policy",
    )

    def __init__(self, policy: Policy, context: StudyContext) -> None:
        self.policy = policy
        self.context = context
        self._tokens: dict[tuple[object, ...], tuple[object, object]] = {}
        self._plans, self._removed = _plans_of(policy)
        self._judgements: dict[tuple[object, bool], list[tuple[tuple[int, ...], tuple[Element | None, ...], Any]]] = {}
        self._rests: dict[int, frozenset[int]] = {}
        self._latest: dict[tuple[str, ...], HeaderCache] = {}

    def of_dataset(self, judge: Callable[[Policy, Item], Judgement], item: Item) -> Judgement:
        """What a rule says of a data set as a whole: remembered with the elements that it looked at."""
        known = self._judgements.setdefault((judge, PIXEL_DATA in item), [])
        for tags, elements, judgement in known:
            if all(map(is_, map(item.get, tags), elements)):
                return cast("Judgement", judgement)
        item.seen = set()
        try:
            judgement = judge(self.policy, item)
        finally:
            tags, item.seen = tuple(item.seen), None
        known[:] = [(tags, tuple(map(item.get, tags)), judgement), *known[: _MOST_JUDGEMENTS - 1]]
        return judgement

    def clean_dataset(self, parsed: Parsed, report: Report) -> Clean:
        """A new data set of what stays, finished, and its bytes.

        Where the latest data set had the same attributes, what differs from it is judged, and what rests on that.
        """
        item = parsed.dataset
        latest = self._latest.get(item.encodings)
        if latest is None or not self._renew(latest, item, parsed.track):
            counts: Counter[str] = Counter()
            verdicts = self._verdicts(item, 0)
            kept = self._kept(item, verdicts, counts)
            latest = HeaderCache(list(item), list(item.values()), verdicts, kept, counts)
            self._latest[item.encodings] = latest
        report.applied = latest.counts
        if any(" " in label for label in latest.counts):
            _tell_losses(latest.counts, report)
        if latest.finished is None:
            latest.finish(self._finished(latest.kept, report))
        return Clean(Item(latest.finished, encodings=_UTF8), latest.body())

    def _finished(self, kept: Item, report: Report) -> Item:
        """What is kept, with what the rules across a data set make of it; `seen` is what they looked at."""
        item = Item(kept, encodings=_UTF8)
        item.seen = set()
        return profile.finish_dataset(self.policy, self.context, item, report)

    def _renew(self, latest: HeaderCache, item: Item, track: SeriesLayout | None) -> bool:
        """Bring the latest data set up to date where this one differs; False where that isn't enough."""
        if latest.fixed is None:
            latest.fixed = self._fixed(latest)
        places = latest.stale(item, self._rests, track)
        if places is None:
            return False
        tokens = self._tokens_of((0, item.encodings))
        elements = [item[latest.tags[place]] for place in places]
        fresh = []
        for element in elements:
            verdict = element.verdict
            if verdict.token is not tokens[0] and verdict.token is not tokens[1]:
                verdict = self._judged(element, 0, item, tokens)
            fresh.append(verdict)
        return latest.take(elements, places, fresh, track)

    def _fixed(self, latest: HeaderCache) -> dict[int, str]:
        """Which attributes went whatever their values are, by the VRs that they had; none that others rest on."""
        found, item = {}, Item(dict(zip(latest.tags, latest.elements, strict=True)))
        for tag, element in item.items():
            if profile.is_partner(tag):
                continue
            creator = item.creator(tag)
            if creator is None or (creator and tag & 0xFFFF >= 0x1000):
                plan = self._plan(0, tag, element.vr, creator)
                if plan.removed is not None:
                    found[tag] = element.vr
        return found

    def clean_item(self, item: Item, parent: int, counts: Counter[str]) -> Item:
        """A new item of what stays of this one."""
        return self._kept(item, self._verdicts(item, parent), counts)

    def _tokens_of(self, place: tuple[object, ...]) -> tuple[object, object]:
        tokens = self._tokens.get(place)
        if tokens is None:
            if len(self._tokens) > _MOST_REMEMBERED:  # there are not so many places, but creators may be any
                self._tokens.clear()
            tokens = self._tokens[place] = (_pure_token(self.policy, *place), object())
        return tokens

    def _verdicts(self, item: Item, parent: int) -> list[Verdict]:
        tokens = self._tokens_of((parent, item.encodings))
        pure, bound = tokens
        verdicts = []
        for element in item.values():
            verdict = element.verdict
            if verdict.token is not pure and verdict.token is not bound:
                verdict = self._judged(element, parent, item, tokens)
            verdicts.append(verdict)
        return verdicts

    def _judged(self, element: Element, parent: int, item: Item, tokens: tuple[object, object]) -> Verdict:
        if element.tag & 0x10000:
            return self._judge_private(element, parent, item)
        verdict = self._judge(element, parent, item, tokens, None)
        if verdict.token is not None:
            element.verdict = verdict
        return verdict

    def _kept(self, item: Item, verdicts: list[Verdict], counts: Counter[str]) -> Item:
        kept = Item(encodings=_UTF8)
        private = False
        for tag, verdict in zip(item, verdicts, strict=True):
            if verdict.cleaned is not None:
                kept[tag] = verdict.cleaned
                private = private or bool(tag & 0x10000)
        count(verdicts, counts)
        if private:
            self._keep_creators(item, kept)
        return kept

    def _keep_creators(self, item: Item, kept: Item) -> None:
        """A private block that keeps an element keeps its creator."""
        for tag in [tag for tag in kept if tag & 0x10000]:
            block = (tag & 0xFFFF0000) | (tag & 0xFF00) >> 8
            if block not in kept:
                kept.put(block, "LO", item.text(block).encode("ascii"))

    def _judge_private(self, element: Element, parent: int, item: Item) -> Verdict:
        """Private attributes depend on their block's creator, and on the person's own numbers.

        So a verdict is valid under that creator, in this study alone.
        """
        tag = element.tag
        if tag & 0xFFFF < 0x1000:
            return _STRUCTURE
        creator = item.get((tag & 0xFFFF0000) | (tag & 0xFF00) >> 8)
        if creator is None or not isinstance(creator.value, bytes):
            return _ORPHAN
        key = (parent, tag, element.vr, creator.value)
        if key in self._removed:
            return _REMOVED
        token = self._tokens_of((parent, item.encodings, creator.value))[1]
        if element.verdict.token is token:
            return element.verdict
        verdict = self._judge(element, parent, item, (token, token), item.creator(tag))
        plan = self._plan(parent, tag, element.vr, item.creator(tag))
        if plan.removed is not None and len(self._removed) < _MOST_REMEMBERED:
            self._removed.add(key)
        if verdict.token is not None:
            element.verdict = verdict
        return verdict

    def _plan(self, parent: int, tag: int, vr: str, creator: str | None) -> _Plan:
        """What is done with an attribute wherever it stands so."""
        key = (parent, tag, vr, creator)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._make_plan(parent, tag, vr, creator)
            if len(self._plans) < _MOST_REMEMBERED:
                self._plans[key] = plan
        return plan

    def _make_plan(self, parent: int, tag: int, vr: str, creator: str | None) -> _Plan:
        if _is_structure(tag):
            return _Plan(_NO_DECISION, False, _STRUCTURE)
        if not vr_fits(tag, vr):
            return _Plan(_NO_DECISION, False, _WRONG_VR)
        decision = profile.decide(self.policy, parent, tag, vr, creator)
        removed = _REMOVED if decision.action is Action.REMOVE else None
        rebuild, partners = profile.contextual(decision), profile.partners(tag, decision)
        return _Plan(decision, profile.is_pure(tag, vr), removed, partners, rebuild)

    def _judge(
        self, element: Element, parent: int, item: Item, tokens: tuple[object, object], creator: str | None
    ) -> Verdict:
        pure, bound = tokens
        plan = self._plan(parent, element.tag, element.vr, creator)
        decision, is_pure, removed, partners = plan[:4]
        if removed is not None:
            nested = self._lost(element, parent, creator, item, None) if removed is _WRONG_VR else _NONE
            return Verdict(pure, None, removed.label, nested)
        if decision.action is _REFUSE:
            raise MalformedError(decision.rule, keyword(element.tag))
        if isinstance(element.value, Fragments):
            return _REMOVED
        if isinstance(element.value, list):
            return self._judge_sequence(element, bound, decision)
        if partners and not parent:
            self._rests[element.tag] = partners
        token = pure if is_pure else None if partners else bound
        return self._clean(element, parent, item, plan, token, creator)

    def _lost(
        self, element: Element, parent: int, creator: str | None, item: Item, value: bytes | None
    ) -> Mapping[str, int]:
        """What is told where a value that computing depends on does not stay."""
        on = analysis_critical_attributes.dependence(element.tag, creator)
        if on is None or (element.vr in _MOMENTS and self.context.shift_us is None):
            return _NONE
        raw = element.value if isinstance(element.value, bytes) else item.raw(element.tag)
        rule = analysis_critical_attributes.lost(on, element.vr, raw, value, parent)
        return {analysis_critical_attributes.note(rule, on): 1} if rule else _NONE

    def _clean(
        self, element: Element, parent: int, item: Item, plan: _Plan, token: object, creator: str | None
    ) -> Verdict:
        """A plain element with the value that the profile gives it."""
        decision = plan.decision
        tag, vr = element.tag, element.vr
        raw = element.value if isinstance(element.value, bytes) else item.raw(tag)
        value = None
        if plan.contextual is not None:
            argument = grammar.parse_grammar(decision.grammar)[1]
            value = plan.contextual(Value(self.context, tag, vr, raw, item.encodings, item, argument))
        if value is None:
            value = profile.clean_value(self.policy, self.context, parent, tag, vr, raw, item.encodings, item, decision)
        if value is None:
            return Verdict(token, None, _REMOVED.label, self._lost(element, parent, creator, item, None))
        if value == b"" and raw and decision.grammar in private_attributes.BLOCKS:
            return Verdict(token, None, _REMOVED.label, _NONE)
        if value == raw and len(raw) % 2 == 0:
            return Verdict(token, element, _LABELS[decision.action], _NONE)
        # what is judged again and again, as dates are, is mostly the same each time
        cleaned = plain(tag, vr, value) if plan.partners else Element(tag, vr, value)
        return Verdict(token, cleaned, _LABELS[decision.action], self._lost(element, parent, creator, item, value))

    def _judge_sequence(self, element: Element, token: object, decision: Decision) -> Verdict:
        counts: Counter[str] = Counter()
        items = []
        if decision.action is not Action.EMPTY:
            for item in element.items:
                cleaned = self.clean_item(item, element.tag, counts)
                finished = profile.finish_item(self.policy, self.context, element.tag, cleaned)
                if finished is not None:
                    items.append(finished)
        nested = _counted(tuple(counts.items()))
        if element.items and not items and decision.action is not Action.EMPTY:
            return Verdict(token, None, Action.REMOVE.value, nested)
        return Verdict(token, Element(element.tag, "SQ", items), decision.action.value, nested)


@lru_cache(maxsize=1 << 12)
def _counted(pairs: tuple[tuple[str, int], ...]) -> Mapping[str, int]:
    """Counts, shared among the sequences that have the same: a dose report has ten thousands of them."""
    return dict(pairs)


def _tell_losses(counts: Mapping[str, int], report: Report) -> None:
    """Findings of what was lost, which stands among the counts so that equal elements tell it each time."""
    report.applied = {label: number for label, number in counts.items() if " " not in label}
    for label, number in counts.items():
        rule, _, name = label.partition(" ")
        if name:
            report.findings.append(Finding(rule, tag=name, count=number))


def _is_structure(tag: int) -> bool:
    """Whether a tag never is content: group lengths, groups below 0008, character sets, pixels, padding."""
    group, number = tag >> 16, tag & 0xFFFF
    return number == 0 or group < 8 or group >= 0x7FE0 or tag == SPECIFIC_CHARACTER_SET
