"""Instances that no release could hold beside another study's: of a series, or a UID, that another study claims."""

from __future__ import annotations

from dataclasses import replace

from curate.archive.uid_claims import Claims
from curate.donation.series_grouping import INSTANCE_CONFLICT, SERIES_CONFLICT, StudyGroup
from curate.donation.sources import SourceFile
from curate.steps.intake.tasks import SourceInstance


def found(
    claims: Claims, group: StudyGroup[SourceFile], study_id: str, instances: tuple[SourceInstance, ...]
) -> tuple[SourceInstance, ...]:
    """A study's instances, each with the rule by which it may not enter, if any.

    Who is admitted holds its UIDs; of those that only this batch's studies claim, nobody knows whose they are.
    """
    our_series, other_series = claims.holders("series", {i.order.series for i in instances}, study_id)
    ours, others = claims.holders("instance", {i.order.instance for i in instances}, study_id)
    contested = group.contested
    marked = []
    for one in instances:
        series, uid = one.order.series, one.order.instance
        if series in other_series or (one.series_uid in contested.series and series not in our_series):
            one = replace(one, conflict=SERIES_CONFLICT)
        elif uid in others or (one.instance_uid in contested.instances and uid not in ours):
            one = replace(one, conflict=INSTANCE_CONFLICT)
        marked.append(one)
    return tuple(marked)
