"""Which series a clean instance refers to: segmentations, structure sets, reports to their sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from curate.dicom import tags
from curate.dicom.model import Element, Item

_REFERENCED_INSTANCE = tags.ReferencedSOPInstanceUID
_REFERENCED_SERIES_SEQUENCE = tags.ReferencedSeriesSequence
_SERIES = tags.SeriesInstanceUID
_STUDY = tags.StudyInstanceUID


@dataclass(frozen=True, slots=True)
class Reference:
    """One instance names another; `series` and `study` are filled where the reference itself names them."""

    source: str
    target: str
    series: str = ""
    study: str = ""


def references(dataset: Item, source: str) -> Iterator[Reference]:
    """All references of a clean data set, at every level (PS3.3 C.12.1, C.17.2, A.35)."""
    seen: set[Reference] = set()
    for reference in _of_item(dataset, source, "", ""):
        if reference not in seen:
            seen.add(reference)
            yield reference


def _of_item(item: Item, source: str, series: str, study: str) -> Iterator[Reference]:
    if _REFERENCED_INSTANCE in item:
        yield Reference(source, item.text(_REFERENCED_INSTANCE), series, study)
    for tag, element in item.items():
        if type(element.value) is not list or not _refers(element):
            continue
        for inner in element.items:
            named_series = inner.text(_SERIES) if tag == _REFERENCED_SERIES_SEQUENCE else series
            yield from _of_item(inner, source, named_series or series, inner.text(_STUDY) or study)


def _refers(element: Element) -> bool:
    """Whether a sequence names an instance at any level; kept with it, since a series shares most of them."""
    if element.refers is None:
        element.refers = any(
            _REFERENCED_INSTANCE in item or any(_refers(inner) for inner in item.values()) for item in element.items
        )
    return element.refers


def series_links(
    found: Iterable[Reference], instances: Iterable[dict[str, Any]], series: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of `references` for one study, sorted: pairs of series, with the number of instances named.

    A reference to an instance of the study itself gets that instance's series; one that names its series
    is kept as it is; others say nothing that a reader could follow, and are left out. A pair is one row, whatever
    studies a careless object names beside the series: the one that some reference names, if any.
    """
    home = {row["SOPInstanceUID"]: row["SeriesInstanceUID"] for row in instances}
    modality = {row["SeriesInstanceUID"]: row["Modality"] or "" for row in series}
    study = next((row["study_id"] for row in series), "")
    targets: dict[tuple[str, str], set[str]] = defaultdict(set)
    places: dict[tuple[str, str], set[str]] = defaultdict(set)
    for reference in found:
        source = home[reference.source]
        target = home.get(reference.target) or reference.series
        if target and target != source:
            places[(source, target)].add(study if target in modality else reference.study)
            targets[(source, target)].add(reference.target)
    return [
        {
            "SeriesInstanceUID": source,
            "Modality": modality[source],
            "referenced_study_id": min(places[(source, target)] - {""}, default=study),
            "ReferencedSeriesInstanceUID": target,
            "referenced_instance_count": len(named),
        }
        for (source, target), named in sorted(targets.items())
    ]
