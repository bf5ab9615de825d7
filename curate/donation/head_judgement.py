"""What a study's volumes show, each judged, and what follows for each series: the part of `faces` that takes long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from curate.core.findings import has_errors
from curate.deid.sop_classes import admit_sop_class, face_likely
from curate.dicom.io.layout_cache import Parsed
from curate.donation.burned_in_annotation import DIED
from curate.donation.deface_plan import DefacePlan
from curate.pixels.head.plane import Verdict
from curate.pixels.head.slice_geometry import series_of
from curate.pixels.head.volumes import Series, stacked
from curate.policies import Policy

_REACH_MM = 10.0


def plan(instances: Iterable[Parsed], policy: Policy) -> DefacePlan:
    """Judge each series of a study; the largest of a frame of reference tells the others their plane."""
    named: set[str] = set()
    series = stacked(_noted(instances, policy, named))
    if any(one.died for one in series.values()):
        return DefacePlan(held=True, failed=DIED)
    known = _judged(series)
    return _planned(series, known, named - series.keys(), policy)


def _noted(instances: Iterable[Parsed], policy: Policy, named: set[str]) -> Iterator[Parsed]:
    """The instances; meanwhile, the series of those whose header names a head, unless all else refuses them."""
    apart = replace(policy, head="allow")
    for parsed in instances:
        if face_likely(parsed.dataset):
            found = admit_sop_class(apart, parsed.dataset)
            if not has_errors([found] if found else []):
                named.add(series_of(parsed.dataset)[0])
        yield parsed


def _judged(series: dict[str, Series]) -> dict[str, Verdict]:
    """Give each series its verdict; what was found of each frame of reference."""
    known: dict[str, Verdict] = {}
    ordered = sorted(series.items(), key=lambda pair: (-len(pair[1].stack), pair[0]))
    for again in (False, True):  # what a larger series could not tell, a smaller one may have
        for _, one in ordered:
            if again and (one.reference not in known or one.verdict.clear or one.verdict.plane):
                continue
            one.verdict = one.stack.judged(known.get(one.reference))
            if one.verdict.plane:
                known.setdefault(one.reference, one.verdict)
    for one in series.values():
        if one.verdict.clear and (one.likely or one.reference in known):
            one.verdict = Verdict(False)
    _follow(series, known)
    return known


def _follow(series: dict[str, Series], known: dict[str, Verdict]) -> None:
    """PET and NM beside a CT: the same plane where it lies in the same body, no head where the CT shows none."""
    clear: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for one in series.values():
        if one.verdict.clear:
            clear[one.reference].append(one.stack.heights())
    for one in series.values():
        if one.stack.kind not in ("PT", "NM"):
            continue
        head = known.get(one.reference)
        if head is not None:
            one.verdict = one.stack.follows(head)
        elif not one.likely and not one.stack.odd:
            low, high = one.stack.heights()
            reached = any(a - _REACH_MM <= low and high <= b + _REACH_MM for a, b in clear[one.reference])
            one.verdict = Verdict(reached)


def _planned(series: dict[str, Series], known: dict[str, Verdict], unjudged: set[str], policy: Policy) -> DefacePlan:
    """What follows; `unjudged` are series that are no volumes here, whose header names a head."""
    planes = {uid: one.verdict.plane for uid, one in series.items() if one.verdict.plane}
    clear = frozenset(uid for uid, one in series.items() if one.verdict.clear)
    unsure = series.keys() - planes.keys() - clear
    if policy.head == "refuse":
        return DefacePlan({}, clear, frozenset(unsure | planes.keys() | unjudged), bool(known))
    short = {uid for uid in unsure if (planes or clear) and series[uid].stack.short and not series[uid].likely}
    held = any(series[uid].reference not in known for uid in unsure - short) or bool(unjudged and not known)
    if policy.head == "hold":
        held |= bool(planes)
    return DefacePlan(planes, clear, frozenset(unsure), bool(known), held)
